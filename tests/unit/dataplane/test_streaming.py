"""Streams on transports in memory: who is told what, once, and what becomes of those that do not read."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from proxy.dataplane.pace import WINDOW
from proxy.dataplane.streaming import BATCH, CLOSE_GRACE, HEARTBEAT, MOST_UNASKED, UNHEARD, Streaming, Streams
from proxy.dataplane.wheel import TICK, Wheel
from proxy.filters.effects import Event, Reply, Stream


@dataclass(frozen=True)
class Letters:
    """A feed that says the flags' own name in another case; it counts how often it is asked."""

    upper: bool
    asked: list[str] = field(default_factory=list, compare=False)

    def latest(self, flags: Any) -> Event:
        self.asked.append(flags)
        data = f"{flags.upper() if self.upper else flags};".encode()
        return Event(data, data)


class Wire:
    """A client's transport, which takes nothing more while `is_full`."""

    def __init__(self) -> None:
        self.protocol: Any = None
        self.events: list[str] = []
        self.written = b""
        self.is_full = False
        self.socket: socket.socket | None = None

    def get_extra_info(self, name: str) -> Any:
        assert name == "socket"
        return self.socket or self

    def fileno(self) -> int:
        raise OSError("it is closed already")

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return int(self.is_full)

    def close(self) -> None:
        self.events.append("close")

    def abort(self) -> None:
        self.events.append("abort")

    def take(self) -> bytes:
        """What was written since it was last looked at."""
        written, self.written = self.written, b""
        return written


class Stage:
    """Streams of one worker, with a loop that turns when it is told to."""

    def __init__(self, flags: Any = "a") -> None:
        self.wheel = Wheel(0.0)
        self.soon: list[Callable[[], None]] = []
        self.streams = Streams(self.wheel, self.soon.append)
        self.streams.settle(flags)
        self.closed = 0
        self.told: list[tuple[str | None, tuple[int, int]]] = []

    def open(
        self, seen: bytes = b"", feed: Any = None, *, is_chunked: bool = False, is_full: bool = False, sock: Any = None
    ) -> Any:
        wire: Any = Wire()
        wire.is_full, wire.socket = is_full, sock
        wanted = Stream(feed or Letters(False), seen, b"", b"12345", 10, Reply(503))
        Streaming(self.streams, wanted, lambda it: self.told.append((it.reason, it.passed))).take_over(
            wire, self._closed, is_chunked=is_chunked
        )
        return wire

    def _closed(self) -> None:
        self.closed += 1

    def turn(self) -> None:
        turns, self.soon[:] = self.soon[:], []
        for each in turns:
            each()

    def until(self, end: float) -> None:
        """Let the time pass, tick by tick."""
        while self.wheel.now < end:
            self.wheel.tick(self.wheel.now + TICK)


@pytest.mark.parametrize(("seen", "at_once"), [(b"", b""), (b"a;", b""), (b"z;", b"a;")])
def test_client_is_told_at_once_only_of_what_it_has_missed(seen: bytes, at_once: bytes) -> None:
    stage = Stage()
    wire = stage.open(seen)
    assert wire.take() == at_once
    stage.streams.settle("b")
    assert wire.take() == b""
    stage.turn()
    assert wire.take() == b"b;"
    stage.streams.settle("b")
    stage.turn()
    assert (wire.take(), stage.soon) == (b"", [])


def test_those_that_are_told_alike_share_one_event() -> None:
    stage = Stage()
    lower, upper = Letters(False), Letters(True)
    wires = [stage.open(feed=feed) for feed in (lower, upper, lower, upper)]
    framed = stage.open(feed=lower, is_chunked=True)
    stage.streams.settle("b")
    stage.turn()
    assert [wire.take() for wire in wires] == [b"b;", b"B;", b"b;", b"B;"]
    assert framed.take() == b"2\r\nb;\r\n"
    assert (lower.asked, upper.asked) == (["a", "b"], ["a", "b"])


def test_change_that_is_none_for_a_client_is_not_told() -> None:
    stage = Stage()
    wire = stage.open(feed=Letters(True))
    stage.streams.settle("A")  # other flags, and the same to who sees only this
    stage.turn()
    assert wire.take() == b""


