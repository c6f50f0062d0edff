"""What the workers of one run have seen, put together."""

from dataclasses import replace as replace_plan
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from proxy.rollouts.evidence import Tally
from proxy.rollouts.gathering import Gathered
from proxy.rollouts.judging import Judging
from proxy.rollouts.plan import Plan
from proxy.telemetry.evidence import CellSeen

PLAN = Plan(
    name="r", service="shop", stable="live", candidate="canary", steps=(), judge=Judging(slower_than=(0.5,), p99=1.0)
)
NOW = 1_000.0


def _gathered(*, is_sticky: bool = False, epochs: int = 2) -> Gathered:
    gathered = Gathered("r#1", PLAN, is_sticky=is_sticky, since=5.0)
    for epoch in range(epochs):
        gathered.watch(epoch=epoch, step=epoch, share=0.1)
    return gathered


def _cell(pool: str = "canary", epoch: int = 0, requests: int = 1, bad: int = 0, slow: int = 0) -> CellSeen:
    return CellSeen("r#1", epoch, pool, requests, requests, bad, (slow,), (bad, slow), ((), ()))


def _of_buckets(epoch: int, pool: str, bad: tuple[int, ...], sighted: tuple[int, ...]) -> CellSeen:
    return CellSeen("r#1", epoch, pool, 0, len(bad), len(bad), (0,), (0, 0), (bad, ()), sighted)


STRANGE = [
    replace(_cell(), run="r#0"),
    replace(_cell(), epoch=9),
    replace(_cell(), pool="green"),
    replace(_cell(), slow=()),
    replace(_cell(), events=(1,)),
    replace(_cell(), buckets=((1,),)),
]


@pytest.mark.parametrize("cell", STRANGE)
def test_what_is_not_of_this_run_is_ignored(cell: CellSeen) -> None:
    gathered = _gathered()
    before = gathered.evidence(NOW)
    assert gathered.add(1, replace(cell, bad=1), NOW) is False
    assert gathered.evidence(NOW) == before


cells = st.builds(
    _cell,
    pool=st.sampled_from(["live", "canary"]),
    epoch=st.integers(0, 1),
    requests=st.integers(0, 50),
    bad=st.integers(0, 50),
    slow=st.integers(0, 50),
)


@given(st.lists(cells, max_size=20))
def test_tallies_are_the_sums_of_what_was_told(told: list[CellSeen]) -> None:
    gathered = _gathered()
    for cell in told:
        gathered.add(1, cell, NOW)
    for epoch in gathered.evidence(NOW).epochs:
        for pool, tally in (("live", epoch.stable), ("canary", epoch.candidate)):
            mine = [cell for cell in told if (cell.pool, cell.epoch) == (pool, epoch.number)]
            requests, bad, slow = (
                sum(cell.requests for cell in mine), sum(cell.bad for cell in mine), sum(c.slow[0] for c in mine)
            )  # fmt: skip
            assert tally == Tally(requests, bad, (slow,), (bad, slow), requests)


def test_bucket_counts_once_whichever_worker_tells_first() -> None:
    told = [
        (1, _of_buckets(0, "canary", (3, 4), (3, 4))),
        (2, _of_buckets(0, "canary", (4, 5), (4, 5))),
        (3, _of_buckets(0, "canary", (3, 5), (5, 6))),
    ]
    found = set()
    for order in permutations(told):
        gathered = _gathered(is_sticky=True)
        for worker, cell in order:
            gathered.add(worker, cell, NOW)
        tally = gathered.evidence(NOW).epochs[0].candidate
        found.add((tally.requests, tally.bad, tally.events, tally.sights))
    assert found == {(6, 6, (3, 0), 4)}


def test_bucket_that_failed_in_one_epoch_is_no_event_of_a_later_one() -> None:
    gathered = _gathered(is_sticky=True)
    gathered.add(1, _of_buckets(0, "live", (3,), (3,)), NOW)
    gathered.add(1, _of_buckets(1, "canary", (3,), (3,)), NOW)
    first, second = gathered.evidence(NOW).epochs
    assert (first.stable.events, first.stable.sights) == ((1, 0), 1)
    assert (second.candidate.bad, second.candidate.events, second.candidate.sights) == (1, (0, 0), 0)


