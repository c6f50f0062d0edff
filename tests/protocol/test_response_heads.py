"""Response heads, good and bad: each whole, with every beginning of it, and with bytes after it."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from proxy.http1.limits import HeadLimits
from proxy.http1.message import CACHE_CONTROL, CHUNKED, CLOSE, KEEP_ALIVE, NO_BODY, VIA, WEBSOCKET

Outcome = Callable[..., Any]
LIMITS = HeadLimits(size=400, fields=8, target=10)


def response(fields: bytes = b"", status: bytes = b"200 OK", version: bytes = b"HTTP/1.1") -> bytes:
    return b"%b %b\r\n%b\r\n" % (version, status, fields)


def head(**parts: object) -> dict[str, object]:
    return {"status": 200, "reason": b"OK", "minor": 1, "length": NO_BODY, "flags": 0, "block": b""} | parts


GOOD = {
    "least": (response(), head()),
    "http10": (response(version=b"HTTP/1.0"), head(minor=0)),
    "empty reason": (response(status=b"404 "), head(status=404, reason=b"")),
    "no reason": (response(status=b"404"), head(status=404, reason=b"")),
    "long reason": (response(status=b"599 No\twhere \xe9"), head(status=599, reason=b"No\twhere \xe9")),
    "lowest status": (response(status=b"100 Continue"), head(status=100, reason=b"Continue")),
    "length": (response(b"content-length:\t0012\r\n"), head(length=12)),
    "chunked": (response(b"Transfer-Encoding: Chunked\r\n"), head(length=CHUNKED)),
    "close": (response(b"Connection: close\r\n"), head(flags=CLOSE)),
    "keep-alive": (response(b"Connection: Keep-Alive\r\nKeep-Alive: timeout=5\r\n"), head(flags=KEEP_ALIVE)),
    "kept": (
        response(b"Set-Cookie: a=b\r\nset-cookie: c=d, e\r\nX_y: 1\r\nHost: x\r\nCookie: y\r\nX-Forwarded-For: z\r\n"),
        head(
            block=b"Set-Cookie: a=b\r\nset-cookie: c=d, e\r\nX_y: 1\r\nHost: x\r\nCookie: y\r\nX-Forwarded-For: z\r\n"
        ),
    ),
    "noted": (
        response(b"Via: 1.1 x\r\nCache-Control: no-store\r\n"),
        head(block=b"Via: 1.1 x\r\nCache-Control: no-store\r\n", flags=VIA | CACHE_CONTROL),
    ),
    "hop by hop": (
        response(
            b"Proxy-Authenticate: x\r\nTrailer: y\r\nUpgrade: h2c\r\nConnection: upgrade, x-a\r\nX-A: b\r\nB: c\r\n"
        ),
        head(block=b"B: c\r\n"),
    ),
    "nominated protected": (
        response(b"Connection: set-cookie, date\r\nSet-Cookie: a\r\nDate: b\r\n"),
        head(block=b"Set-Cookie: a\r\nDate: b\r\n"),
    ),
    "websocket": (
        response(b"Upgrade: WebSocket\r\nConnection: Upgrade\r\n", b"101 Switching Protocols"),
        head(status=101, reason=b"Switching Protocols", flags=WEBSOCKET),
    ),
    "websocket but 200": (response(b"Upgrade: websocket\r\nConnection: upgrade\r\n"), head()),
    "101 to something else": (
        response(b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"101 x"),
        head(status=101, reason=b"x"),
    ),
    "101 without option": (response(b"Upgrade: websocket\r\n", b"101 x"), head(status=101, reason=b"x")),
    "most fields": (response(b"A: b\r\n" * 8), head(block=b"A: b\r\n" * 8)),
    "largest": (response(b"A: %b\r\n" % (b"x" * 376)), head(block=b"A: %b\r\n" % (b"x" * 376))),
}

BAD = {
    "binary": b"\x15\x03\x01\x00\x02",
    "request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "http09": b"<html>\r\n\r\n",
    "empty line before": b"\r\n" + response(),
    "http2": response(version=b"HTTP/2"),
    "http12": response(version=b"HTTP/1.2"),
    "lower case": response(version=b"http/1.1"),
    "status two digits": response(status=b"20 OK"),
    "status four digits": response(status=b"2000 OK"),
    "status 099": response(status=b"099 OK"),
    "status 600": response(status=b"600 OK"),
    "status no digits": response(status=b"2x0 OK"),
    "status signed": response(status=b"+20 OK"),
    "two spaces": response(status=b" 200 OK"),
    "no status": b"HTTP/1.1\r\n\r\n",
    "tab after status": response(status=b"200\tOK"),
    "nul in reason": response(status=b"200 O\0K"),
    "bare lf": response().replace(b"\r\n", b"\n"),
    "bare lf in field": response(b"A: b\nC: d\r\n"),
    "bare cr": response(b"A: b\rC: d\r\n"),
    "cr in reason": response(status=b"200 O\rK"),
    "control in value": response(b"A: \x01\r\n"),
    "space before colon": response(b"A : b\r\n"),
    "no colon": response(b"Server\r\n"),
    "empty name": response(b": b\r\n"),
    "fold": response(b"A: b\r\n c\r\n"),
    "two lengths": response(b"Content-Length: 5\r\nContent-Length: 5\r\n"),
    "length list": response(b"Content-Length: 5, 5\r\n"),
    "length signed": response(b"Content-Length: +5\r\n"),
    "length empty": response(b"Content-Length:\r\n"),
    "length and chunked": response(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    "gzip, chunked": response(b"Transfer-Encoding: gzip, chunked\r\n"),
    "two codings": response(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    "chunked http10": response(b"Transfer-Encoding: chunked\r\n", version=b"HTTP/1.0"),
    "too many fields": response(b"A: b\r\n" * 9),
    "too large": response(b"A: %b\r\n" % (b"x" * 377)),
    "far too large": response(b"A: %b\r\n" % (b"x" * 3770)),
}


@pytest.mark.parametrize(("data", "expected"), GOOD.values(), ids=GOOD)
def test_good_head_is_read(
    implementation: ModuleType, outcome: Outcome, data: bytes, expected: dict[str, object]
) -> None:
    parse = implementation.parse_response_head
    size = {"size": len(data)}
    assert outcome(parse, data, LIMITS) == expected | size
    assert outcome(parse, data + b"\0\n\r\n\r\nbody", LIMITS) == expected | size
    for end in range(len(data)):
        assert outcome(parse, data[:end], LIMITS) is None, data[:end]


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_bad_head_is_refused(implementation: ModuleType, outcome: Outcome, data: bytes) -> None:
    outcomes = [outcome(implementation.parse_response_head, data[:end], LIMITS) for end in range(len(data) + 1)]
    refused = [found for found in outcomes if found is not None]
    assert refused[-1:] == [(502, "upstream_malformed")]
    assert set(refused) == {(502, "upstream_malformed")}
    assert outcomes[-len(refused) :] == refused, "a beginning was refused, and more of the same was not"


@pytest.mark.parametrize(
    "data", [b"X", b"HTTP/2", b"HTTP/1.1 20\n", b"\r", b"HTTP/1.1 2000\r\n", b"HTTP/1.1 200 OK\r\nA\0"]
)
def test_beginning_is_refused_as_soon_as_it_is_wrong(implementation: ModuleType, outcome: Outcome, data: bytes) -> None:
    assert outcome(implementation.parse_response_head, data, LIMITS) == (502, "upstream_malformed")
    assert outcome(implementation.parse_response_head, data[:-1], LIMITS) is None
