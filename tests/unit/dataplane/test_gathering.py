"""Bodies that an action wants whole before it answers."""

from typing import Any

import pytest

from proxy.dataplane.gathering import gather
from proxy.filters.effects import ReadBody, Reply
from proxy.http1.message import CHUNKED, EXPECT_CONTINUE

TOO_LARGE = Reply(413, b"", b"too large")


def wanting(stage: Any, length: int, flags: int = 0, body: bytes = b"", done: Any = 0) -> Any:
    """An exchange that a filter has kept from its way, whose body is wanted from now on."""

    def answer(data: bytes) -> Reply:
        if data == b"bad":
            raise ZeroDivisionError
        return Reply(200, b"", b"got " + data)

    exchange = stage.begin(b"POST", length, body, done)
    exchange.attempt.vacate()
    exchange.attempt = None
    exchange.head.flags = flags
    stage.client.pause()
    gather(exchange, ReadBody(4, answer, TOO_LARGE))
    return exchange


@pytest.mark.parametrize("pieces", [[b"abcd"], [b"a", b"bc", b"d"], [b"", b"abcd"], [b"ab"]])
def test_body_is_answered_when_it_is_whole(make: Any, pieces: list[bytes]) -> None:
    stage = make()
    exchange = wanting(stage, CHUNKED, body=pieces[0])
    assert not stage.client.is_paused
    for piece in pieces[1:]:
        exchange.request_data(piece)
    assert stage.client.status == 0
    exchange.request_end(b"")
    assert (stage.client.status, stage.client.body) == (200, b"got " + b"".join(pieces))
    assert stage.client.events[-1] == "finished"


@pytest.mark.parametrize(
    ("length", "first", "more"), [(5, b"", None), (CHUNKED, b"abcde", None), (CHUNKED, b"abc", b"de")]
)
def test_body_that_is_too_large_is_answered_at_once(make: Any, length: int, first: bytes, more: bytes | None) -> None:
    stage = make()
    exchange = wanting(stage, length, EXPECT_CONTINUE, first)
    if more is not None:
        exchange.request_data(more)
    assert (stage.client.status, stage.client.body) == (413, b"too large")
    assert "100" not in stage.client.events


@pytest.mark.parametrize(
    ("flags", "first", "told"), [(EXPECT_CONTINUE, b"", 1), (EXPECT_CONTINUE, b"a", 0), (0, b"", 0)]
)
def test_client_that_waits_is_told_to_go_on(make: Any, flags: int, first: bytes, told: int) -> None:
    stage = make()
    wanting(stage, 4, flags, first)
    assert stage.client.events.count("100") == told


def test_answer_that_fails_is_one_requests_fault(make: Any) -> None:
    stage = make()
    wanting(stage, 3, 0, b"bad", done=1)
    assert (stage.client.status, stage.client.reason) == (500, "internal_error")


def test_client_that_leaves_is_not_answered(make: Any) -> None:
    stage = make()
    exchange = wanting(stage, 4, 0, b"a")
    exchange.abandon()
    assert (stage.client.status, exchange.status, exchange.aside.gathering) == (0, 499, None)
