"""Chunked bodies, good and bad: each whole, byte by byte and split at every point."""

from collections.abc import Iterable

import pytest

from proxy.http1.errors import MessageError
from proxy.http1.framing import ChunkedDecoder
from proxy.http1.limits import HeadLimits

LIMITS = HeadLimits(size=200, fields=4)
LAST = b"0\r\n\r\n"
Result = tuple[bytes, bool, bytes, bytes]

GOOD: dict[str, tuple[bytes, bytes, bytes]] = {
    "empty": (LAST, b"", b""),
    "zeros": (b"000\r\n\r\n", b"", b""),
    "one": (b"5\r\nhello\r\n" + LAST, b"hello", b""),
    "two": (b"5\r\nhello\r\n6\r\n world\r\n" + LAST, b"hello world", b""),
    "hex": (b"a\r\n0123456789\r\nA\r\n0123456789\r\n" + LAST, b"0123456789" * 2, b""),
    "leading zeros": (b"0000000000000005\r\nhello\r\n" + LAST, b"hello", b""),
    "crlf in data": (b"4\r\n\r\n\r\n\r\n" + LAST, b"\r\n\r\n", b""),
    "chunk in data": (b"5\r\n0\r\n\r\n\r\n" + LAST, b"0\r\n\r\n", b""),
    "extension": (b'5;a=b; c ="d\\" \xe9;"\t;e\r\nhello\r\n0;x\r\n\r\n', b"hello", b""),
    "longest size line": (b"1;%b\r\nx\r\n" % (b"e" * 254) + LAST, b"x", b""),
    "trailers": (b"0\r\nX-Sum: 1\r\ngrpc-status:0\r\n\r\n", b"", b"X-Sum: 1\r\ngrpc-status:0\r\n"),
    "digest": (b"0\r\nContent-Digest: x\r\n\r\n", b"", b"Content-Digest: x\r\n"),
    "forbidden trailers": (b"0\r\nHost: a\r\nX: y\r\ncontent-LENGTH: 5\r\nCookie: c\r\n\r\n", b"", b"X: y\r\n"),
    "underscore in trailer": (b"0\r\nX_y: 1\r\n\r\n", b"", b""),
    "most trailers": (b"0\r\n" + b"A: b\r\n" * 4 + b"\r\n", b"", b"A: b\r\n" * 4),
    "largest trailers": (b"0\r\nA: %b\r\n\r\n" % (b"x" * 193), b"", b"A: %b\r\n" % (b"x" * 193)),
}

BAD: dict[str, tuple[bytes, str]] = {
    "empty line": (b"\r\n" + LAST, "bad_chunk"),
    "no size": (b";a\r\n" + LAST, "bad_chunk"),
    "leading space": (b" 5\r\nhello\r\n" + LAST, "bad_chunk"),
    "trailing space": (b"5 \r\nhello\r\n" + LAST, "bad_chunk"),
    "space before extension": (b"5 ;a\r\nhello\r\n" + LAST, "bad_chunk"),
    "trailing tab": (b"5\t\r\nhello\r\n" + LAST, "bad_chunk"),
    "minus": (b"-1\r\n" + LAST, "bad_chunk"),
    "plus": (b"+5\r\nhello\r\n" + LAST, "bad_chunk"),
    "prefix": (b"0x5\r\nhello\r\n" + LAST, "bad_chunk"),
    "underscore": (b"1_0\r\n0123456789abcdef\r\n" + LAST, "bad_chunk"),
    "no hex": (b"5g\r\nhello\r\n" + LAST, "bad_chunk"),
    "comma": (b"5,5\r\nhello\r\n" + LAST, "bad_chunk"),
    "too many digits": (b"00000000000000005\r\nhello\r\n" + LAST, "bad_chunk"),
    "lf after size": (b"5\nhello\r\n" + LAST, "bad_chunk"),
    "cr after size": (b"5\rhello\r\n" + LAST, "bad_chunk"),
    "cr cr lf": (b"5\r\r\nhello\r\n" + LAST, "bad_chunk"),
    "extension with nul": (b"5;\0\r\nhello\r\n" + LAST, "bad_chunk"),
    "extension with lf": (b"5;a\nb\r\nhello\r\n" + LAST, "bad_chunk"),
    "extension with cr": (b"5;a\rX\r\nhello\r\n" + LAST, "bad_chunk"),
    "extension with del": (b"5;\x7f\r\nhello\r\n" + LAST, "bad_chunk"),
    "extension without name": (b"5;\r\nhello\r\n" + LAST, "bad_chunk"),
    "extension of white space": (b"5; \t\r\nhello\r\n" + LAST, "bad_chunk"),
    "extension twice separated": (b"5;a;;b\r\nhello\r\n" + LAST, "bad_chunk"),
    "extension without value": (b"5;a=\r\nhello\r\n" + LAST, "bad_chunk"),
    "extension of two words": (b"5;a b\r\nhello\r\n" + LAST, "bad_chunk"),
    "extension not closed": (b'5;a="b\r\nhello\r\n' + LAST, "bad_chunk"),
    "size line too long": (b"1;%b\r\nx\r\n" % (b"e" * 255) + LAST, "bad_chunk"),
    "size line far too long": (b"1;%b\r\nx\r\n" % (b"e" * 70000) + LAST, "bad_chunk"),
    "data too long": (b"5\r\nhello!!\r\n" + LAST, "bad_chunk"),
    "data too short": (b"5\r\nhell\r\n" + LAST, "bad_chunk"),
    "lf after data": (b"5\r\nhello\n" + LAST, "bad_chunk"),
    "cr after data": (b"5\r\nhello\r" + LAST, "bad_chunk"),
    "other two bytes after data": (b"5\r\nhelloXX" + LAST, "bad_chunk"),
    "cr and other after data": (b"5\r\nhello\rX" + LAST, "bad_chunk"),
    "lf after last": (b"0\n\r\n", "bad_chunk"),
    "lf at end": (b"0\r\n\n", "bad_line_ending"),
    "cr at end": (b"0\r\n\rX", "bad_line_ending"),
    "lf in trailers": (b"0\r\nA: b\nC: d\r\n\r\n", "bad_line_ending"),
    "nul in trailers": (b"0\r\nA: \0\r\n\r\n", "bad_field_value"),
    "fold in trailers": (b"0\r\nA: b\r\n c\r\n\r\n", "obs_fold"),
    "space in trailers": (b"0\r\nA : b\r\n\r\n", "bad_field_name"),
    "trailer without name": (b"0\r\n: b\r\n\r\n", "bad_field_name"),
    "trailer without colon": (b"0\r\nAbc\r\n\r\n", "bad_field_line"),
    "too many trailers": (b"0\r\n" + b"A: b\r\n" * 5 + b"\r\n", "too_many_fields"),
    "trailers too large": (b"0\r\nA: %b\r\n\r\n" % (b"x" * 194), "head_too_large"),
    "trailers far too large": (b"0\r\nA: %b\r\n\r\n" % (b"x" * 1940), "head_too_large"),
}


