"""Our own framing of what we send: how the end of a body is told, in fields and in chunks."""

from enum import Enum

from proxy.http1.message import WEBSOCKET


class End(Enum):
    """How whoever receives a body finds its end."""

    KNOWN = "by its length, or because there is none"
    CHUNKED = "by the last chunk"
    CLOSE = "by the end of the connection"


def response_framing(length: int, minor: int, done: bool) -> tuple[bytes, End]:
    """The framing field of a response for a client of HTTP/1.`minor`; `done` if no body follows beyond what is here."""
    if length >= 0:
        return b"Content-Length: %d\r\n" % length, End.KNOWN
    if done:
        return b"", End.KNOWN
    if minor:
        return b"Transfer-Encoding: chunked\r\n", End.CHUNKED
    return b"", End.CLOSE


def connection_fields(flags: int) -> bytes:
    """The fields of a request to which Connection belongs, where the head's flags say WEBSOCKET or TE_TRAILERS."""
    if flags & WEBSOCKET:
        return b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    return b"Connection: TE\r\nTE: trailers\r\n"


def chunk(data: bytes) -> tuple[bytes, bytes, bytes]:
    """The pieces of one chunk; `data` is not empty, since an empty chunk would be the last."""
    return b"%x\r\n" % len(data), data, b"\r\n"


def last_chunk(trailers: bytes) -> bytes:
    """The end of a chunked body, with the block of its trailer section."""
    return b"0\r\n" + trailers + b"\r\n"
