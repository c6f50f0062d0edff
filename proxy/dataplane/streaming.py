"""Streams of server-sent events: connections that are told of changes for as long as their clients listen.

An event says only that something is new, so the latest is all that anybody needs. Whoever does not take what was
written is written nothing more until it has, and is then told the latest: a client holds one event of memory at most.
What is sent is made once for all who are told the same.
"""

import asyncio
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Final

from proxy.dataplane.aside import aside
from proxy.dataplane.closing import end_when_unheard
from proxy.dataplane.ending import Lasting, late_ending
from proxy.dataplane.held_response import filter_response
from proxy.dataplane.pace import WINDOW
from proxy.dataplane.replies import own_head
from proxy.dataplane.wheel import Wheel
from proxy.filters.effects import Event, Feed, Stream
from proxy.http1.message import CHUNKED, ResponseHead
from proxy.http1.writing import chunk, last_chunk

if TYPE_CHECKING:
    from proxy.dataplane.exchange import Exchange
    from proxy.filters.flagging import FlagBoard

HEARTBEAT: Final = 15.0  # seconds without an event after which a comment shows that the stream is alive
BATCH: Final = 64  # streams that are told in one go, before traffic gets its turn
UNHEARD: Final = 30.0  # seconds without an acknowledgement, heartbeats included, after which the client has vanished
CLOSE_GRACE: Final = 2.0  # seconds that the client may take for what was written before the end
MOST_UNASKED: Final = 16 << 10  # bytes that a client may send on a connection where nobody listens to it

Piece = tuple[bytes, bytes]
"""The same bytes for who is told the end of the body by its connection's, and as a chunk."""

_ALIVE: Final[Piece] = (b": still here\n\n", b"".join(chunk(b": still here\n\n")))


