"""A raw tunnel after 101: bytes pass both ways as they are, with back-pressure, until both ends have had their say."""

import asyncio
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Final

from proxy.dataplane.wheel import Wheel

if TYPE_CHECKING:
    from proxy.pools.endpoint import Endpoint

CLOSE_GRACE: Final = 10.0  # seconds that what was written before the end may take


class End(asyncio.Protocol):
    """One of a tunnel's two ends."""

    __slots__ = ("_broken", "_tunnel", "finished", "gone", "passed", "peer", "transport")

    def __init__(self, tunnel: "Tunnel", transport: asyncio.Transport, broken: str) -> None:
        self._tunnel = tunnel
        self._broken = broken  # the reason where its connection breaks
        self.transport = transport
        self.peer: End = self
        self.passed = 0  # bytes that it has sent
        self.finished = False  # it has sent all it will
        self.gone = False

    def data_received(self, data: bytes) -> None:
        self._tunnel.touch()
        self.passed += len(data)
        self.peer.transport.write(data)

    def eof_received(self) -> bool:
        """One direction has ended; the other may go on."""
        self.finished = True
        if self.peer.finished or not self.peer.transport.can_write_eof():
            self._tunnel.close(None)
            return False
        self.peer.transport.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self._tunnel.lost(None if exc is None else self._broken)

    def pause_writing(self) -> None:
        if not self.peer.transport.is_closing():
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()


class Tunnel:
    """Two transports joined. Without a byte either way for `idle` seconds it is cut.

    When it is closed, `reason` is why, None where its ends have ended it themselves.
    """

    __slots__ = ("_closing", "_ends", "_idle", "_on_close", "_wheel", "deadline", "endpoint", "reason", "scheduled")

    def __init__(
        self, wheel: Wheel, endpoint: "Endpoint", idle: float | None, on_close: Callable[["Tunnel"], None]
    ) -> None:
        self.endpoint = endpoint
        self._wheel = wheel
        self._idle = idle
        self._on_close = on_close
        self._ends: tuple[End, ...] = ()
        self._closing = False
        self.reason: str | None = None
        self.deadline = self.scheduled = inf

    def join(self, client: asyncio.Transport, upstream: asyncio.Transport) -> None:
        """Let bytes pass from now on."""
        near, far = End(self, client, "client_left"), End(self, upstream, "upstream_reset")
        near.peer, far.peer = far, near
        self._ends = (near, far)
        for end in self._ends:
            end.transport.set_protocol(end)
        for end in self._ends:
            # What was written before this may still wait: then the other end is told when it has gone.
            if end.transport.get_write_buffer_size():
                end.peer.transport.pause_reading()
            else:
                end.peer.transport.resume_reading()
        if self._idle is not None:
            self._wheel.watch(self, self._wheel.now + self._idle)

    def count(self, received: int, sent: int) -> None:
        """So much had been passed on before they were joined."""
        near, far = self._ends
        near.passed += received
        far.passed += sent

    @property
    def passed(self) -> tuple[int, int]:
        """Bytes that have come of the client, and of the upstream; until it is closed."""
        return (self._ends[0].passed, self._ends[1].passed) if self._ends else (0, 0)

    def client_finished(self) -> None:
        """The client had closed its side before there was a tunnel."""
        if self._ends and not self._ends[0].finished:
            self._ends[0].eof_received()

    def touch(self) -> None:
        """Bytes have passed."""
        if self._idle is not None and not self._closing:
            self.deadline = self._wheel.now + self._idle

    def expire(self, now: float) -> None:  # noqa: ARG002 - whatever the time, it is over
        """Cut both ends: nothing passes any more, or an end does not take what was written to it."""
        self.close("tunnel_idle")
        for end in self._ends:
            end.transport.abort()
        self._forget()

    def close(self, reason: str | None = "tunnel_cut") -> None:
        """Close both ends, each after what was written to it, within CLOSE_GRACE."""
        if self._closing:
            return
        self._closing = True
        self.reason = reason
        for end in self._ends:
            end.transport.close()
        self._wheel.watch(self, self._wheel.now + CLOSE_GRACE)
        self._on_close(self)

    def lost(self, reason: str | None) -> None:
        """An end has gone; the other follows."""
        self.close(reason)
        if all(end.gone for end in self._ends):
            self._forget()

    def _forget(self) -> None:
        self._wheel.drop(self)
        self._ends = ()
