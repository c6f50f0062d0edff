"""The histogram of durations: buckets, quantiles, and adding."""

from itertools import pairwise

import pytest

from proxy.telemetry.histogram import BOUNDS, Histogram

ERROR = 0.022  # half a bucket


def histogram(*seconds: float) -> Histogram:
    made = Histogram()
    for duration in seconds:
        made.observe(duration)
    return made


def test_bounds_grow_by_one_factor_from_a_microsecond_to_an_hour() -> None:
    factors = [upper / lower for lower, upper in pairwise(BOUNDS)]
    assert min(factors) == pytest.approx(max(factors)) == pytest.approx(1.0443, abs=1e-4)
    assert BOUNDS[0] < 1e-6
    assert BOUNDS[-1] > 3_600


@pytest.mark.parametrize("seconds", [1e-6, 3.3e-5, 0.001, 0.0125, 0.25, 1.0, 59.9, 3_599.0])
def test_quantile_of_one_duration_is_that_duration(seconds: float) -> None:
    assert histogram(seconds).quantile(0.5) == pytest.approx(seconds, rel=ERROR)


@pytest.mark.parametrize(("share", "seconds"), [(0.0, 0.001), (0.5, 0.5), (0.9, 0.9), (0.99, 0.99), (1.0, 1.0)])
def test_quantile_is_what_that_share_does_not_exceed(share: float, seconds: float) -> None:
    thousand = histogram(*(number / 1_000 for number in range(1, 1_001)))
    assert thousand.quantile(share) == pytest.approx(seconds, rel=ERROR)


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(-1.0, 0), (0.0, 0), (BOUNDS[0], 0), (BOUNDS[7], 7), (1e9, len(BOUNDS))]
)
def test_observe_finds_the_bucket(seconds: float, bucket: int) -> None:
    assert histogram(seconds).counts.index(1) == bucket


def test_empty_histogram_has_no_quantile() -> None:
    assert (histogram().quantile(0.5), histogram().count) == (None, 0)


def test_adding_equals_having_seen_both() -> None:
    one, other, both = histogram(0.1, 0.2), histogram(0.3, 5.0), histogram(0.1, 0.2, 0.3, 5.0)
    one.add(other)
    assert one.counts == both.counts
    assert one.total == pytest.approx(both.total)
    assert (one.count, other.count) == (4, 2)
