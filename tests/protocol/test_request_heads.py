"""Request heads, good and bad: each whole, with every beginning of it, and with bytes after it."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from proxy.http1.limits import HeadLimits
from proxy.http1.message import (
    CHUNKED,
    CLOSE,
    EXPECT_CONTINUE,
    EXPECT_OTHER,
    KEEP_ALIVE,
    NO_BODY,
    TE_TRAILERS,
    TRACEPARENT,
    VIA,
    WEBSOCKET,
)

Outcome = Callable[..., Any]
LIMITS = HeadLimits(size=600, fields=12, target=100)
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BROWSER = (
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*;q=0.8\r\nAccept-Language:en-US,en;q=0.5 \t\r\n"
    b"X-Empty:\r\nX-Latin: \xe9\x80\xff \t tab\r\n!#$%&'*+-.^`|~09azAZ: token\r\n"
)


def get(fields: bytes = b"", target: bytes = b"/", method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    return b"%b %b %b\r\nHost: a.example\r\n%b\r\n" % (method, target, version, fields)


def head(**parts: object) -> dict[str, object]:
    return {
        "method": b"GET", "target": b"/", "minor": 1, "host": b"a.example", "length": NO_BODY, "flags": 0, "block": b"",
        "cookie": None, "forwarded": None,
    } | parts  # fmt: skip


ROOM = LIMITS.size - len(get(b"A: \r\n"))  # bytes of a value that makes a head as large as it may be

GOOD = {
    "least": (get(), head()),
    "http10": (get(version=b"HTTP/1.0"), head(minor=0)),
    "http10 without host": (b"GET / HTTP/1.0\r\n\r\n", head(minor=0, host=b"")),
    "browser": (get(BROWSER + b"Connection: keep-alive\r\n"), head(block=BROWSER, flags=KEEP_ALIVE)),
    "order kept": (
        get(b"B: 1\r\nCookie: x=y\r\nA: 2\r\nB: 3\r\n"),
        head(block=b"B: 1\r\nA: 2\r\nB: 3\r\n", cookie=b"x=y"),
    ),
    "two cookies": (get(b"Cookie: a=b\r\ncookie:\tc=d \r\nCOOKIE:\r\n"), head(cookie=b"a=b; c=d")),
    "empty cookie": (get(b"Cookie: \r\n"), head()),
    "leading empty lines": (b"\r\n" * 4 + get(b"A: b\r\n"), head(block=b"A: b\r\n")),
    "query": (get(target=b'/a/b?c=d?e&"<>^`{|}%zz'), head(target=b'/a/b?c=d?e&"<>^`{|}%zz')),
    "two slashes": (get(target=b"//b"), head(target=b"//b")),
    "longest target": (get(target=b"/" + b"a" * 99), head(target=b"/" + b"a" * 99)),
    "other method": (get(method=b"M-SEARCH"), head(method=b"M-SEARCH")),
    "longest method": (get(method=b"M" * 32), head(method=b"M" * 32)),
    "lower-case method": (get(method=b"get"), head(method=b"get")),
    "put": (get(method=b"PUT"), head(method=b"PUT")),
    "length": (get(b"Content-Length: 5\r\n", method=b"POST"), head(method=b"POST", length=5)),
    "length zero": (get(b"content-length:0\r\n"), head(length=0)),
    "length with zeros": (get(b"Content-Length: 00012\r\n"), head(length=12)),
    "longest length": (get(b"Content-Length: 999999999999999999\r\n"), head(length=999999999999999999)),
    "chunked": (get(b"Transfer-Encoding: chunked\r\n", method=b"POST"), head(method=b"POST", length=CHUNKED)),
    "chunked any case": (get(b"TRANSFER-encoding:\tChunKED \r\n"), head(length=CHUNKED)),
    "close": (get(b"Connection: Close\r\n"), head(flags=CLOSE)),
    "close and keep-alive": (get(b"Connection: close , keep-alive,,\r\n"), head(flags=CLOSE | KEEP_ALIVE)),
    "hop by hop": (
        get(
            b"Keep-Alive: 5\r\nTE: gzip\r\nTrailer: x\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
            b"Proxy-Connection: close\r\nPROXY-Authorization: x\r\nProxy-: x\r\nConnection: upgrade, http2-settings\r\n"
            b"Proxy: z\r\nProxyX: y\r\n"
        ),
        head(block=b"ProxyX: y\r\n"),
    ),
    "nominated": (
        get(b"X-A: 1\r\nConnection: x-a, X-B\r\nX-C: 2\r\nx-b: 3\r\nConnection: x-d\r\nX-D: 4\r\n"),
        head(block=b"X-C: 2\r\n"),
    ),
    "nominated protected": (
        get(
            b"Connection: host, cookie,Authorization, X-Forwarded-For, content-length, VIA, cache-control\r\n"
            b"Authorization: x\r\nCookie: a=b\r\nX-Forwarded-For: c\r\nContent-Length: 1\r\nVia: 1.1 d\r\n"
            b"Cache-Control: no-store\r\n"
        ),
        head(
            block=b"Authorization: x\r\nVia: 1.1 d\r\nCache-Control: no-store\r\n", cookie=b"a=b", length=1, flags=VIA,
            forwarded={b"x-forwarded-for": b"c"},
        ),
    ),
    "te trailers": (get(b"TE: gzip;q=1, Trailers\r\nConnection: te\r\n"), head(flags=TE_TRAILERS)),
    "websocket": (get(b"Connection: Upgrade\r\nUpgrade: WebSocket\r\n"), head(flags=WEBSOCKET)),
    "websocket and length 0": (
        get(b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n"),
        head(flags=WEBSOCKET | KEEP_ALIVE, length=0),
    ),
    "websocket without option": (get(b"Connection: keep-alive\r\nUpgrade: websocket\r\n"), head(flags=KEEP_ALIVE)),
    "websocket or other": (get(b"Connection: upgrade\r\nUpgrade: websocket, h2c\r\n"), head()),
    "websocket twice": (get(b"Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n"), head()),
    "websocket post": (
        get(b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n", method=b"POST"),
        head(method=b"POST", length=1),
    ),
    "websocket http10": (get(b"Connection: upgrade\r\nUpgrade: websocket\r\n", version=b"HTTP/1.0"), head(minor=0)),
    "expect": (get(b"Expect: 100-Continue\r\n"), head(block=b"Expect: 100-Continue\r\n", flags=EXPECT_CONTINUE)),
    "expect other": (get(b"Expect: 200-ok\r\n"), head(block=b"Expect: 200-ok\r\n", flags=EXPECT_OTHER)),
    "expect http10": (get(b"expect: 100-continue\r\nA: b\r\n", version=b"HTTP/1.0"), head(minor=0, block=b"A: b\r\n")),
    "via": (get(b"Via: 1.0 x\r\n"), head(block=b"Via: 1.0 x\r\n", flags=VIA)),
    "forwarding": (
        get(
            b"X-Forwarded-For: 1.1.1.1\r\nX-FORWARDED-FOR: 2.2.2.2 \r\nForwarded: for=1\r\nX-Real-IP: 3\r\n"
            b"X-Envoy-Z:\r\nX-Request-ID: q\r\nX-Forwarded: r\r\nX-Forwardedx: s\r\nX-Envoy: t\r\n"
            b"X-Sluice-Shadow: 1\r\nX-Sluice-Shadows: 2\r\n"
        ),
        head(
            block=b"X-Forwardedx: s\r\nX-Envoy: t\r\nX-Sluice-Shadows: 2\r\n",
            forwarded={
                b"x-forwarded-for": b"1.1.1.1, 2.2.2.2", b"forwarded": b"for=1", b"x-real-ip": b"3", b"x-envoy-z": b"",
                b"x-request-id": b"q", b"x-forwarded": b"r", b"x-sluice-shadow": b"1",
            },
        ),
    ),
    "underscores": (
        get(b"X_Forwarded_For: 1\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\nA_b: 1\r\n_: 2\r\nAb: 3\r\n"),
        head(block=b"Ab: 3\r\n"),
    ),
    "trace": (
        get(b"Traceparent: %b\r\ntracestate: a=b\r\n" % PARENT),
        head(block=b"Traceparent: %b\r\ntracestate: a=b\r\n" % PARENT, flags=TRACEPARENT),
    ),
    "trace nominated": (
        get(b"Connection: traceparent\r\ntraceparent: %b\r\n" % PARENT),
        head(block=b"traceparent: %b\r\n" % PARENT, flags=TRACEPARENT),
    ),
    "two traces": (get(b"traceparent: %b\r\n" % PARENT * 2 + b"tracestate: a=b\r\nA: b\r\n"), head(block=b"A: b\r\n")),
    "state without trace": (get(b"tracestate: a=b\r\n"), head()),
    "trace upper case": (get(b"traceparent: %b\r\n" % PARENT.upper()), head()),
    "trace version ff": (get(b"traceparent: ff%b\r\n" % PARENT[2:]), head()),
    "trace of zeros": (get(b"traceparent: 00-%b%b\r\n" % (b"0" * 32, PARENT[35:])), head()),
    "trace without parent": (get(b"traceparent: %b%b-01\r\n" % (PARENT[:36], b"0" * 16)), head()),
    "trace too long": (get(b"traceparent: %b-\r\n" % PARENT), head()),
    "most fields": (get(b"A: b\r\n" * 11), head(block=b"A: b\r\n" * 11)),
    "largest": (get(b"A: %b\r\n" % (b"x" * ROOM)), head(block=b"A: %b\r\n" % (b"x" * ROOM))),
    "host with port": (b"GET / HTTP/1.1\r\nhost:\tLOCALhost:8080 \r\n\r\n", head(host=b"LOCALhost:8080")),
    "host with empty port": (b"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", head(host=b"a:")),
    "host ipv6": (b"GET / HTTP/1.1\r\nHost: [::1]:65535\r\n\r\n", head(host=b"[::1]:65535")),
    "host ipv4": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", head(host=b"127.0.0.1")),
    "options star": (get(method=b"OPTIONS", target=b"*"), head(method=b"OPTIONS", target=b"*")),
    "connect": (get(method=b"CONNECT", target=b"b:443"), head(method=b"CONNECT", target=b"b:443")),
    "connect ipv6": (get(method=b"CONNECT", target=b"[::1]:443"), head(method=b"CONNECT", target=b"[::1]:443")),
    "absolute": (get(target=b"http://a.example/b?c"), head(target=b"/b?c")),
    "absolute no path": (get(target=b"HTTP://A.Example:80"), head()),
    "absolute query only": (get(target=b"http://a.example?b/c"), head(target=b"/?b/c")),
    "absolute https": (get(target=b"https://a.example:0443/"), head()),
    "absolute options": (get(method=b"OPTIONS", target=b"http://a.example"), head(method=b"OPTIONS", target=b"*")),
    "absolute options path": (get(method=b"OPTIONS", target=b"http://a.example/"), head(method=b"OPTIONS")),
    "absolute http10": (b"GET http://b:1/c HTTP/1.0\r\n\r\n", head(target=b"/c", minor=0, host=b"b:1")),
    "absolute ipv6": (b"GET http://[::1]/ HTTP/1.1\r\nHost: [::1]\r\n\r\n", head(host=b"[::1]")),
}  # fmt: skip

BAD = {
    # start line
    "binary": (b"\x16\x03\x01\x02\x00\x01", 400, "bad_request_line"),
    "empty line inside": (b"\r\n" * 5 + get(), 400, "bad_request_line"),
    "http09": (b"GET /\r\n\r\n", 400, "bad_request_line"),
    "no target": (b"GET HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target"),
    "space after": (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "bad_version"),
    "space before": (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_method"),
    "tab for space": (b"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_method"),
    "method no token": (get(method=b"G{T"), 400, "bad_method"),
    "method latin": (get(method=b"G\xc9T"), 400, "bad_method"),
    "method too long": (get(method=b"M" * 33), 400, "bad_method"),
    "h2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_version"),
    "http11 lower": (get(version=b"http/1.1"), 400, "bad_version"),
    "http12": (get(version=b"HTTP/1.2"), 400, "bad_version"),
    "http1": (get(version=b"HTTP/1"), 400, "bad_version"),
    "http01.01": (get(version=b"HTTP/01.01"), 400, "bad_version"),
    "http1.10": (get(version=b"HTTP/1.10"), 400, "bad_version"),
    "http 1.1": (get(version=b"HTTP/ 1.1"), 400, "bad_version"),
    "rtsp": (get(version=b"RTSP/1.0"), 400, "bad_version"),
    "fragment": (get(target=b"/a#b"), 400, "bad_target"),
    "backslash": (get(target=b"/a\\b"), 400, "bad_target"),
    "target latin": (get(target=b"/\xe9"), 400, "bad_target"),
    "target tab": (get(target=b"/a\tb"), 400, "bad_target"),
    "target nul": (get(target=b"/a\0b"), 400, "bad_request_line"),
    "target del": (get(target=b"/a\x7fb"), 400, "bad_request_line"),
    "target relative": (get(target=b"a/b"), 400, "bad_target"),
    "target star": (get(target=b"*"), 400, "bad_target"),
    "target star more": (get(method=b"OPTIONS", target=b"*/a"), 400, "bad_target"),
    "target authority": (get(target=b"a.example:80"), 400, "bad_target"),
    "connect origin": (get(method=b"CONNECT", target=b"/"), 400, "bad_target"),
    "connect no port": (get(method=b"CONNECT", target=b"a.example"), 400, "bad_target"),
    "connect userinfo": (get(method=b"CONNECT", target=b"u@a.example:1"), 400, "bad_target"),
    "connect bad host": (b"CONNECT b:1 HTTP/1.1\r\nHost: b,\r\n\r\n", 400, "bad_host"),
    "scheme ftp": (get(target=b"ftp://a.example/"), 400, "bad_target"),
    "scheme only": (get(target=b"http:///a"), 400, "bad_target"),
    "absolute userinfo": (get(target=b"http://u:p@a.example/"), 400, "bad_target"),
    "absolute other host": (get(target=b"http://b.example/"), 400, "host_mismatch"),
    "absolute other port": (get(target=b"http://a.example:81/"), 400, "host_mismatch"),
    "absolute https port": (get(target=b"https://a.example:80/"), 400, "host_mismatch"),
    "absolute no host": (b"GET http://a/ HTTP/1.1\r\n\r\n", 400, "missing_host"),
    "target too long": (get(target=b"/" + b"a" * 100), 414, "target_too_long"),
    "target far too long": (get(target=b"/" + b"a" * 9999), 414, "target_too_long"),
    # lines
    "bare lf": (b"GET / HTTP/1.1\nHost: a\n\n", 400, "bad_line_ending"),
    "bare lf in fields": (get(b"A: b\nC: d\r\n"), 400, "bad_line_ending"),
    "bare lf at end": (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "bad_line_ending"),
    "bare cr": (get(b"A: b\rC: d\r\n"), 400, "bad_line_ending"),
    "cr cr lf": (get(b"A: b\r\r\n"), 400, "bad_line_ending"),
    "cr before line": (b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_line_ending"),
    "lf before line": (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_line_ending"),
    "cr and lf apart": (get(b"A\n: b\rC: d\r\n"), 400, "bad_line_ending"),
    "nul in value": (get(b"A: b\0c\r\n"), 400, "bad_field_value"),
    "ctl in value": (get(b"A: b\x07\r\n"), 400, "bad_field_value"),
    "del in value": (get(b"A: \x7f\r\n"), 400, "bad_field_value"),
    "vt before chunked": (get(b"Transfer-Encoding: \x0bchunked\r\n"), 400, "bad_field_value"),
    "nul in name": (get(b"A\0: b\r\n"), 400, "bad_field_name"),
    "space before colon": (get(b"A : b\r\n"), 400, "bad_field_name"),
    "tab before colon": (get(b"A\t: b\r\n"), 400, "bad_field_name"),
    "name latin": (get(b"\xe9: b\r\n"), 400, "bad_field_name"),
    "name with slash": (get(b"A/b: b\r\n"), 400, "bad_field_name"),
    "name empty": (get(b": b\r\n"), 400, "bad_field_name"),
    "no colon": (get(b"Accept\r\n"), 400, "bad_field_line"),
    "fold": (get(b"A: b\r\n c\r\n"), 400, "obs_fold"),
    "fold by tab": (get(b"A: b\r\n\tc: d\r\n"), 400, "obs_fold"),
    "first line folded": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "obs_fold"),
    "space line": (get(b" \r\n"), 400, "obs_fold"),
    # framing
    "length and chunked": (get(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400, "conflicting_framing"),
    "zero and chunked": (get(b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), 400, "conflicting_framing"),
    "chunked and length": (get(b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), 400, "conflicting_framing"),
    "chunked http10": (get(b"Transfer-Encoding: chunked\r\n", version=b"HTTP/1.0"), 400, "bad_transfer_encoding"),
    "websocket with length": (
        get(b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n"), 400, "upgrade_with_body",
    ),
    "websocket chunked": (
        get(b"Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n"), 400, "upgrade_with_body",
    ),
    **{
        f"length {value!r}": (get(b"Content-Length:%b\r\n" % value), 400, "bad_content_length")
        for value in (
            b"", b" +5", b" -0", b" 5, 5", b" 5 5", b" 0x5", b" 1_0", b" 5.", b" 1e3", b"\xb2",
            b" 1234567890123456789", b" 5\r\nContent-Length: 5", b" 5\r\ncontent-length: 6",
            b" 0\r\nCONTENT-LENGTH: 0",
        )
    },
    **{
        f"coding {value!r}": (get(b"Transfer-Encoding:%b\r\n" % value), 400, "bad_transfer_encoding")
        for value in (
            b"", b" identity", b" x", b" xchunked", b" chunked, chunked", b" gzip, chunked", b" chunked;p",
            b" , chunked", b" chunked,", b" \xa0chunked", b" chunked\r\nTransfer-Encoding: chunked",
            b" chunked\r\nTransfer-Encoding: x",
        )
    },
    # host
    "no host": (b"GET / HTTP/1.1\r\nA: b\r\n\r\n", 400, "missing_host"),
    "two hosts": (get(b"Host: b\r\n"), 400, "duplicate_host"),
    "two equal hosts": (get(b"host: a.example\r\n"), 400, "duplicate_host"),
    **{
        f"host {value!r}": (b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % value, 400, "bad_host")
        for value in (
            b"", b"a b", b"a,b", b"u@a", b"a/b", b"a?b", b"a#b", b"a\\b", b"a:b", b"a:80:80", b"a:-1",
            b"a:65536", b":80", b"[::1", b"::1", b"[::1]a", b"[1.2.3.4]", b"[:::1]", b"[v1.a]",
            b"[fe80::1%25eth0]", b"\xe9", b"a%2eb", b"a:000080", b"[]", b'"a"',
        )
    },
    # limits
    "too many fields": (get(b"A: b\r\n" * 12), 431, "too_many_fields"),
    "too large": (get(b"A: %b\r\n" % (b"x" * (ROOM + 1))), 431, "head_too_large"),
    "far too large": (get(b"A: %b\r\n" % (b"x" * 5630)), 431, "head_too_large"),
    "name far too large": (get(b"%b: x\r\n" % (b"x" * 5630)), 431, "head_too_large"),
    "too large by empty lines": (b"\r\n" + get(b"A: %b\r\n" % (b"x" * ROOM)), 431, "head_too_large"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "expected"), GOOD.values(), ids=GOOD)
def test_good_head_is_read(
    implementation: ModuleType, outcome: Outcome, data: bytes, expected: dict[str, object]
) -> None:
    parse = implementation.parse_request_head
    size = {"size": len(data)}
    assert outcome(parse, data, LIMITS) == expected | size
    assert outcome(parse, data + b"\0\n\r\n\r\nbody", LIMITS) == expected | size
    for end in range(len(data)):
        assert outcome(parse, data[:end], LIMITS) is None, data[:end]


@pytest.mark.parametrize(("data", "status", "reason"), BAD.values(), ids=BAD)
def test_bad_head_is_refused(
    implementation: ModuleType, outcome: Outcome, data: bytes, status: int, reason: str
) -> None:
    parse = implementation.parse_request_head
    assert outcome(parse, data, LIMITS) == (status, reason)
    assert outcome(parse, data + get(), LIMITS) == (status, reason)


@pytest.mark.parametrize(("data", "status"), [row[:2] for row in BAD.values()], ids=BAD)
def test_bad_head_stays_refused_however_it_is_cut(
    implementation: ModuleType, outcome: Outcome, data: bytes, status: int
) -> None:
    outcomes = [
        outcome(implementation.parse_request_head, data[:end], LIMITS) for end in range(min(len(data), 900) + 1)
    ]
    refused = [found for found in outcomes if found is not None]
    assert {found[0] for found in refused} <= {status}
    assert outcomes[-len(refused) :] == refused, "a beginning was refused, and more of the same was not"


EARLY = {
    "tls": (b"\x16", "bad_request_line"),
    "bare lf": (b"GET / HTTP/1.1\n", "bad_line_ending"),
    "http09": (b"GET /\r\n", "bad_request_line"),
    "version": (b"GET / HTTQ", "bad_version"),
    "method": (b"{", "bad_method"),
    "method too long": (b"M" * 33, "bad_method"),
    "target": (b"GET /\xff", "bad_target"),
    "target too long": (b"GET /" + b"a" * 100, "target_too_long"),
    "control": (b"GET / HTTP/1.1\r\nA: \0", "bad_field_value"),
    "size": (b"GET / HTTP/1.1\r\nA: " + b"a" * 581, "head_too_large"),
    "fields": (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 13, "too_many_fields"),
    "empty lines": (b"\r\n" * 5, "bad_request_line"),
    "fold": (b"GET / HTTP/1.1\r\n ", "obs_fold"),
    "name": (b"GET / HTTP/1.1\r\nA : b\r\n", "bad_field_name"),
    "two lengths": (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n", "bad_content_length"),
}


@pytest.mark.parametrize(("data", "reason"), EARLY.values(), ids=EARLY)
def test_beginning_is_refused_as_soon_as_it_is_wrong(
    implementation: ModuleType, outcome: Outcome, data: bytes, reason: str
) -> None:
    parse = implementation.parse_request_head
    assert outcome(parse, data, LIMITS)[1] == reason
    assert outcome(parse, data[:-1], LIMITS) is None


def test_underscores_pass_where_allowed_but_aliases_never(implementation: ModuleType, outcome: Outcome) -> None:
    limits = HeadLimits(underscores=True)
    data = get(
        b"A_b: 1\r\nX_Forwarded_For: 2\r\nX-Forwarded_Host: 3\r\nContent_Length: 4\r\nProxy_X: 5\r\nX_REAL_IP: 6\r\n"
    )
    found = outcome(implementation.parse_request_head, data, limits)
    assert found == head(block=b"A_b: 1\r\n", size=len(data))


def test_many_names_do_not_change_what_a_name_means(implementation: ModuleType, outcome: Outcome) -> None:
    parse = implementation.parse_request_head
    many = HeadLimits(size=1 << 20, fields=4000)
    outcome(parse, get(b"".join(b"X-%d: y\r\n" % i for i in range(3000))), many)
    assert outcome(parse, *GOOD["browser"][:1], LIMITS)["block"] == BROWSER
    assert outcome(parse, get(b"Content-Length: 1\r\n"), many)["length"] == 1
