"""The body of one request as it comes from the client: where it ends, and how much of it is worth reading."""

from typing import Final

from proxy.dataplane.pace import is_too_slow
from proxy.dataplane.replies import own
from proxy.http1.errors import MessageError
from proxy.http1.framing import ChunkedDecoder, LengthDecoder
from proxy.http1.limits import HeadLimits
from proxy.http1.message import CHUNKED

DRAIN_LIMIT: Final = 256 * 1024  # bytes of an unwanted body that are read so that the connection can go on


class RequestBody:
    """A body under way, without I/O. `awaits_continue`: the client sends nothing of it before it is told to go on."""

    __slots__ = ("_decoder", "_limit", "_mark", "_received", "_waste", "awaits_continue")

    def __init__(self, length: int, limits: HeadLimits, limit: int | None) -> None:
        self._decoder = ChunkedDecoder(limits) if length == CHUNKED else LengthDecoder(length)
        self._limit = limit
        self._received = 0
        self._mark = 0
        self.awaits_continue = False
        self._waste = 0

    @property
    def is_complete(self) -> bool:
        """Is all of it here? Then `rest` is what follows it."""
        return self._decoder.done

    @property
    def rest(self) -> bytes:
        """What came behind the end of the body."""
        return self._decoder.rest

    @property
    def trailers(self) -> bytes:
        """The block of its trailer section."""
        return self._decoder.trailers

    def take(self, data: bytes) -> bytes:
        """The payload in these bytes; MessageError for bad chunks, or 413 for more than the listener takes."""
        piece = self._decoder.feed(data)
        self._received += len(piece)
        if self._limit is not None and self._received > self._limit:
            raise MessageError(*own("body_too_large"))
        return piece

    def feed(self, data: bytes) -> bytes:
        """As `take`, for a body that nobody wants: its size does not matter, only its end."""
        return self._decoder.feed(data)

    def wastes(self, data: bytes) -> bool:
        """These bytes came for nothing: is it more by now than is worth reading?"""
        self._waste += len(data)
        return self._waste > DRAIN_LIMIT

    def can_drain(self) -> bool:
        """Is what is missing little enough to be read and thrown away?"""
        if self.awaits_continue:
            return False  # it may never come
        decoder = self._decoder
        return isinstance(decoder, ChunkedDecoder) or decoder.left <= DRAIN_LIMIT

    def begin_window(self) -> None:
        """From now on its pace is judged anew."""
        self._mark = self._received

    def is_too_slow(self, rate: int | None) -> bool:
        """Has less come since the window began than the rate asks for?"""
        return is_too_slow(self._received - self._mark, rate)
