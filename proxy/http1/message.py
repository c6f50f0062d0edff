"""Message heads as the rest of the proxy sees them: a start line, a few facts, and the fields to pass on.

A head never holds framing or hop-by-hop fields: the parser has turned those into `length` and `flags`, and each side
writes its own. `block` is the rest, as field lines that each end in CRLF, validated, in the order and case they came;
Host, Cookie, and what forwarding is told by stand apart, because the proxy answers for them itself.
"""

from typing import Final

from proxy.http1 import fields

NO_BODY: Final = -1  # neither Content-Length nor Transfer-Encoding (a response: until the connection closes)
CHUNKED: Final = -2

# flags of a head
CLOSE: Final = 1  # Connection: close
KEEP_ALIVE: Final = 2  # Connection: keep-alive
WEBSOCKET: Final = 4  # Connection: upgrade with an Upgrade field whose only protocol is websocket
EXPECT_CONTINUE: Final = 8  # Expect: 100-continue (the field itself stays in the block)
TE_TRAILERS: Final = 16  # TE with the member trailers
TRACEPARENT: Final = 32  # a well-formed traceparent is in the block
VIA: Final = 64  # a Via field is in the block
CACHE_CONTROL: Final = 128  # response: a Cache-Control field is in the block
EXPECT_OTHER: Final = 256  # an Expect that is not 100-continue


class RequestHead:
    """The head of a request.

    `target` is in origin-form (`/path?query`), `*`, or, with CONNECT, in authority-form: an absolute-form target has
    been taken apart. `host` is the Host field as it came, b"" where a HTTP/1.0 client sent none. `length` is the body's
    length in bytes, NO_BODY or CHUNKED. `cookie` is the Cookie field, several joined by "; ", None where there is none
    or nothing in it. `forwarded` holds, by lower-case name, the fields by which proxies tell of the client
    (X-Forwarded-*, Forwarded, X-Real-IP, X-Envoy-*, X-Request-Id, X-Sluice-Shadow), several joined by ", ": believed
    only from trusted peers. `size` is how many bytes the head took, leading empty lines included.
    """

    __slots__ = ("block", "cookie", "flags", "forwarded", "host", "length", "method", "minor", "size", "target")

    def __init__(
        self, method: bytes, target: bytes, minor: int, host: bytes, length: int, flags: int, block: bytes,
        cookie: bytes | None, forwarded: dict[bytes, bytes] | None, size: int,
    ) -> None:  # fmt: skip
        self.method = method
        self.target = target
        self.minor = minor
        self.host = host
        self.length = length
        self.flags = flags
        self.block = block
        self.cookie = cookie
        self.forwarded = forwarded
        self.size = size

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RequestHead) and _fields(self) == _fields(other)

    def __repr__(self) -> str:
        return f"RequestHead{_fields(self)}"

    def get(self, name: bytes) -> bytes | None:
        """The value of the field `name` (lower case), several joined by ", "; None where there is none."""
        if name == b"host":
            return self.host or None
        if name == b"cookie":
            return self.cookie
        return fields.get(self.block, name)

    def get_all(self, name: bytes) -> list[bytes]:
        """Every value of the field `name` (lower case), one by one."""
        if name in (b"host", b"cookie"):
            value = self.get(name)
            return [] if value is None else [value]
        return fields.get_all(self.block, name)


class ResponseHead:
    """The head of a response. `length` is the announced body length, NO_BODY (until close) or CHUNKED."""

    __slots__ = ("block", "flags", "length", "minor", "reason", "size", "status")

    def __init__(
        self, status: int, reason: bytes, minor: int, length: int, flags: int, block: bytes, size: int
    ) -> None:
        self.status = status
        self.reason = reason
        self.minor = minor
        self.length = length
        self.flags = flags
        self.block = block
        self.size = size

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResponseHead) and _fields(self) == _fields(other)

    def __repr__(self) -> str:
        return f"ResponseHead{_fields(self)}"

    def get(self, name: bytes) -> bytes | None:
        """The value of the field `name` (lower case), several joined by ", "; None where there is none."""
        return fields.get(self.block, name)


def _fields(head: RequestHead | ResponseHead) -> tuple[object, ...]:
    return tuple(getattr(head, name) for name in head.__slots__)
