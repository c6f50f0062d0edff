"""A request's body without a connection: where it ends, what is too much of it, and whether it comes fast enough."""

import pytest

from proxy.dataplane.pace import WINDOW
from proxy.dataplane.request_body import DRAIN_LIMIT, RequestBody
from proxy.http1.errors import MessageError
from proxy.http1.limits import HeadLimits
from proxy.http1.message import CHUNKED

LIMITS = HeadLimits()


def take(body: RequestBody, *pieces: bytes) -> bytes:
    return b"".join(map(body.take, pieces))


@pytest.mark.parametrize(
    ("length", "pieces", "rest", "trailers"),
    [
        (4, [b"body"], b"", b""),
        (4, [b"bo", b"dyGET"], b"GET", b""),
        (4, [b"", b"b", b"od", b"y"], b"", b""),
        (CHUNKED, [b"4\r\nbody\r\n0\r\n\r\nGET"], b"GET", b""),
        (CHUNKED, [b"2\r\nbo\r\n2", b"\r\ndy\r\n0\r\nt: 1\r\n\r\n"], b"", b"t: 1\r\n"),
    ],
)
def test_body_ends_where_its_framing_says(length: int, pieces: list[bytes], rest: bytes, trailers: bytes) -> None:
    body = RequestBody(length, LIMITS, None)
    assert take(body, *pieces) == b"body"
    assert (body.is_complete, body.rest, body.trailers) == (True, rest, trailers)


@pytest.mark.parametrize(
    ("pieces", "status", "reason"),
    [([b"4\r\nbody\r\n"], 0, None), ([b"5\r\nbodyb\r\n"], 413, "body_too_large"), ([b"nonsense"], 400, "bad_chunk")],
)
def test_body_is_refused_with_a_status(pieces: list[bytes], status: int, reason: str | None) -> None:
    body = RequestBody(CHUNKED, LIMITS, 4)
    if not status:
        assert take(body, *pieces) == b"body"
        return
    with pytest.raises(MessageError) as caught:
        take(body, *pieces)
    assert (caught.value.status, caught.value.reason) == (status, reason)


def test_body_is_drained_only_if_little_is_missing_and_it_comes() -> None:
    assert RequestBody(DRAIN_LIMIT, LIMITS, None).can_drain()
    assert not RequestBody(DRAIN_LIMIT + 1, LIMITS, None).can_drain()
    assert RequestBody(CHUNKED, LIMITS, None).can_drain()
    waiting = RequestBody(4, LIMITS, None)
    waiting.awaits_continue = True
    assert not waiting.can_drain()


def test_waste_adds_up() -> None:
    body = RequestBody(CHUNKED, LIMITS, None)
    assert not body.wastes(bytes(DRAIN_LIMIT))
    assert body.wastes(b"1")


def test_pace_is_that_of_the_window() -> None:
    body = RequestBody(10_000, LIMITS, None)
    body.take(bytes(5_000))
    assert not body.is_too_slow(100)
    body.begin_window()
    body.take(bytes(int(WINDOW) * 100 - 1))
    assert body.is_too_slow(100)
    assert not body.is_too_slow(None)
    body.take(b"1")
    assert not body.is_too_slow(100)