def test_window_forgets_what_the_epochs_keep() -> None:
    gathered = _gathered()
    gathered.add(1, replace(_cell(requests=10, bad=2), latency={320: 10}), NOW)
    recent = gathered.evidence(NOW + 1).candidate
    assert (recent.requests, recent.bad, recent.p99 is None) == (10, 2, False)
    later = gathered.evidence(NOW + PLAN.judge.window + 2)
    assert (later.candidate.requests, later.candidate.p99) == (0, None)
    assert later.epochs[0].candidate.requests == 10


def test_connect_failures_add_up_over_workers_until_one_connects() -> None:
    gathered = _gathered()
    failing = replace(_cell(), failed_to_connect=4)
    for worker in (1, 2):
        assert gathered.add(worker, failing, NOW) is True
    assert gathered.evidence(NOW).candidate.connect_failures == 8
    gathered.add(3, replace(_cell(), connected=True, failed_to_connect=1), NOW)
    assert gathered.evidence(NOW).candidate.connect_failures == 1


@given(st.lists(st.integers(0, 9_999), max_size=50))
def test_what_is_kept_brings_back_the_epochs_and_the_buckets(buckets: list[int]) -> None:
    gathered = _gathered(is_sticky=True)
    told = _of_buckets(0, "canary", tuple(buckets), tuple(buckets))
    gathered.add(1, told, NOW)
    kept = gathered.encode()
    again = Gathered.decode(kept, PLAN)
    assert len(kept) < 100_000
    assert again.evidence(NOW).epochs == gathered.evidence(NOW).epochs
    again.add(2, told, NOW)
    assert again.evidence(NOW).epochs[0].candidate.events == gathered.evidence(NOW).epochs[0].candidate.events


def test_same_split_set_again_and_again_makes_no_more_epochs() -> None:
    gathered = Gathered("r#1", PLAN, is_sticky=False, since=5.0)
    for epoch in range(5_000):
        gathered.watch(epoch=epoch, step=3, share=0.1)
        gathered.add(1, _cell(epoch=epoch), NOW)
    assert not gathered.add(1, _cell(epoch=5, bad=1), NOW)  # too long ago
    (epoch,) = gathered.evidence(NOW).epochs
    assert (epoch.number, epoch.candidate.requests) == (4_999, 5_000)
    assert len(gathered.encode()) < 10_000
    again = Gathered.decode(gathered.encode(), PLAN)
    again.add(1, _cell(epoch=4_999), NOW)
    assert again.evidence(NOW).epochs[0].candidate.requests == 5_001


def test_window_is_kept_and_goes_on_forgetting() -> None:
    gathered = _gathered()
    gathered.add(1, replace(_cell(requests=10, bad=2), latency={320: 10}), NOW)
    again = Gathered.decode(gathered.encode(), PLAN)
    assert again.evidence(NOW + 3).candidate == gathered.evidence(NOW + 3).candidate
    again.add(2, replace(_cell(requests=5), latency={320: 1}), NOW + 30)
    assert again.evidence(NOW + 30).candidate.requests == 15
    assert again.evidence(NOW + PLAN.judge.window + 2).candidate.requests == 5


def test_window_of_a_clock_that_began_anew_is_forgotten() -> None:
    gathered = _gathered()
    gathered.add(1, _cell(requests=10, bad=2), NOW)
    again = Gathered.decode(gathered.encode(), PLAN)
    again.add(2, _cell(requests=5), 20.0)
    assert again.evidence(20.0).candidate.requests == 5


