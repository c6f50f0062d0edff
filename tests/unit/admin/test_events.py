"""The stream of events: what is written, and how it ends."""

import asyncio
import json
from typing import Any

import pytest

from proxy.admin.events import Streams, encoded, followed
from proxy.control.journal import Event, Journal, LaggingError


class Shelf:
    """An archive that forgets."""

    def events(self, after: int = 0) -> list[Event]:
        del after
        return []

    def add(self, event: Event) -> None:
        del event


class Wire:
    """Keeps what is written and tells of it; `opened` lets writes through."""

    def __init__(self) -> None:
        self.data = b""
        self.news = asyncio.Event()
        self.opened = asyncio.Event()
        self.opened.set()
        self.has_gone = asyncio.Event()

    async def write(self, data: bytes) -> None:
        await self.opened.wait()
        self.data += data
        self.news.set()

    async def until(self, part: bytes) -> None:
        async with asyncio.timeout(15):
            while part not in self.data:
                self.news.clear()
                await self.news.wait()


@pytest.fixture
def journal() -> Journal:
    return Journal(Shelf(), lambda: 12.5)


def _write(journal: Journal, text: str = "") -> Event:
    return journal.write("split", by="me", generation=1, service="shop", text=text)


def test_event_is_one_line_of_data_whatever_stands_in_it(journal: Journal) -> None:
    lines = encoded(_write(journal, "a\n\ndata: forged\r\u2028é")).split(b"\n")
    assert lines[:2] == [b"id: 1", b"event: split"]
    assert json.loads(lines[2].removeprefix(b"data: "))["text"] == "a\n\ndata: forged\r\u2028é"
    assert lines[3:] == [b"", b""]


async def test_stream_has_what_was_and_what_comes_each_once(journal: Journal) -> None:
    streams, wire = Streams(), Wire()
    for _ in range(3):
        _write(journal)
    feeding = asyncio.create_task(streams.feed(followed(journal, 1), wire.write, 60, wire.has_gone.is_set))
    await wire.until(b"id: 3\n")
    _write(journal)
    await wire.until(b"id: 4\n")
    streams.close()
    await asyncio.wait_for(feeding, 15)
    assert [line for line in wire.data.split(b"\n") if line.startswith(b"id")] == [b"id: 2", b"id: 3", b"id: 4"]


async def test_silence_is_filled_with_comments(journal: Journal) -> None:
    streams, wire = Streams(), Wire()
    feeding = asyncio.create_task(streams.feed(followed(journal, 0), wire.write, 0, wire.has_gone.is_set))
    await wire.until(b"\n\n: still here\n\n: still here\n\n")
    _write(journal)
    await wire.until(b"id: 1\n")
    streams.close()
    await asyncio.wait_for(feeding, 15)


async def test_client_that_has_gone_is_followed_no_longer(journal: Journal) -> None:
    streams, wire = Streams(), Wire()
    feeding = asyncio.create_task(streams.feed(followed(journal, 0), wire.write, 60, wire.has_gone.is_set))
    await wire.until(b": events follow")
    wire.has_gone.set()
    await asyncio.wait_for(feeding, 15)
    assert not journal._listeners
    assert wire.data == b": events follow\n\n"


async def test_listener_that_does_not_read_is_bounded_and_let_go(journal: Journal) -> None:
    streams, wire = Streams(), Wire()
    feeding = asyncio.create_task(streams.feed(followed(journal, 0), wire.write, 60, wire.has_gone.is_set))
    await wire.until(b": events follow")
    wire.opened.clear()
    _write(journal)
    await asyncio.sleep(0)
    for _ in range(5_000):
        _write(journal)
    (queue,) = journal._listeners
    assert queue.qsize() <= 1_001
    wire.opened.set()
    await asyncio.wait_for(feeding, 15)
    assert wire.data.endswith(b": too far behind\n\n")
    assert not journal._listeners


async def test_journal_tells_a_listener_that_it_lags(journal: Journal) -> None:
    events: Any = journal.follow(0)
    first = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    for _ in range(2_000):
        _write(journal)
    assert (await first).id == 1
    for _ in range(999):
        await anext(events)
    with pytest.raises(LaggingError):
        await anext(events)
