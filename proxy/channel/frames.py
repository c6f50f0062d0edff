"""Frames: a fixed head, then one message. Sans-IO; proxy/channel/link.py moves the bytes.

The head says how long the message is, whom it concerns (from a child: where it goes; from the master: where it came
from), and how many descriptors travel with its first byte.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final

MASTER: Final = 0
CONTROLLER: Final = -1
"""Whichever controller is in charge."""

HEAD: Final = Struct(">IiB")
MOST: Final = 64 * 1024 * 1024
"""Bytes of one message. A document with 10,000 endpoints has about one million."""


class FrameError(Exception):
    """What came is no frame; the channel is of no more use."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message as it travels. `peer` is a child's number, MASTER or CONTROLLER."""

    peer: int
    body: bytes
    descriptors: tuple[int, ...] = ()


def encode(peer: int, body: bytes, descriptors: int = 0) -> bytes:
    """The bytes of a frame with so many descriptors."""
    return HEAD.pack(len(body), peer, descriptors) + body


class Frames:
    """Takes bytes and descriptors as they come, gives whole frames."""

    def __init__(self, data: bytes = b"") -> None:
        self._data = bytearray(data)
        self._descriptors: list[int] = []

    @property
    def rest(self) -> bytes:
        """What has come of a frame that is not whole yet."""
        return bytes(self._data)

    def feed(self, data: bytes, descriptors: tuple[int, ...] = ()) -> list[Frame]:
        """The frames that are whole now; FrameError where there can be none."""
        self._data += data
        self._descriptors += descriptors
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        if len(self._data) < HEAD.size:
            return None
        length, peer, count = HEAD.unpack_from(self._data)
        if length > MOST:
            raise FrameError(f"a message of {length} bytes")
        end = HEAD.size + length
        if len(self._data) < end:
            return None
        if len(self._descriptors) < count:
            raise FrameError("descriptors were lost on the way")
        body = bytes(memoryview(self._data)[HEAD.size : end])
        del self._data[:end]
        descriptors, self._descriptors = self._descriptors[:count], self._descriptors[count:]
        return Frame(peer, body, tuple(descriptors))