@pytest.mark.parametrize("window", [60.0, 3_600.0, 86_400.0])
def test_window_is_bounded_however_long(window: float) -> None:
    plan = replace_plan(PLAN, judge=replace_plan(PLAN.judge, window=window))
    gathered = Gathered("r#1", plan, is_sticky=False, since=5.0)
    gathered.watch(epoch=0, step=0, share=0.1)
    for number in range(1_000):
        gathered.add(1, replace(_cell(), latency={number % 300: 1}), NOW + number * window / 1_000)
    assert gathered.evidence(NOW + window).candidate.requests >= 980
    assert len(gathered.encode()) < 15_000


ROLLING = Plan(name="r", service="shop", stable="blue", candidate="blue", steps=())
OLD, NEW = ROLLING.sides


def _drawn(pool: str, share: int, requests: int, epoch: int = 0) -> CellSeen:
    return CellSeen("r#1", epoch, pool, requests, requests, 1, (), (1,), ((),), share=share)


def _rolled() -> Gathered:
    gathered = Gathered("r#1", ROLLING, is_sticky=False, since=5.0)
    gathered.watch(epoch=0, step=0, share=1.0)
    for cell in (_drawn(OLD, 0, 50), _drawn(OLD, 250, 30), _drawn(NEW, 250, 10), _drawn(NEW, 333, 1)):
        gathered.add(1, cell, NOW)
    gathered.add(2, _drawn(NEW, 250, 5), NOW)
    return gathered


def _seen(gathered: Gathered) -> dict[tuple[int, float], tuple[int, int]]:
    epochs = gathered.evidence(NOW).epochs
    assert len({(each.step, each.share) for each in epochs}) == len(epochs)
    return {(each.step, each.share): (each.stable.requests, each.candidate.requests) for each in epochs}


def test_cohorts_are_counted_by_the_share_they_were_drawn_with() -> None:
    assert _seen(_rolled()) == {(0, 1.0): (0, 0), (0, 0.0): (50, 0), (0, 0.25): (30, 15), (0, 0.333): (0, 1)}
    assert (_rolled().evidence(NOW).stable.requests, _rolled().evidence(NOW).candidate.requests) == (80, 16)


def test_each_wave_counts_anew_and_the_same_once_more_does_not() -> None:
    gathered = _rolled()
    gathered.watch(epoch=1, step=0, share=1.0)
    gathered.add(1, _drawn(NEW, 250, 100, epoch=1), NOW)
    gathered.watch(epoch=2, step=2, share=1.0)
    gathered.add(1, _drawn(NEW, 250, 7, epoch=2), NOW)
    gathered.add(1, _drawn(NEW, 250, 1, epoch=0), NOW)  # a worker that is late
    assert _seen(gathered)[0, 0.25] == (30, 116)
    assert _seen(gathered)[2, 0.25] == (0, 7)


def test_next_controller_goes_on_with_cohorts() -> None:
    kept = Gathered.decode(_rolled().encode(), ROLLING)
    assert _seen(kept) == _seen(_rolled())
    kept.watch(epoch=1, step=0, share=1.0)
    kept.add(1, _drawn(NEW, 250, 1, epoch=1), NOW)
    assert _seen(kept)[0, 0.25] == (30, 16)


def test_too_many_shares_compare_nothing() -> None:
    gathered = _rolled()
    for step in range(1, 8):
        gathered.watch(epoch=step, step=step, share=1.0)
        for share in range(1, 1_000):
            gathered.add(1, _drawn(NEW, share, 1, epoch=step), NOW)
    seen = _seen(gathered)
    assert len(seen) < 5_010
    assert seen[7, 1.0] == (0, 999)


STRANGE_SHARES = [(-5, 0.0), (5_000, 1.0)]


@pytest.mark.parametrize(("share", "taken"), STRANGE_SHARES)
def test_share_that_cannot_be_is_none(share: int, taken: float) -> None:
    gathered = Gathered("r#1", ROLLING, is_sticky=False, since=5.0)
    gathered.watch(epoch=0, step=0, share=1.0)
    gathered.add(1, _drawn(NEW, share, 1), NOW)
    assert _seen(gathered)[0, taken] == (0, 1)
