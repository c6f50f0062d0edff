"""How a client's connection ends so that the client can tell what happened: a lingering close, or a reset."""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Final

from proxy.dataplane.pace import WINDOW, is_too_slow
from proxy.dataplane.wheel import Wheel

log = logging.getLogger(__name__)

LINGER_IDLE: Final = 2.0  # seconds
LINGER_MOST: Final = 10.0


class Lingering(asyncio.Protocol):
    """A connection that is closed for writing, and read a while longer for nothing.

    Bytes that nobody reads would make the kernel send a reset, which could overtake the response. While part of that
    is still to be taken, the client's pace decides; after that LINGER_IDLE without a byte, or LINGER_MOST in all.
    """

    __slots__ = ("_finished", "_mark", "_on_close", "_rate", "_transport", "_until", "_wheel", "deadline", "scheduled")

    _transport: asyncio.Transport
    _until: float

    def __init__(self, wheel: Wheel, rate: int | None, on_close: Callable[[], None]) -> None:
        self._wheel = wheel
        self._rate = rate
        self._on_close = on_close
        self._finished = False  # the client has closed its side
        self._mark = 0  # bytes that were unsent when the window began; 0 where none are
        self.deadline = self.scheduled = inf

    def take_over(self, transport: asyncio.Transport, unsent: bool) -> None:
        """Go on with this connection; `unsent` if the client is still to take part of what was written."""
        self._transport = transport
        transport.set_protocol(self)
        self._until = self._wheel.now + LINGER_MOST
        if unsent:
            self.pause_writing()
        else:
            self._wheel.watch(self, self._wheel.now + LINGER_IDLE)
        if transport.can_write_eof():
            transport.write_eof()

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - thrown away
        if not self._mark:
            self._wheel.watch(self, min(self._wheel.now + LINGER_IDLE, self._until))

    def eof_received(self) -> bool:
        """Nothing more comes: the end, unless the client is still reading."""
        self._finished = True
        return self._mark > 0

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whyever, the client has gone
        self._wheel.drop(self)
        self._on_close()

    def pause_writing(self) -> None:
        self._mark = self._transport.get_write_buffer_size()
        self._wheel.watch(self, self._wheel.now + WINDOW)

    def resume_writing(self) -> None:
        """Everything has been taken: from now on it is only waited for the client to close."""
        self._mark = 0
        if self._finished:
            self._transport.close()
            return
        self._until = self._wheel.now + LINGER_MOST
        self._wheel.watch(self, self._wheel.now + LINGER_IDLE)

    def expire(self, now: float) -> None:
        left = self._transport.get_write_buffer_size()
        if not self._mark or is_too_slow(self._mark - left, self._rate):
            self.deadline = inf
            self._transport.abort()
        else:
            self._mark = left
            self._wheel.watch(self, now + WINDOW)


def reset_on_close(transport: asyncio.Transport) -> None:
    """Have this connection end with a reset: where its end would be the end of the body, nothing else tells."""
    try:
        _set_option(transport, socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError as error:
        log.warning("a response that broke ends like a whole one: %s", error)


def end_when_unheard(transport: asyncio.Transport, seconds: float) -> None:
    """Have this connection end where what was sent is not acknowledged for so long: its client has vanished.

    TCP itself tries for a quarter of an hour (tcp(7), TCP_USER_TIMEOUT). A unix socket has no such thing, nor need.
    """
    with suppress(OSError):
        _set_option(transport, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def _set_option(transport: asyncio.Transport, level: int, name: int, value: int | bytes) -> None:
    # The option belongs to the socket, whichever descriptor it is set by; uvloop's own gives no access to it.
    with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as sock:
        sock.setsockopt(level, name, value)
