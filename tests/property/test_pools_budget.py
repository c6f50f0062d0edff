"""Whatever comes and goes, retries stay within the share of the requests and the minimum of each window."""

from math import floor

from hypothesis import example, given
from hypothesis import strategies as st

from proxy.pools.budget import RetryBudget

moments = st.lists(
    st.tuples(st.floats(0.0, 25.0), st.integers(0, 400), st.integers(0, 120)), min_size=1, max_size=40
)  # seconds later, requests since, retries wanted


@given(st.floats(0.0, 1.0), st.integers(0, 5), st.floats(0.5, 20.0), st.floats(0.0, 1e6), moments)
@example(1.0, 0, 10.0, 0.0, [(0.0, 2, 2), (20.0, 0, 1)])
def test_retries_never_exceed_share_of_requests_and_minimum_of_windows(
    share: float, minimum: int, window: float, start: float, happenings: list[tuple[float, int, int]]
) -> None:
    budget = RetryBudget(share, minimum, window)
    now, requests, retries = start, 0, 0
    for later, more, wanted in happenings:
        now += later
        requests += more
        retries += sum(budget.allow(now, requests) for _ in range(wanted))
        windows = floor((now - start) / window) + 2
        assert retries <= share * requests + minimum * windows + 1e-6


@given(st.integers(0, 5), st.lists(st.floats(0.0, 25.0), max_size=20))
def test_minimum_is_there_in_every_window(minimum: int, waits: list[float]) -> None:
    budget = RetryBudget(0.0, minimum)
    now, opened = 1_000.0, 0.0
    for wait in waits:
        now += wait
        if now - opened >= budget.window:
            opened = now
            assert sum(budget.allow(now, 0) for _ in range(minimum + 3)) == minimum
        else:
            assert not budget.allow(now, 0)
