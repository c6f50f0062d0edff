"""What we take, h11 and httptools (llhttp) do not read differently. What they refuse says nothing."""

import re
from itertools import pairwise
from typing import Any

import h11
import httptools
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from proxy.http1 import fields
from proxy.http1.errors import MessageError
from proxy.http1.framing import ChunkedDecoder
from proxy.http1.head import parse_request_head, parse_response_head
from proxy.http1.limits import HeadLimits
from proxy.http1.message import CHUNKED, NO_BODY, RequestHead, ResponseHead

LIMITS = HeadLimits(underscores=True)
CHUNKS = b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\n"
Fields = list[tuple[bytes, bytes]]

tokens = st.text("abcXYZ019-_.!", min_size=1, max_size=8).map(str.encode)
names = tokens | st.sampled_from([b"Accept", b"Connection", b"Expect", b"Via", b"TE", b"Cookie"])
values = st.sampled_from([b"close", b"keep-alive", b"x, y", b"", b"5", b"\xe9", b"a\tb", b'"q, r"', b"*/*;q=0.8"])
colons = st.sampled_from([b": "] * 5 + [b":", b":\t", b": \t "])
rows = st.lists(st.tuples(names, colons, values).map(b"".join), max_size=5)
GOOD_FRAMINGS = [
    b"Content-Length: 5", b"content-length:0", b"Content-Length: 005 ", b"Transfer-Encoding: chunked",
    b"transfer-encoding:Chunked", b"Content-Length: 3\r\nContent_Length: 7",
    b"Content-Length: 2\r\nTransfer_Encoding: x",
]  # fmt: skip
BAD_FRAMINGS = [
    b"Content-Length: +5", b"Content-Length: 5, 5", b"Content-Length: 5\r\nContent-Length: 5", b"Content-Length: 5 5",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: xchunked",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: \x0bchunked",
]  # fmt: skip
framings = st.sampled_from(GOOD_FRAMINGS * 3 + BAD_FRAMINGS)
paths = st.text("/ab?=&.%20~:@!;", max_size=12).map(lambda text: b"/" + text.encode())
methods = st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE"])
WOUNDS = [b"\r", b"\n", b" ", b"\t", b":", b"\0", b"\r\n", b",", b"\x0b", b"\xa0", b"0", b"\r\n ", b"\x7f", b"#"]


@st.composite
def heads(draw: st.DrawFn, start: bytes, framing: st.SearchStrategy[bytes | None]) -> bytes:
    """A start line, fields with the framing among them, and sometimes a wound."""
    lines = draw(rows)
    found = draw(framing)
    if found is not None:
        lines.insert(draw(st.integers(0, len(lines))), found)
    data = start + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    if draw(st.integers(0, 2)):
        return data
    at = draw(st.integers(0, len(data)))
    return data[:at] + draw(st.sampled_from(WOUNDS)) + data[at:]


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method = draw(methods)
    targets = paths | paths.map(lambda path: b"http://a.example" + path)
    target = draw(targets if method != b"OPTIONS" else targets | st.just(b"*"))
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"]))
    start = b"%b %b %b\r\nHost: a.example\r\n" % (method, target, version)
    return draw(heads(start, st.none() | framings))


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    status = draw(st.sampled_from([b"200 OK", b"404 No", b"500 ", b"203 a b"]))
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"]))
    return draw(heads(b"%b %b\r\n" % (version, status), framings))


def body_of(head: RequestHead | ResponseHead) -> bytes:
    """A body as the head announces it (wounds make lengths of hundreds at most)."""
    return CHUNKS if head.length == CHUNKED else b"x" * max(head.length, 0)


def payload_of(head: RequestHead | ResponseHead, body: bytes) -> bytes:
    if head.length != CHUNKED:
        return body
    decoder = ChunkedDecoder(LIMITS)
    payload = decoder.feed(body)
    assert decoder.done
    return payload


def survived(block: bytes, theirs: Fields) -> bool:
    """Whether our fields are among theirs, in order."""
    rest = iter([(name.lower(), value.strip(b" \t")) for name, value in theirs])
    return all(row in rest for row in fields.items(block))


def target_is(ours: bytes, theirs: bytes) -> bool:
    """Whether theirs is ours, or its absolute form."""
    path = theirs.removeprefix(b"http://a.example")
    return ours in (theirs, path, b"/" + path) or (ours == b"*" and not path)


