"""One end of a channel: a non-blocking stream socket on an event loop, with frames and descriptors over it."""

import array
import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from proxy.channel.frames import Frame, FrameError, Frames, encode
from proxy.channel.messages import Message

log = logging.getLogger("sluice")

_CHUNK: Final = 256 * 1024
_MOST_DESCRIPTORS: Final = 250  # SCM_MAX_FD is 253
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Message)


class Link:
    """Sends and receives messages. `received` is called with each frame, `closed` once when the other end has gone.

    What cannot be sent at once waits here; `waiting` is how many bytes that is.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        received: Callable[[Frame], None],
        closed: Callable[[], None],
        *,
        unread: bytes = b"",
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._received = received
        self._closed = closed
        self._frames = Frames(unread)
        self._out: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._drained: list[asyncio.Future[None]] = []
        sock.setblocking(False)
        loop.add_reader(sock.fileno(), self._readable)

    @property
    def fileno(self) -> int:
        """The socket's descriptor; -1 once closed."""
        return self._sock.fileno()

    @property
    def waiting(self) -> int:
        """Bytes that the other end has not taken yet."""
        return sum(len(data) for data, _ in self._out)

    @property
    def is_closed(self) -> bool:
        """Is it of no more use?"""
        return self._sock.fileno() < 0

    def send(self, peer: int, message: Message, descriptors: tuple[int, ...] = ()) -> None:
        """Send a message; the descriptors stay the caller's."""
        self.forward(peer, _encoder.encode(message), descriptors)

    def forward(self, peer: int, body: bytes, descriptors: tuple[int, ...] = ()) -> None:
        """Send an encoded message."""
        if self.is_closed:
            return
        if len(descriptors) > _MOST_DESCRIPTORS:
            raise ValueError(f"{len(descriptors)} descriptors in one message; {_MOST_DESCRIPTORS} is the most")
        copies = tuple(map(os.dup, descriptors))  # the caller may close its own before they are sent
        self._out.append((encode(peer, body, len(copies)), copies))
        if len(self._out) == 1:
            self._writable()

    async def drain(self) -> None:
        """Wait until everything is sent, or the other end has gone."""
        if self._out:
            future = self._loop.create_future()
            self._drained.append(future)
            await future

    def stop(self) -> tuple[bytes, bytes]:
        """Let go of the socket without closing it: what has come of a frame, and what was not sent.

        Descriptors that were not sent are lost; their receiver will find too few and end.
        """
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        return self._frames.rest, b"".join(data for data, _ in self._out)

    def resume(self, unsent: bytes) -> None:
        """Send first what another process had not sent."""
        if unsent:
            self._out.appendleft((unsent, ()))
            self._writable()

    def close(self) -> None:
        """Close; nothing is called any more."""
        if self.is_closed:
            return
        self.stop()
        self._sock.close()
        for _, descriptors in self._out:
            _close_all(descriptors)
        self._out.clear()
        self._tell_drained()

    def _readable(self) -> None:
        try:
            data, ancillary, flags, _ = self._sock.recvmsg(_CHUNK, socket.CMSG_SPACE(_MOST_DESCRIPTORS * 4))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, ancillary, flags = b"", [], 0
        descriptors = _descriptors(ancillary)
        if not data or flags & socket.MSG_CTRUNC:
            self._end(descriptors)
            return
        try:
            frames = self._frames.feed(data, descriptors)
        except FrameError:
            self._end(())
            return
        for frame in frames:
            self._received(frame)
            if self.is_closed:
                return

    def _writable(self) -> None:
        while self._out:
            data, descriptors = self._out[0]
            try:
                sent = self._sock.sendmsg([data], _ancillary(descriptors))
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(self._sock.fileno(), self._writable)
                return
            except OSError:
                self._end(())
                return
            _close_all(descriptors)  # they went with the first byte
            if sent == len(data):
                self._out.popleft()
            else:
                self._out[0] = (data[sent:], ())
        self._loop.remove_writer(self._sock.fileno())
        self._tell_drained()

    def _end(self, descriptors: tuple[int, ...]) -> None:
        _close_all(descriptors)
        self.close()
        self._closed()

    def _tell_drained(self) -> None:
        waiting, self._drained = self._drained, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


def decode(body: bytes) -> Message:
    """The message of a frame; msgspec.DecodeError for what is none of this version's."""
    message: Message = _decoder.decode(body)
    return message


def understood(body: bytes) -> Message | None:
    """The same; None for what is none of this version's, which is logged."""
    try:
        return decode(body)
    except msgspec.DecodeError as error:
        log.warning("a message that this version does not understand: %s", error)
        return None


def _ancillary(descriptors: tuple[int, ...]) -> list[tuple[int, int, bytes]]:
    if not descriptors:
        return []
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors).tobytes())]


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, ...]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return tuple(found)


def _close_all(descriptors: tuple[int, ...]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
