"""Backoff: how soon, and when to stop."""

import pytest

from proxy.supervisor.backoff import LONGEST, MOST, STEADY, Backoff


def test_deaths_in_a_row_are_followed_by_longer_and_longer_waits() -> None:
    backoff = Backoff()
    assert [backoff.delay(0.0) for _ in range(10)] == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST, LONGEST, LONGEST]


@pytest.mark.parametrize("deaths", range(1, 8))
def test_backoff_is_hopeless_from_the_fifth_death_on(deaths: int) -> None:
    backoff = Backoff()
    for _ in range(deaths):
        backoff.delay(STEADY - 0.001)
    assert backoff.is_hopeless == (deaths >= 5)


def test_long_life_makes_a_death_the_first() -> None:
    backoff = Backoff()
    for _ in range(MOST):
        backoff.delay(0.0)
    assert backoff.delay(STEADY) == 0.0
    assert not backoff.is_hopeless
    assert backoff.delay(0.0) == 0.1
