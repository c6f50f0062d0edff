from collections.abc import Callable
from itertools import product
from math import exp, inf, isfinite, log
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rollouts.analysis.evalues import (
    above,
    below,
    candidates_part,
    conditional,
    harm,
    mean,
    safe,
    uneven,
    upper,
    weighted,
)

SHARES = st.floats(0.001, 0.999)
COUNTS = st.integers(0, 10**9)


def expectation(value: Callable[[int, int], float], probability: float, tosses: int) -> float:
    """Of e to the value, over every sequence of so many tosses."""
    total = 0.0
    for outcome in product((0, 1), repeat=tosses):
        mine = sum(outcome)
        total += probability**mine * (1 - probability) ** (tosses - mine) * exp(value(mine, tosses - mine))
    return total


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
@pytest.mark.parametrize(("risk", "tolerated"), [(1.0, 1.0), (0.5, 1.0), (1.1, 1.1), (1.0, 1.5)])
def test_evidence_of_harm_is_no_more_than_one_on_average_where_there_is_none(
    share: float, risk: float, tolerated: float
) -> None:
    origin = candidates_part(share, risk)
    assert expectation(lambda x, y: harm([(share, x, y)], tolerated), origin, 8) <= 1 + 1e-9


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("risk", [2.0, 3.0, 30.0])
def test_evidence_of_safety_is_no_more_than_one_on_average_where_it_is_not(share: float, risk: float) -> None:
    assert expectation(lambda x, y: safe([(share, x, y)], 2.0), candidates_part(share, risk), 8) <= 1 + 1e-9


@pytest.mark.parametrize("rate", [0.005, 0.1, 0.5])
def test_rates_are_excluded_no_more_often_than_they_may_be(rate: float) -> None:
    assert expectation(lambda x, y: below(x, x + y, rate), rate, 8) == pytest.approx(1)
    assert expectation(lambda x, y: above(x, x + y, rate), rate, 8) == pytest.approx(1)
    assert expectation(lambda x, y: below(x, x + y, rate), min(1.0, rate * 1.5), 8) <= 1
    assert expectation(lambda x, y: above(x, x + y, rate), rate / 2, 8) <= 1


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_share_check_is_fair(share: float) -> None:
    assert expectation(lambda x, y: uneven(share, x, y), share, 8) == pytest.approx(1)


@given(SHARES, COUNTS, COUNTS, st.floats(1.01, 100), st.floats(0.1, 10))
def test_nothing_overflows(share: float, mine: int, theirs: int, ratio: float, against: float) -> None:
    assert isfinite(conditional(share, mine, theirs, ratio, against))
    assert isfinite(harm([(share, mine, theirs)] * 3, against))
    assert isfinite(uneven(share, mine, theirs))
    assert isfinite(below(mine, mine + theirs, share))
    assert isfinite(above(mine, mine + theirs, share))


@given(st.lists(st.tuples(SHARES, st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=5), st.randoms())
def test_order_of_epochs_does_not_matter(epochs: list[tuple[float, int, int]], random: Random) -> None:
    shuffled = epochs[:]
    random.shuffle(shuffled)
    assert harm(shuffled, 1.0) == pytest.approx(harm(epochs, 1.0), abs=1e-6)


@given(SHARES, st.integers(0, 100), st.integers(0, 100))
def test_one_more_event_of_the_candidates_speaks_against_it(share: float, mine: int, theirs: int) -> None:
    assert harm([(share, mine + 1, theirs)], 1.0) > harm([(share, mine, theirs)], 1.0)
    assert harm([(share, mine, theirs + 1)], 1.0) < harm([(share, mine, theirs)], 1.0)
    assert safe([(share, mine + 1, theirs)], 2.0) < safe([(share, mine, theirs)], 2.0)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_where_one_gets_nothing_events_say_nothing(share: float) -> None:
    assert harm([(share, 50, 0)], 1.0) == 0
    assert uneven(share, 50, 0) == 0


def test_mean_and_weights_are_of_the_values_and_not_of_their_logarithms() -> None:
    assert exp(mean([log(2), log(4)])) == pytest.approx(3)
    assert exp(weighted([(0.5, log(2)), (0.25, log(4)), (0.25, 0.0)])) == pytest.approx(2.25)
    assert mean([-inf, 0.0]) == pytest.approx(log(0.5))
    assert mean([1000.0, 0.0]) == pytest.approx(1000 - log(2))


@pytest.mark.parametrize(
    ("bad", "requests", "limit"), [(0, 0, 1.0), (0, 949, 0.005), (5, 1000, 0.018), (500, 1000, 0.6)]
)
def test_upper_limit_of_a_rate(bad: int, requests: int, limit: float) -> None:
    found = upper(bad, requests, 0.025)
    assert found <= limit
    assert found >= (bad / requests if requests else 1)


def test_error_rates_of_the_published_study_are_found() -> None:
    # savvi's example: 148 and 62 conversions of equal shares stop it at 210, with a mixture of its own; ours agrees
    # that this is far from even, and that 105 and 105 is not.
    assert harm([(0.5, 148, 62)], 1.0) > log(1000)
    assert harm([(0.5, 105, 105)], 1.0) < 0
