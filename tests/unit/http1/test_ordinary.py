from collections.abc import Iterator

import pytest

from proxy.http1 import ordinary
from proxy.http1.head import parse_request_head, parse_response_head
from proxy.http1.limits import HeadLimits

LIMITS = HeadLimits(fields=8)


@pytest.fixture(autouse=True)
def only_names_known() -> Iterator[None]:
    ordinary._status_lines.clear()
    fields = b"Host: a\r\nA: b\r\nB: c\r\nKeep-Alive: x\r\nCookie: d\r\n\r\n"
    parse_request_head(b"GET / HTTP/1.1\r\n" + fields, LIMITS)
    parse_response_head(b"HTTP/1.1 200 OK\r\n" + fields, LIMITS)
    yield
    ordinary._status_lines.clear()


def status_lines(count: int, reason: bytes = b"No %d") -> Iterator[bytes]:
    return (b"HTTP/1.1 404 " + reason % number for number in range(count))


def test_remembered_status_lines_are_bounded_in_number_and_size() -> None:
    for line in status_lines(5000):
        assert ordinary.ordinary_response_head(line + b"\r\n\r\n", LIMITS) is not None
        assert len(ordinary._status_lines) <= 1024
    before = len(ordinary._status_lines)
    for line in status_lines(10, b"x" * 64 + b"%d"):
        found = ordinary.ordinary_response_head(line + b"\r\n\r\n", LIMITS)
        assert found is not None
        assert (found.status, found.reason) == (404, line[13:])
    assert len(ordinary._status_lines) == before


@pytest.mark.parametrize("line", [b"HTTP/1.1 200 OK", b"HTTP/1.1 204 ", b"HTTP/1.1 404", b"HTTP/1.1 599 a b\t\xe9"])
def test_status_line_is_read_the_same_again(line: bytes) -> None:
    data = line + b"\r\nA: b\r\n\r\n"
    first = ordinary.parse_response_head(data, LIMITS)
    assert line in ordinary._status_lines
    assert ordinary.parse_response_head(data, LIMITS) == first == parse_response_head(data, LIMITS)


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 101 x",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 600 x",
        b"HTTP/1.1 20 x",
        b"HTTP/1.1  200 x",
        b"HTTP/1.1 200\tx",
        b"http/1.1 200 OK",
        b"HTTP/1.1 200 O\x00K",
        b"HTTP/1.1 200 O\rK",
        b"HTTP/1.1 200 O\nK",
        b"",
    ],
)
def test_unusual_status_line_is_never_remembered(line: bytes) -> None:
    for _ in range(2):
        assert ordinary.ordinary_response_head(line + b"\r\nA: b\r\n\r\n", LIMITS) is None
    assert not ordinary._status_lines


@pytest.mark.parametrize("byte", [b"\0", b"\x01", b"\x08", b"\x0b", b"\x0c", b"\r", b"\n", b"\x1f", b"\x7f"])
@pytest.mark.parametrize("line", [b"A: x%by", b"A%b: y", b"Keep-Alive: x%by", b"Cookie: %bx", b"A: x%b", b"%bA: x"])
def test_control_character_is_not_ordinary_wherever_it_stands(line: bytes, byte: bytes) -> None:
    fields = b"Host: a\r\nB: c\r\n" + line % byte + b"\r\nB: c\r\n\r\n"
    assert ordinary.ordinary_request_head(b"GET / HTTP/1.1\r\n" + fields, LIMITS) is None
    assert ordinary.ordinary_response_head(b"HTTP/1.1 200 OK\r\n" + fields, LIMITS) is None


@pytest.mark.parametrize(
    ("start", "is_ordinary"),
    [
        (b"GET / HTTP/1.1", True),
        (b"GET /%2e/..?a=%zz HTTP/1.1", True),
        (b"GET  HTTP/1.1", False),
        (b"GET /", False),
        (b"GET / HTTP/1.1 ", False),
        (b"GET /a b HTTP/1.1", False),
        (b"GET a HTTP/1.1", False),
        (b"GET * HTTP/1.1", False),
        (b"GET /a#b HTTP/1.1", False),
        (b"GET /a\\b HTTP/1.1", False),
        (b"GET /a\tb HTTP/1.1", False),
        (b"GET /\xe9 HTTP/1.1", False),
        (b"", False),
    ],
)
def test_request_line_is_ordinary_only_in_its_plainest_form(start: bytes, is_ordinary: bool) -> None:
    found = ordinary.ordinary_request_head(start + b"\r\nHost: a\r\n\r\n", LIMITS)
    assert (found is not None) == is_ordinary


@pytest.mark.parametrize(
    ("fields", "block"),
    [
        (b"Host: a\r\n", b""),
        (b"A: 1\r\nHost: a\r\nA: 1\r\nCookie: x\r\nB:\r\n", b"A: 1\r\nA: 1\r\nB:\r\n"),
        (b"A: 1\r\nA: 1\r\nContent-Length: 0\r\nHost: a\r\nConnection: close\r\n", b"A: 1\r\nA: 1\r\n"),
    ],
)
def test_only_lines_that_are_passed_on_are_left(fields: bytes, block: bytes) -> None:
    data = b"GET / HTTP/1.1\r\n" + fields + b"\r\n"
    expected = parse_request_head(data, LIMITS)  # which also learns the names
    found = ordinary.ordinary_request_head(data, LIMITS)
    assert found == expected
    assert found is not None
    assert found.block == block


@pytest.mark.parametrize("count", [8, 9])
def test_number_of_fields_is_bounded_exactly(count: int) -> None:
    response = b"HTTP/1.1 200 OK\r\n" + b"Keep-Alive: x\r\n" * count + b"\r\n"
    parse_response_head(response, HeadLimits())
    assert (ordinary.ordinary_response_head(response, LIMITS) is not None) == (count <= LIMITS.fields)


@pytest.mark.parametrize("line", [b"Host", b"Keep-Alive", b"A", b" A: b", b": b", b""])
def test_line_without_a_name_and_colon_is_not_ordinary(line: bytes) -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\nA: b\r\n\r\n"
    found = ordinary.ordinary_request_head(data, LIMITS)
    assert found is None or (not line and found.size == len(data) - len(b"A: b\r\n\r\n"))
