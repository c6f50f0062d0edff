"""A request of our own: who asked hears of its end, and it ends, and counts, once."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from proxy.dataplane.errand import MOST, ask
from proxy.http1.message import NO_BODY, RequestHead

A = "127.0.0.1:1"


@pytest.fixture
def asked(make: Any, loop: asyncio.AbstractEventLoop) -> Callable[[], Any]:
    """A factory of (stage, the exchange, what ends with the answer)."""

    def begin() -> Any:
        stage = make()
        head = RequestHead(b"GET", b"/", 1, b"h", NO_BODY, 0, b"", None, None, 0)
        task = loop.create_task(ask(stage.plane, "shop", head, b"", b"id"))
        loop.run_until_complete(asyncio.sleep(0))
        return stage, stage.busy.exchange, task

    return begin


def counted(stage: Any) -> list[int]:
    """Classes of the statuses that its pool has counted."""
    counts = stage.servers[A].endpoint.shared.counters.requests
    return [status for status, count in enumerate(counts) for _ in range(count)]


def test_answer_is_what_was_asked_for(asked: Any, loop: Any) -> None:
    stage, exchange, task = asked()
    exchange.response(stage.head(length=4), b"12", False)
    exchange.response_end(b"34", b"")
    head, body = loop.run_until_complete(task)
    assert (head.status, body, counted(stage), stage.places) == (200, b"1234", [2], [(0, 0)])


def test_answer_that_breaks_counts_once(asked: Any, loop: Any) -> None:
    stage, exchange, task = asked()
    exchange.response(stage.head(length=4), b"12", False)
    exchange.response_broken("upstream_reset")
    with pytest.raises(ConnectionError, match="before it was whole"):
        loop.run_until_complete(task)
    assert (counted(stage), stage.places) == ([2], [(0, 0)])


@pytest.mark.parametrize("ends", [True, False])
def test_answer_that_is_too_large_counts_once(asked: Any, loop: Any, ends: bool) -> None:
    stage, exchange, task = asked()
    exchange.response(stage.head(length=2 * MOST), b"x" * MOST, False)
    if ends:
        exchange.response_end(b"x", b"")
    else:
        exchange.response_data(b"x")
    with pytest.raises(ConnectionError, match="larger than 1 MiB"):
        loop.run_until_complete(task)
    assert (len(counted(stage)), stage.places) == (1, [(0, 0)])


def test_who_asked_and_left_ends_it(asked: Any, loop: Any) -> None:
    stage, _, task = asked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert (counted(stage), stage.places, stage.servers[A].events[-1]) == ([4], [(0, 0)], "closed")