def decode(pieces: Iterable[bytes]) -> Result:
    decoder = ChunkedDecoder(LIMITS)
    body = b"".join([decoder.feed(piece) for piece in pieces])
    return body, decoder.done, decoder.trailers, decoder.rest


def cuts(data: bytes) -> Iterable[list[bytes]]:
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    yield from ([data[:at], data[at:]] for at in range(1, min(len(data), 300)))


@pytest.mark.parametrize(("data", "body", "trailers"), GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("rest", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n"])
def test_good_body_is_read(data: bytes, body: bytes, trailers: bytes, rest: bytes) -> None:
    for pieces in cuts(data + rest):
        assert decode(pieces) == (body, True, trailers, rest), pieces


@pytest.mark.parametrize(("data", "body", "trailers"), GOOD.values(), ids=GOOD)
def test_body_is_not_done_before_its_end(data: bytes, body: bytes, trailers: bytes) -> None:
    for end in range(len(data)):
        payload, done, _, _ = decode([data[:end]])
        assert not done, data[:end]
        assert body.startswith(payload)
    assert decode([data])[1:3] == (True, trailers)


@pytest.mark.parametrize(("data", "reason"), BAD.values(), ids=BAD)
def test_bad_body_is_refused(data: bytes, reason: str) -> None:
    for pieces in cuts(data):
        with pytest.raises(MessageError) as refusal:
            decode(pieces)
        assert refusal.value.reason == reason, pieces
        assert refusal.value.status == (431 if reason in ("head_too_large", "too_many_fields") else 400)


EARLY = [
    b"g", b" ", b"5\n", b"5 ", b"\r", b"5;\0", b"1;" + b"e" * 256, b"0" * 17, b"5\r\nhellox", b"0\r\n\n", b"0\r\nA\0",
    b"0\r\n" + b"A: b\r\n" * 5, b"0\r\nA: " + b"x" * 197,
]  # fmt: skip


@pytest.mark.parametrize("data", EARLY)
def test_beginning_is_refused_as_soon_as_it_is_wrong(data: bytes) -> None:
    assert not decode([data[:-1]])[1]
    with pytest.raises(MessageError):
        decode([data])


def test_piece_inside_a_chunk_is_passed_on_without_a_copy() -> None:
    decoder = ChunkedDecoder(LIMITS)
    decoder.feed(b"fffff\r\n")
    piece = bytes(256 * 1024)
    assert decoder.feed(piece) is piece


def test_largest_size_is_taken() -> None:
    decoder = ChunkedDecoder(LIMITS)
    assert decoder.feed(b"ffffffffffffffff\r\nabc") == b"abc"
    assert not decoder.done


def test_bytes_after_the_end_are_kept() -> None:
    decoder = ChunkedDecoder(LIMITS)
    decoder.feed(LAST + b"a")
    assert decoder.feed(b"bc") == b""
    assert decoder.rest == b"abc"


FORBIDDEN = (
    b"Transfer-Encoding Content-Length Host Cookie Set-Cookie Authorization Proxy-Authorization Connection TE Trailer "
    b"Upgrade Content-Type Content-Encoding Content-Range X-Forwarded-For Forwarded X-Real-IP X-Request-Id Via Expect "
    b"If-Match Range Cache-Control Location Date Traceparent Keep-Alive Max-Forwards WWW-Authenticate Origin"
).split()


@pytest.mark.parametrize("name", FORBIDDEN)
@pytest.mark.parametrize("underscores", [False, True])
def test_trailer_that_decides_something_is_dropped(name: bytes, underscores: bool) -> None:
    decoder = ChunkedDecoder(HeadLimits(underscores=underscores))
    decoder.feed(b"0\r\n%b: a\r\n%b: b\r\nX: c\r\n\r\n" % (name.upper(), name.replace(b"-", b"_")))
    assert decoder.trailers == b"X: c\r\n"
    assert decoder.done


def test_trailer_with_underscore_passes_where_allowed() -> None:
    decoder = ChunkedDecoder(HeadLimits(underscores=True))
    decoder.feed(b"0\r\nX_y: c\r\n\r\n")
    assert decoder.trailers == b"X_y: c\r\n"
