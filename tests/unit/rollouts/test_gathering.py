from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rollouts.evidence import Recent, Tally
from proxy.rollouts.gathering import Gathered
from proxy.rollouts.judging import Harm, Judging
from proxy.rollouts.plan import Plan
from proxy.telemetry.evidence import CellSeen

PLAN = Plan(
    name="r",
    service="shop",
    stable="blue",
    candidate="canary",
    steps=(),
    judge=Judging(errors=Harm(statuses=((500, 503),)), slower_than=(0.25,), p99=1.0, window=10.0),
)


def gathered() -> Gathered:
    found = Gathered("r#1", PLAN, is_sticky=False, since=1000.0)
    found.watch(epoch=1, step=0, share=0.1)
    found.watch(epoch=2, step=2, share=0.5)
    return found


def seen(epoch: int = 1, pool: str = "canary", **counts: Any) -> CellSeen:
    given: dict[str, Any] = {"slow": (0,), "events": (0, 0), "buckets": ((), ()), **counts}
    return CellSeen("r#1", epoch, pool, **given)


def test_watch_says_what_workers_need() -> None:
    watch = Gathered("r#1", PLAN, is_sticky=False, since=1000.0).watch(epoch=3, step=4, share=0.1)
    assert (watch.run, watch.epoch, watch.step, watch.stable, watch.candidate) == ("r#1", 3, 4, "blue", "canary")
    assert (watch.statuses, watch.slower_than, watch.since) == (((500, 503),), (0.25,), 1000.0)


def test_workers_are_added_up_by_epoch_and_pool() -> None:
    found = gathered()
    found.add(1, seen(sights=10, requests=9, bad=2, slow=(1,), events=(2, 1)), 0.0)
    found.add(2, seen(sights=5, requests=5), 0.0)
    found.add(1, seen(epoch=2, pool="blue", requests=7), 0.0)
    first, second = found.evidence(0.0).epochs
    assert (first.number, first.step, first.share) == (1, 0, 0.1)
    assert first.candidate == Tally(14, 2, (1,), (2, 1), 15)
    assert (first.stable.requests, second.stable.requests, second.share) == (0, 7, 0.5)


def test_bucket_counts_once_however_many_workers_tell_of_it() -> None:
    found = gathered()
    for worker in (1, 2):
        found.add(worker, seen(bad=1, buckets=((7, worker), ()), sighted=(7,)), 0.0)
    found.add(3, seen(epoch=2, pool="blue", bad=1, buckets=((7,), (7,)), sighted=(7,)), 0.0)
    first, second = found.evidence(0.0).epochs
    assert (first.candidate.bad, first.candidate.events, first.candidate.sights) == (2, (3, 0), 1)
    assert (second.stable.events, second.stable.sights) == ((0, 1), 0)


@pytest.mark.parametrize(
    "strange",
    [
        CellSeen("r#0", 1, "canary", requests=5, slow=(0,), events=(0, 0), buckets=((), ())),
        seen(epoch=9, requests=5),
        seen(pool="green", requests=5),
        seen(requests=5, slow=()),
        seen(requests=5, events=(0,)),
    ],
)
def test_what_is_of_something_else_is_not_counted(strange: CellSeen) -> None:
    found = gathered()
    assert not found.add(1, strange, 0.0)
    assert all(not epoch.candidate.requests for epoch in found.evidence(0.0).epochs)


def test_news_are_what_is_bad() -> None:
    found = gathered()
    assert not found.add(1, seen(requests=5, sights=5), 0.0)
    assert found.add(1, seen(bad=1, events=(1, 0)), 0.0)
    assert found.add(1, seen(slow=(1,), events=(0, 1)), 0.0)
    assert found.add(1, seen(failed_to_connect=1), 0.0)


def test_window_forgets() -> None:
    found = gathered()
    found.add(1, seen(requests=100, bad=10, latency={320: 99, 400: 1}), 0.5)
    found.add(1, seen(requests=50, latency={320: 50}), 8.5)
    now = found.evidence(9.0).candidate
    assert (now.requests, now.bad) == (150, 10)
    later = found.evidence(12.0).candidate
    assert (later.requests, later.bad, found.evidence(30.0).candidate) == (50, 0, Recent())
    assert now.p99 is not None
    assert later.p99 is not None
    assert found.evidence(9.0).epochs[0].candidate.requests == 150


def test_failures_to_connect_are_of_all_workers_in_a_row() -> None:
    found = gathered()
    found.add(1, seen(failed_to_connect=3), 0.0)
    found.add(2, seen(failed_to_connect=4), 0.0)
    assert found.evidence(0.0).candidate.connect_failures == 7
    found.add(1, seen(connected=True, failed_to_connect=1), 0.0)
    assert found.evidence(0.0).candidate.connect_failures == 1


@given(st.lists(st.tuples(st.integers(1, 2), st.booleans(), st.integers(0, 9_999), st.integers(0, 5)), max_size=30))
def test_next_controller_goes_on_where_this_one_was(told: list[tuple[int, bool, int, int]]) -> None:
    found = gathered()
    for epoch, is_candidate, bucket, count in told:
        cell = seen(
            epoch=epoch, pool="canary" if is_candidate else "blue", requests=count, bad=1, buckets=((bucket,), ()),
            sighted=(bucket,), events=(count, 0),
        )  # fmt: skip
        found.add(1, cell, 0.0)
    kept = found.encode()
    again = Gathered.decode(kept, PLAN)
    assert len(kept) < 10_000
    assert again.evidence(99.0).epochs == found.evidence(99.0).epochs
    again.add(2, seen(buckets=((5,), ())), 0.0)
    found.add(2, seen(buckets=((5,), ())), 0.0)
    assert again.evidence(99.0).epochs == found.evidence(99.0).epochs
