"""The retry budget: a share of the requests, and a few in any case."""

import pytest

from proxy.pools.budget import RetryBudget


def granted(budget: RetryBudget, now: float, requests: int, wanted: int = 1_000) -> int:
    return sum(budget.allow(now, requests) for _ in range(wanted))


@pytest.mark.parametrize(
    ("share", "requests", "retries"),
    [(0.2, 0, 3), (0.2, 10, 3), (0.2, 20, 4), (0.2, 1_000, 200), (0.0, 1_000, 3), (1.0, 50, 50)],
)
def test_budget_is_a_share_of_the_requests(share: float, requests: int, retries: int) -> None:
    assert granted(RetryBudget(share), 1.0, requests) == retries


def test_minimum_comes_again_in_each_window() -> None:
    budget = RetryBudget(0.2)
    assert [granted(budget, now, 0) for now in (1.0, 9.9, 10.0, 19.9, 20.0, 500.0)] == [3, 0, 3, 0, 3, 3]


def test_requests_of_the_window_before_still_count_once() -> None:
    budget = RetryBudget(0.2)
    assert granted(budget, 1.0, 1_000, wanted=50) == 50
    assert granted(budget, 10.5, 1_000) == 140  # a fifth of 1,000, shortened to one window's part, less 50
    assert granted(budget, 30.6, 1_000) == 3


def test_requests_of_a_long_quiet_time_count_as_one_window_of_it() -> None:
    budget = RetryBudget(0.2)
    assert granted(budget, 1_000.0, 100_000) == 200


def test_other_minimum_and_window() -> None:
    budget = RetryBudget(0.0, minimum=1, window=2.0)
    assert [granted(budget, now, 0) for now in (0.0, 1.9, 2.0)] == [1, 0, 1]