def test_many_are_told_in_turns_and_the_latest_only() -> None:
    stage = Stage()
    wires = [stage.open() for _ in range(BATCH + 1)]
    stage.streams.settle("b")
    stage.turn()
    assert [wire.take() for wire in wires] == [b"b;"] * BATCH + [b""]
    stage.streams.settle("c")
    assert len(stage.soon) == 1
    stage.turn()
    stage.turn()
    assert [wire.take() for wire in wires] == [b"c;"] * (BATCH + 1)
    stage.turn()
    assert stage.soon == []


def test_client_that_does_not_read_is_written_nothing_more_and_then_the_latest() -> None:
    stage = Stage()
    wire = stage.open(is_full=True)
    for name in "bcd":
        stage.streams.settle(name)
        stage.turn()
    assert wire.take() == b""
    wire.protocol.resume_writing()
    assert wire.take() == b"d;"


@pytest.mark.parametrize("begins_full", [True, False])
def test_client_that_takes_nothing_is_cut(begins_full: bool) -> None:
    stage = Stage()
    wire = stage.open(is_full=begins_full)
    if not begins_full:
        wire.protocol.pause_writing()
    stage.until(WINDOW - 2 * TICK)
    assert wire.events == []
    stage.until(WINDOW + 3 * TICK)
    assert wire.events == ["abort"]
    wire.protocol.connection_lost(None)
    assert (stage.told, stage.closed, len(stage.streams)) == ([("stream_slow", (0, 5))], 1, 0)


def test_silence_is_broken_by_a_comment() -> None:
    stage = Stage()
    plain, framed = stage.open(), stage.open(is_chunked=True)
    stage.until(HEARTBEAT - 2 * TICK)
    assert plain.take() == b""
    stage.until(HEARTBEAT + 3 * TICK)
    assert (plain.take(), framed.take()) == (b": still here\n\n", b"e\r\n: still here\n\n\r\n")
    stage.until(2 * HEARTBEAT + 6 * TICK)
    assert plain.take() == b": still here\n\n"


@pytest.mark.parametrize(("is_chunked", "last"), [(True, b"0\r\n\r\n"), (False, b"")])
def test_stream_ends_well(is_chunked: bool, last: bytes) -> None:
    stage = Stage()
    wire = stage.open(is_chunked=is_chunked)
    stage.streams.end()
    stage.streams.end()
    assert (wire.take(), wire.events) == (last, ["close"])
    stage.streams.settle("b")
    stage.turn()
    assert wire.take() == b""
    stage.until(CLOSE_GRACE + 3 * TICK)
    assert wire.events == ["close", "abort"]
    wire.protocol.connection_lost(None)
    assert (stage.told, stage.closed, len(stage.streams)) == ([(None, (0, 5))], 1, 0)
    stage.until(HEARTBEAT * 2)
    assert wire.take() == b""


def test_stream_ends_at_once_where_the_client_does_not_read() -> None:
    stage = Stage()
    wire = stage.open(is_full=True)
    stage.streams.end()
    assert (wire.take(), wire.events) == (b"", ["abort"])


def test_client_that_leaves_is_forgotten() -> None:
    stage = Stage()
    wire = stage.open()
    assert not wire.protocol.eof_received()  # the transport closes then
    wire.protocol.connection_lost(None)
    wire.protocol.connection_lost(None)
    stage.streams.settle("b")
    stage.turn()
    assert (wire.take(), stage.told, stage.closed, len(stage.streams)) == (b"", [(None, (0, 5))], 1, 0)


def test_client_may_say_only_so_much() -> None:
    stage = Stage()
    wire = stage.open()
    wire.protocol.data_received(b"x" * MOST_UNASKED)
    assert wire.events == []
    wire.protocol.data_received(b"x")
    assert wire.events == ["abort"]


def test_nothing_is_told_where_there_are_no_flags() -> None:
    stage = Stage(None)
    wire = stage.open(b"z;")
    assert wire.take() == b""
    stage.streams.settle("a")
    stage.turn()
    assert wire.take() == b"a;"


def test_client_that_has_vanished_does_not_keep_its_place_for_long() -> None:
    with socket.socket() as over_tcp, socket.socket(socket.AF_UNIX) as local:
        Stage().open(sock=over_tcp)
        assert over_tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNHEARD * 1000
        assert Stage().open(b"z;", sock=local).take() == b"a;"  # which has no such option, and is served all the same
