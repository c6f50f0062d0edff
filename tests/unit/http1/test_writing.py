"""Our own framing: that whoever receives it finds the end."""

import pytest

from proxy.http1.framing import ChunkedDecoder, LengthDecoder
from proxy.http1.limits import HeadLimits
from proxy.http1.message import CHUNKED, NO_BODY
from proxy.http1.writing import End, chunk, last_chunk, response_framing


@pytest.mark.parametrize(
    ("length", "minor", "done", "expected"),
    [
        (0, 1, True, (b"Content-Length: 0\r\n", End.KNOWN)),
        (9, 0, False, (b"Content-Length: 9\r\n", End.KNOWN)),
        (NO_BODY, 1, True, (b"", End.KNOWN)),
        (NO_BODY, 0, True, (b"", End.KNOWN)),
        (NO_BODY, 1, False, (b"Transfer-Encoding: chunked\r\n", End.CHUNKED)),
        (CHUNKED, 1, False, (b"Transfer-Encoding: chunked\r\n", End.CHUNKED)),
        (NO_BODY, 0, False, (b"", End.CLOSE)),
        (CHUNKED, 0, False, (b"", End.CLOSE)),
    ],
)
def test_response_framing_is_what_the_client_can_read(
    length: int, minor: int, done: bool, expected: tuple[bytes, End]
) -> None:
    assert response_framing(length, minor, done) == expected


def test_chunks_are_read_as_they_were_written() -> None:
    decoder = ChunkedDecoder(HeadLimits())
    body = b"".join(decoder.feed(b"".join(chunk(piece))) for piece in (b"a", b"x" * 300, b"\r\n"))
    assert body + decoder.feed(last_chunk(b"t: 1\r\n")) == b"a" + b"x" * 300 + b"\r\n"
    assert (decoder.done, decoder.rest, decoder.trailers) == (True, b"", b"t: 1\r\n")


def test_length_decoder_ends_after_its_length() -> None:
    decoder = LengthDecoder(4)
    assert [decoder.feed(piece) for piece in (b"b", b"", b"odyGET")] == [b"b", b"", b"ody"]
    assert (decoder.done, decoder.rest, decoder.trailers) == (True, b"GET", b"")
    assert LengthDecoder(0).done