class Witness:
    """httptools' callbacks, collected."""

    def __init__(self) -> None:
        self.url = self.status = self.body = b""
        self.fields: Fields = []
        self.complete = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_status(self, status: bytes) -> None:
        self.status += status

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.complete:
            self.fields.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete += 1


def seen_by_httptools(kind: Any, data: bytes) -> tuple[Any, Witness] | None:
    witness = Witness()
    parser = kind(witness)
    try:
        parser.feed_data(data)
    except httptools.HttpParserError:
        return None
    return parser, witness


@given(requests())
@settings(max_examples=200)
def test_httptools_reads_our_requests_the_same(data: bytes) -> None:
    head = accepted(parse_request_head, data)
    body = body_of(head)
    seen = seen_by_httptools(httptools.HttpRequestParser, data[: head.size] + body)
    assume(seen is not None)
    parser, witness = seen  # type: ignore[misc]
    assert parser.get_method() == head.method
    assert parser.get_http_version() == f"1.{head.minor}"
    assert target_is(head.target, witness.url)
    assert witness.complete == 1
    assert witness.body == payload_of(head, body)
    assert survived(head.block, witness.fields)


@given(requests())
@settings(max_examples=200)
def test_h11_reads_our_requests_the_same(data: bytes) -> None:
    head = accepted(parse_request_head, data)
    body = body_of(head)
    peer = h11.Connection(h11.SERVER)
    try:
        peer.receive_data(data[: head.size] + body + NEXT)
        request = peer.next_event()
    except h11.RemoteProtocolError:
        return
    assert isinstance(request, h11.Request)
    assert request.method == head.method
    assert request.http_version == b"1.%d" % head.minor
    assert target_is(head.target, request.target)
    assert survived(head.block, list(request.headers))
    assert read_by_h11(peer) == (payload_of(head, body), NEXT)


@given(responses())
@settings(max_examples=200)
def test_h11_reads_our_responses_the_same(data: bytes) -> None:
    head = accepted(parse_response_head, data)
    assume(head.length != NO_BODY)
    body = body_of(head)
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    peer.send(h11.EndOfMessage())
    try:
        peer.receive_data(data[: head.size] + body + NEXT)
        response = peer.next_event()
    except h11.RemoteProtocolError:
        return
    assert isinstance(response, h11.Response)
    assert (response.status_code, bytes(response.reason)) == (head.status, head.reason)
    assert survived(head.block, list(response.headers))
    assert read_by_h11(peer) == (payload_of(head, body), NEXT)


@given(responses())
@settings(max_examples=200)
def test_httptools_reads_our_responses_the_same(data: bytes) -> None:
    head = accepted(parse_response_head, data)
    assume(head.length != NO_BODY)
    body = body_of(head)
    # httptools overlooks chunked with a tab behind it, which is optional white space like a blank (RFC 9110 §5.6.3).
    shown = re.sub(rb"(?i)(chunked)[ \t]+\r\n", rb"\1\r\n", data[: head.size])
    seen = seen_by_httptools(httptools.HttpResponseParser, shown + body)
    assume(seen is not None)
    parser, witness = seen  # type: ignore[misc]
    assert parser.get_status_code() == head.status
    assert witness.complete == 1
    assert witness.body == payload_of(head, body)
    assert survived(head.block, witness.fields)


def accepted(parse: Any, data: bytes) -> Any:
    try:
        head = parse(data, LIMITS)
    except MessageError:
        head = None
    assume(head is not None)
    return head


def read_by_h11(peer: h11.Connection) -> tuple[bytes, bytes]:
    """Payload and what follows, as h11 sees them."""
    payload = b""
    while isinstance(event := peer.next_event(), h11.Data):
        payload += event.data
    assert isinstance(event, h11.EndOfMessage)
    return payload, peer.trailing_data[0]


pieces = st.lists(st.binary(min_size=1, max_size=40), max_size=5)


@given(pieces, st.lists(st.integers(0, 300), max_size=6), st.sampled_from([b"", b";a=b"]))
@settings(max_examples=100)
def test_chunked_payload_survives_any_cut(chunks: list[bytes], places: list[int], extension: bytes) -> None:
    data = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks) + b"0\r\nA: b\r\n\r\nrest"
    cuts = sorted({place for place in places if place < len(data)} | {0, len(data)})
    decoder = ChunkedDecoder(LIMITS)
    payload = b"".join(decoder.feed(data[start:end]) for start, end in pairwise(cuts))
    assert (payload, decoder.done, decoder.trailers, decoder.rest) == (b"".join(chunks), True, b"A: b\r\n", b"rest")
