"""Links: two ends of a socket pair on one event loop, as two processes have them."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
import pytest
import pytest_asyncio

from proxy.channel import messages as say
from proxy.channel.frames import HEAD, MASTER, MOST, Frame, encode
from proxy.channel.link import Link, decode

DEADLINE = 10.0


@dataclass
class End:
    """One end, and what it has heard."""

    sock: socket.socket
    unread: bytes = b""
    heard: list[Frame] = field(default_factory=list)
    ended: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    link: Link = field(init=False)

    def __post_init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.link = Link(loop, self.sock, self._received, self._closed, unread=self.unread)

    def _received(self, frame: Frame) -> None:
        self.heard.append(frame)
        self.news.set()

    def _closed(self) -> None:
        self.ended += 1
        self.news.set()

    async def until(self, frames: int = 0, ended: int = 0) -> None:
        """Wait until it has heard so many frames, or its end."""
        async with asyncio.timeout(DEADLINE):
            while len(self.heard) < frames or self.ended < ended:
                self.news.clear()
                await self.news.wait()


@pytest_asyncio.fixture
async def ends() -> AsyncIterator[tuple[End, End]]:
    """Both ends."""
    one, other = socket.socketpair()
    pair = End(one), End(other)
    yield pair
    for each in pair:
        each.link.close()
    one.close()
    other.close()


@pytest_asyncio.fixture
async def raw() -> AsyncIterator[tuple[End, socket.socket]]:
    """One end, and the bare socket of the other."""
    one, other = socket.socketpair()
    end = End(one)
    yield end, other
    end.link.close()
    one.close()
    other.close()


async def test_messages_arrive_whole_and_in_order_both_ways(ends: tuple[End, End]) -> None:
    one, other = ends
    for number in range(100):
        one.link.send(number, say.Commit(number))
    other.link.send(MASTER, say.Ready(7))
    await other.until(frames=100)
    await one.until(frames=1)
    assert [(frame.peer, decode(frame.body)) for frame in other.heard] == [(n, say.Commit(n)) for n in range(100)]
    assert decode(one.heard[0].body) == say.Ready(7)


async def test_message_larger_than_the_sockets_buffers_passes_and_the_wait_for_it_ends(ends: tuple[End, End]) -> None:
    one, other = ends
    note = say.Note({"big": bytes(5_000_000)})
    one.link.send(MASTER, note)
    assert one.link.waiting > 0
    await asyncio.wait_for(one.link.drain(), DEADLINE)
    assert one.link.waiting == 0
    await other.until(frames=1)
    assert decode(other.heard[0].body) == note


async def test_descriptors_are_passed_and_may_be_closed_at_once(ends: tuple[End, End]) -> None:
    one, other = ends
    one.link.send(MASTER, say.Note({"first": bytes(3_000_000)}))  # so the descriptors have to wait
    readers = []
    for text in (b"one", b"two"):
        reader, writer = os.pipe()
        os.write(writer, text)
        os.close(writer)
        readers.append(reader)
    big = {"big": bytes(3_000_000)}  # and the rest of their message has to wait for its beginning
    one.link.send(MASTER, say.StartWorker(0, 1, big, ("a", "b")), tuple(readers))
    for reader in readers:
        os.close(reader)
    await other.until(frames=2)
    assert other.heard[0].descriptors == ()
    passed = other.heard[1].descriptors
    assert [os.read(descriptor, 10) for descriptor in passed] == [b"one", b"two"]
    for descriptor in passed:
        os.close(descriptor)


async def test_too_many_descriptors_are_refused_by_the_sender(ends: tuple[End, End]) -> None:
    one, _ = ends
    with pytest.raises(ValueError, match="251 descriptors"):
        one.link.send(MASTER, say.Sockets(()), (0,) * 251)


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", HEAD.pack(MOST + 1, 0, 0), encode(0, b"", 3)],
    ids=["garbage", "oversized", "descriptors that are not there"],
)
async def test_what_is_no_frame_ends_the_link_once(raw: tuple[End, socket.socket], data: bytes) -> None:
    end, other = raw
    other.send(encode(1, b"heard") + data)
    await end.until(ended=1)
    assert end.link.is_closed
    assert end.ended == 1
    end.link.send(MASTER, say.Serve())  # of no more use, and no error
    assert end.link.waiting == 0


async def test_peer_that_goes_in_the_middle_of_a_frame_ends_the_link_once(raw: tuple[End, socket.socket]) -> None:
    end, other = raw
    other.send(encode(1, b"whole") + encode(2, b"not whole")[:-1])
    other.close()
    await end.until(frames=1, ended=1)
    assert end.heard == [Frame(1, b"whole")]
    assert (end.ended, end.link.is_closed) == (1, True)


async def test_peer_that_goes_while_it_is_written_to_lets_the_wait_end(raw: tuple[End, socket.socket]) -> None:
    end, other = raw
    end.link.send(MASTER, say.Note({"big": bytes(5_000_000)}))
    waiting = asyncio.create_task(end.link.drain())
    await asyncio.sleep(0)
    other.close()
    await asyncio.wait_for(waiting, DEADLINE)
    assert (end.ended, end.link.waiting) == (1, 0)


async def test_link_closed_by_what_it_hears_says_nothing_more(raw: tuple[End, socket.socket]) -> None:
    end, other = raw
    heard: list[int] = []

    def close_at_once(frame: Frame) -> None:
        heard.append(frame.peer)
        end.link.close()
        end.news.set()

    end.link._received = close_at_once
    other.send(encode(1, b"") + encode(2, b""))
    async with asyncio.timeout(DEADLINE):
        await end.news.wait()
    assert (heard, end.ended) == ([1], 0)


async def test_successor_goes_on_where_the_first_stopped(raw: tuple[End, socket.socket]) -> None:
    end, other = raw
    end.link.send(5, say.Note({"big": bytes(3_000_000)}))
    frame = encode(1, b"a frame in two pieces")
    other.send(encode(8, b"") + frame[:7])
    await end.until(frames=1)
    unread, unsent = end.link.stop()
    assert unread == frame[:7]
    assert unsent
    successor = End(socket.socket(fileno=os.dup(end.sock.fileno())), unread)
    successor.link.resume(unsent)
    receiver = End(other)
    await receiver.until(frames=1)
    assert (receiver.heard[0].peer, decode(receiver.heard[0].body)) == (5, say.Note({"big": bytes(3_000_000)}))
    receiver.link.stop()
    other.send(frame[7:])
    await successor.until(frames=1)
    assert successor.heard == [Frame(1, b"a frame in two pieces")]
    successor.link.close()


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x81\xa4type\xa5Nobod", b"\x81\xa4type\xa6Nobody", b"\x80"])
async def test_body_of_no_message_is_told_apart(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(body)