class Streaming(asyncio.Protocol):
    """One client's stream. `seen` is the id of the event that it was told last, `reason` why it was cut, if it was."""

    __slots__ = (
        "_asked", "_form", "_is_paused", "_on_close", "_sent", "_streams", "_tell", "_transport", "deadline", "feed",
        "is_ended", "reason", "scheduled", "seen",
    )  # fmt: skip

    _transport: asyncio.Transport

    def __init__(self, streams: "Streams", wanted: Stream, tell: Callable[[Lasting], None] | None) -> None:
        self.feed = wanted.feed
        self.seen = wanted.seen
        self.reason: str | None = None
        self.is_ended = False
        self.deadline = self.scheduled = inf
        self._asked = 0
        self._form = 0
        self._is_paused = False
        self._on_close: Callable[[], None] | None = None
        self._sent = len(wanted.opening)
        self._streams = streams
        self._tell = tell

    @property
    def passed(self) -> tuple[int, int]:
        """Bytes of bodies: none of the client, and those to it."""
        return 0, self._sent

    def take_over(self, transport: asyncio.Transport, on_close: Callable[[], None], *, is_chunked: bool) -> None:
        """The response has begun on this connection, in chunks or not; `on_close` is told when that is no more."""
        self._transport = transport
        self._on_close = on_close
        self._form = int(is_chunked)
        transport.set_protocol(self)
        end_when_unheard(transport, UNHEARD)
        self._streams.begun(self)
        if transport.get_write_buffer_size():
            self.pause_writing()
        else:
            self.resume_writing()

    def tell(self, event: Event, piece: Piece) -> None:
        """Tell it, unless it is known already, or nothing more can be said for now."""
        if event.id != self.seen and not self._is_paused and not self.is_ended:
            self.seen = event.id
            self._write(piece)

    def end(self) -> None:
        """End the response, well: who comes again is told what it has missed."""
        if self.is_ended:
            return
        self.is_ended = True
        if self._is_paused:
            self._transport.abort()  # what it has not taken, it never will
            return
        if self._form:
            self._transport.write(last_chunk(b""))
        self._transport.close()
        self._streams.wheel.watch(self, self._streams.wheel.now + CLOSE_GRACE)

    def _write(self, piece: Piece) -> None:
        self._sent += len(piece[0])
        self._streams.wheel.watch(self, self._streams.wheel.now + HEARTBEAT)
        self._transport.write(piece[self._form])

    # -- what the loop and the wheel call

    def data_received(self, data: bytes) -> None:
        """Nothing is due from the client."""
        self._asked += len(data)
        if self._asked > MOST_UNASKED:
            self._transport.abort()

    def eof_received(self) -> bool:
        """The client has left, or reads a response that would never end: it may come again."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whyever, the client has gone
        self.is_ended = True
        self._streams.ended(self)
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()
            if self._tell is not None:
                self._tell(self)

    def pause_writing(self) -> None:
        self._is_paused = True
        self._streams.wheel.watch(self, self._streams.wheel.now + WINDOW)

    def resume_writing(self) -> None:
        """Everything is taken: on with what there is to tell by now."""
        self._is_paused = False
        if not self.is_ended:
            self._streams.wheel.watch(self, self._streams.wheel.now + HEARTBEAT)
            self._streams.catch_up(self)

    def expire(self, now: float) -> None:  # noqa: ARG002 - the deadline was for this alone
        if self.is_ended or self._is_paused:
            self.deadline = inf
            self.reason = self.reason if self.is_ended else "stream_slow"
            self._transport.abort()
        else:
            self._write(_ALIVE)


class Streams:
    """All streams of one worker. `call_soon` is the loop's."""

    def __init__(self, wheel: Wheel, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self.wheel = wheel
        self._call_soon = call_soon
        self._open: dict[Streaming, None] = {}
        self._flags: FlagBoard | None = None
        self._latest: dict[Feed, tuple[Event, Piece]] = {}
        self._behind: list[Streaming] = []

    def __len__(self) -> int:
        return len(self._open)

    def settle(self, flags: "FlagBoard | None") -> None:
        """These are in force in every worker: now who has seen others may ask again, whichever worker it asks."""
        if flags is self._flags:
            return
        self._flags = flags
        self._latest.clear()
        is_busy = bool(self._behind)
        self._behind = list(self._open)
        if self._behind and not is_busy:
            self._call_soon(self._turn)

    def end(self) -> None:
        """End all of them."""
        for each in tuple(self._open):
            each.end()

    def _turn(self) -> None:
        batch, self._behind = self._behind[:BATCH], self._behind[BATCH:]
        for each in batch:
            self.catch_up(each)
        if self._behind:
            self._call_soon(self._turn)

    # -- what streams call

    def begun(self, stream: Streaming) -> None:
        """One more. What it needs to know is told as soon as something can be written."""
        self._open[stream] = None
        if not stream.seen and self._flags is not None:
            stream.seen = self._told(stream.feed, self._flags)[0].id

    def catch_up(self, stream: Streaming) -> None:
        """Tell it the latest."""
        if self._flags is not None:
            stream.tell(*self._told(stream.feed, self._flags))

    def ended(self, stream: Streaming) -> None:
        """One less."""
        self.wheel.drop(stream)
        self._open.pop(stream, None)

    def _told(self, feed: Feed, flags: "FlagBoard") -> tuple[Event, Piece]:
        found = self._latest.get(feed)
        if found is None:
            event = feed.latest(flags)
            found = self._latest[feed] = event, (event.data, b"".join(chunk(event.data)))
        return found


def begin_stream(exchange: "Exchange", wanted: Stream) -> None:
    """Answer with a stream, if there is room for it. It counts as answered now, and is logged when it ends."""
    exchange.asked = exchange.asked.partition(b"?")[0]  # whose query may hold a ticket
    if len(exchange.plane.streams) >= wanted.most:
        exchange.act(wanted.full)
        return
    head = own_head(200, wanted.block, CHUNKED)
    filter_response(exchange, head, lambda: _begin(exchange, head, wanted))


def _begin(exchange: "Exchange", head: ResponseHead, wanted: Stream) -> None:
    plane = exchange.plane
    aside(exchange).lasts = True
    exchange.answered(head.status)
    streaming = Streaming(plane.streams, wanted, late_ending(exchange))
    exchange.downstream.stream(head, wanted.opening, streaming)
    if plane.draining:
        streaming.end()  # and it comes again, to who takes connections
