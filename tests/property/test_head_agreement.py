"""The reference and the fast ways take the same heads the same way, whatever the bytes."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.http1 import head as reference
from proxy.http1.errors import MessageError
from proxy.http1.limits import HeadLimits

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NAMES = [
    b"Host", b"Cookie", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Keep-Alive", b"TE", b"Trailer",
    b"Upgrade", b"HTTP2-Settings", b"Proxy-Connection", b"Expect", b"Via", b"Traceparent", b"Tracestate",
    b"Cache-Control", b"X-Forwarded-For", b"X-Forwarded", b"Forwarded", b"X-Real-IP", b"X-Request-Id",
    b"X-Sluice-Shadow",    b"X-Envoy-A", b"X_Forwarded_For", b"Content_Length", b"A_b", b"Accept", b"User-Agent", b"X",
    b"x-forwardedness", b"hos", b"T", b"Proxy", b"",
]  # fmt: skip
VALUES = [
    b"", b"a.example", b"a.example:80", b"a:99999", b"[::1]", b"a,b", b"a=b; c=d", b"0", b"5", b"0005", b"+5", b"5, 5",
    b"123456789012345678", b"1234567890123456789", b"chunked", b"Chunked", b"gzip, chunked", b"close", b"Keep-Alive",
    b"close, x", b"upgrade", b"websocket", b"h2c", b"trailers", b"100-continue", b"x", PARENT, PARENT.upper(),
    PARENT[:3] + b"0" * 32 + PARENT[35:], b"ff" + PARENT[2:], b"\xe9", b"a\tb", b"a\0", b"a\rb", b"a\nb", b"a\x7f",
]  # fmt: skip
TARGETS = [
    b"/", b"/a?b=c", b"/p/1/item?id=2", b"*", b"http://a.example/b", b"http://a.example", b"https://a.example:443?x",
    b"a.example:80", b"/a#b", b"/\xe9", b"/a\\b", b"", b"a", b"/a b",
]  # fmt: skip
METHODS = [
    b"GET",
    b"POST",
    b"HEAD",
    b"PUT",
    b"PATCH",
    b"DELETE",
    b"OPTIONS",
    b"CONNECT",
    b"PLAY",
    b"get",
    b"X-Y",
    b"",
    b"G{T",
]
VERSIONS = [b"HTTP/1.1"] * 6 + [b"HTTP/1.0"] * 2 + [b"HTTP/1.2", b"http/1.1", b"HTTP/1.11", b""]
STATUSES = [
    b"200 OK",
    b"404",
    b"204 ",
    b"101 Switching Protocols",
    b"099 x",
    b"600 x",
    b"2000 x",
    b"200\tx",
    b"500 \xe9",
]

spaces = st.sampled_from([b" ", b" ", b" ", b"", b"\t", b"  ", b" \t "])
cases = st.sampled_from([bytes, bytes, bytes.lower, bytes.upper, bytes.swapcase])
lines = st.tuples(st.sampled_from(NAMES), cases, spaces, st.sampled_from(VALUES), spaces).map(
    lambda part: part[1](part[0]) + b":" + part[2] + part[3] + part[4]
)
fields = st.lists(
    st.one_of(lines, st.sampled_from([b"Host: a.example", b"Host: a.example", b"Accept: */*"])), max_size=9
)
request_lines = st.tuples(*map(st.sampled_from, (METHODS, TARGETS, VERSIONS))).map(b" ".join)
status_lines = st.tuples(st.sampled_from(VERSIONS), st.sampled_from(STATUSES)).map(b" ".join)
NOISE = [
    b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b"\x7f", b"\x80", b"\xff", b",", b"_", b"-", b"\r\n\r\n", b"X",
    b"\x0b",
]  # fmt: skip


def message(start: bytes, rows: list[bytes], before: bytes, after: bytes) -> bytes:
    return before + b"".join(row + b"\r\n" for row in (start, *rows, b"")) + after


befores = st.sampled_from([b"", b"", b"", b"", b"\r\n", b"\r\n" * 4, b"\r\n" * 5, b"\r", b"\n"])
afters = st.sampled_from([b"", b"", b"body", b"\r\n\r\n", b"\0", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
requests = st.builds(message, request_lines, fields, befores, afters)
good_requests = st.builds(
    message, st.just(b"GET /a HTTP/1.1"), fields.map(lambda rows: [b"Host: a", *rows]), st.just(b""), afters
)
responses = st.builds(message, status_lines, fields, befores, afters)


@st.composite
def mutated(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """A message with up to three small wounds."""
    data = draw(messages)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.integers(0, 3))
        data = data[:at] + draw(st.sampled_from([b"", *NOISE])) + data[at + gone :]
    return data


limits = st.sampled_from(
    [
        HeadLimits(),
        HeadLimits(underscores=True),
        HeadLimits(size=120, fields=5, target=6),
        HeadLimits(size=60, fields=2),
    ]
)


@pytest.fixture(scope="module", params=["ordinary", "_head"])
def fast(request: pytest.FixtureRequest) -> ModuleType:
    """The plain parser as it is run, and the fast."""
    try:
        return importlib.import_module(f"proxy.http1.{request.param}")
    except ImportError:
        pytest.skip("the accelerator is not built")


def outcome(parse: Callable[..., Any], data: bytes, bounds: HeadLimits) -> Any:
    try:
        head = parse(data, bounds)
    except MessageError as error:
        return error.status, error.reason, str(error)
    return head and [getattr(head, name) for name in head.__slots__]


@pytest.mark.parametrize("name", NAMES)
def test_both_read_each_field_the_same(fast: ModuleType, name: bytes) -> None:
    starts = {"request": b"GET / HTTP/1.1\r\nHost: a\r\n", "response": b"HTTP/1.1 200 OK\r\n"}
    for kind, start in starts.items():
        for line in (spelt + b": " + value for spelt in (name, name.upper(), name.lower()) for value in VALUES):
            data = start + b"A: b\r\n" + line + b"\r\nC: d\r\n\r\n"
            expected = outcome(getattr(reference, f"parse_{kind}_head"), data, HeadLimits())
            assert outcome(getattr(fast, f"ordinary_{kind}_head"), data, HeadLimits()) in (None, expected)
            assert outcome(getattr(fast, f"parse_{kind}_head"), data, HeadLimits()) == expected


@given(st.one_of(mutated(requests), mutated(good_requests), st.binary(max_size=80)), limits)
@example(b"GET / HTTP/1.1\r\nHost: a\r\nA\n: b\r\r\n\r\n", HeadLimits())
@settings(max_examples=200)
def test_both_read_requests_the_same(fast: ModuleType, data: bytes, bounds: HeadLimits) -> None:
    expected = outcome(reference.parse_request_head, data, bounds)
    assert outcome(fast.parse_request_head, data, bounds) == expected
    assert outcome(fast.ordinary_request_head, data, bounds) in (None, expected)


@given(st.one_of(mutated(responses), st.binary(max_size=80)), limits)
@settings(max_examples=200)
def test_both_read_responses_the_same(fast: ModuleType, data: bytes, bounds: HeadLimits) -> None:
    expected = outcome(reference.parse_response_head, data, bounds)
    assert outcome(fast.parse_response_head, data, bounds) == expected
    assert outcome(fast.ordinary_response_head, data, bounds) in (None, expected)


plain_rows = st.tuples(st.sampled_from([b"Accept", b"user-agent", b"X"]), spaces, st.sampled_from(VALUES))


@given(st.lists(plain_rows.map(lambda row: row[0] + b":" + row[1] + row[2]), max_size=9))
@settings(max_examples=50)
def test_ordinary_heads_need_no_reference(fast: ModuleType, rows: list[bytes]) -> None:
    data = message(b"GET /a?b HTTP/1.1", [b"Host: a", *rows, b"Cookie: c=d", b"Connection: keep-alive"], b"", b"")
    outcome(reference.parse_request_head, data, HeadLimits())  # the names are known from here on
    found = fast.ordinary_request_head(data, HeadLimits())
    clean = all(byte >= 32 and byte != 127 for byte in b"".join(rows).replace(b"\t", b""))
    assert (found is not None) == clean


@given(st.one_of(mutated(requests), mutated(good_requests)), limits, st.data())
@settings(max_examples=200)
def test_nothing_good_is_refused_by_its_beginning(data: bytes, bounds: HeadLimits, draw: st.DataObject) -> None:
    whole = outcome(reference.parse_request_head, data, bounds)
    part = outcome(reference.parse_request_head, data[: draw.draw(st.integers(0, len(data)))], bounds)
    if isinstance(part, tuple):
        assert isinstance(whole, tuple)
    elif part is not None:
        assert whole == part
