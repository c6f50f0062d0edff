"""Waiting for a place in a full pool: in order, not too many, not for ever."""

from typing import Any

import pytest

from proxy.snapshot.document import Limits, Timeouts

A = "127.0.0.1:1"


def test_full_pool_lets_wait_and_admits_in_order(make: Any) -> None:
    stage = make(limits=Limits(connections=1, pending=1, pending_timeout=5.0))
    first = stage.begin()
    waiting = stage.next_client()
    second = stage.begin()
    refused = stage.next_client()
    stage.begin()
    assert refused.reason == "overloaded"
    assert second.is_queued
    assert waiting.status == 0
    first.response(stage.head(), b"1", True)
    assert not second.is_queued
    second.response(stage.head(), b"2", True)
    assert waiting.body == b"2"
    assert stage.places == [(0, 0)]


@pytest.mark.parametrize(
    ("total", "reason"), [(None, "pending_timeout"), (1.0, "total_timeout"), (9.0, "pending_timeout")]
)
def test_wait_for_a_place_ends(make: Any, total: float | None, reason: str) -> None:
    limits = Limits(connections=1, pending=1, pending_timeout=5.0)
    stage = make(limits=limits, timeouts=Timeouts(total=total))
    stage.begin()
    stage.next_client()
    second = stage.begin()
    second.expire(second.deadline + 0.001)
    assert stage.client.reason == reason
    assert second.counters is not stage.plane.unrouted
    assert list(stage.servers[A].endpoint.shared.pending) == []
