"""Slow start: the formula, who has one, and who never does."""

import pytest

from proxy.pools.endpoint import Endpoint, State
from proxy.pools.slow_start import SlowStart, factor
from proxy.pools.state import PoolState


def endpoint(address: str = "10.0.0.1:80") -> Endpoint:
    return Endpoint(PoolState("shop", "blue"), address)


@pytest.mark.parametrize(
    ("elapsed", "window", "part"),
    [
        (0.0, 10.0, 0.1),
        (0.5, 10.0, 0.1),
        (1.0, 10.0, 0.1),
        (2.0, 10.0, 0.2),
        (5.0, 10.0, 0.5),
        (9.0, 10.0, 0.9),
        (10.0, 10.0, 1.0),
        (1e9, 10.0, 1.0),
        (0.0, None, 1.0),
        (5.0, None, 1.0),
        (0.0, 0.0, 1.0),
    ],
)
def test_factor_rises_from_a_tenth_to_one(elapsed: float, window: float | None, part: float) -> None:
    assert factor(elapsed, window) == part


def test_process_start_is_not_slow() -> None:
    slow_start, first = SlowStart(), endpoint()
    slow_start.came_up([first], 0.0)
    assert slow_start.factor(first, 10.0, 0.0) == 1.0


def test_endpoint_that_comes_up_later_starts_slowly() -> None:
    slow_start, late, other = SlowStart(), endpoint(), endpoint("10.0.0.2:80")
    slow_start.came_up([], 0.0)
    slow_start.came_up([late], 100.0)
    assert [slow_start.factor(late, 10.0, now) for now in (100.0, 104.0, 110.0)] == [0.1, 0.4, 1.0]
    assert slow_start.factor(other, 10.0, 100.0) == 1.0
    assert slow_start.factor(late, None, 100.0) == 1.0


def test_slow_start_begins_anew_when_the_endpoint_comes_back_again() -> None:
    slow_start, late = SlowStart(), endpoint()
    for now in (0.0, 100.0, 105.0):
        slow_start.came_up([late], now)
    assert slow_start.factor(late, 10.0, 106.0) == 0.1


def test_later_reports_leave_a_slow_start_as_it_is() -> None:
    slow_start, late = SlowStart(), endpoint()
    slow_start.came_up([late], 0.0)
    slow_start.came_up([late], 100.0)
    slow_start.came_up([], 103.0)
    assert slow_start.factor(late, 10.0, 105.0) == 0.5


def test_slow_starts_that_are_over_are_forgotten() -> None:
    slow_start, old, down, late = SlowStart(), endpoint(), endpoint(), endpoint()
    slow_start.came_up([], 0.0)
    slow_start.came_up([old], 90.0)
    slow_start.came_up([down, late], 95.0)
    down.state = State.DOWN
    slow_start.forget(10.0, 100.0)
    assert repr(slow_start) == "<SlowStart of 1>"
    assert slow_start.factor(late, 10.0, 100.0) == 0.5
