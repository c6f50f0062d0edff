import gc

import pytest

from proxy.telemetry.evidence import Cell, Seeing, decode


@pytest.fixture
def seeing() -> Seeing:
    return Seeing()


def cell(seeing: Seeing, pool: str = "canary", epoch: int = 1, criteria: int = 2) -> Cell:
    return Cell(seeing, seeing.run("r#1", criteria, 10_000), epoch, pool)


def test_what_was_counted_is_told_once(seeing: Seeing) -> None:
    woken: list[int] = []
    seeing.wake = lambda: woken.append(1)
    canary = cell(seeing)
    canary.sight(None)
    canary.outcome(None, is_bad=True)
    canary.late(0, None)
    canary.took(0.25)
    assert woken == [1]
    (told,) = decode(seeing.tell())
    assert (told.run, told.epoch, told.pool) == ("r#1", 1, "canary")
    assert (told.sights, told.requests, told.bad, told.slow, told.events) == (1, 1, 1, (1,), (1, 1))
    assert sum(told.latency.values()) == 1
    assert decode(seeing.tell()) == []
    canary.outcome(None, is_bad=False)
    assert woken == [1, 1]
    (told,) = decode(seeing.tell())
    assert (told.requests, told.bad, told.events) == (1, 0, (0, 0))


def test_bucket_has_one_event_per_criterion_and_run(seeing: Seeing) -> None:
    first, second = cell(seeing), cell(seeing, epoch=2)
    for each in (first, first, second):
        each.sight(7)
        each.outcome(7, is_bad=True)
    first.late(0, 7)
    told = {each.epoch: each for each in decode(seeing.tell())}
    assert (told[1].bad, told[1].events, told[1].buckets, told[1].sighted) == (2, (0, 0), ((7,), (7,)), (7,))
    assert (told[2].bad, told[2].events, told[2].buckets, told[2].sighted) == (1, (0, 0), ((), ()), ())


def test_failures_to_connect_are_a_run_until_one_connects(seeing: Seeing) -> None:
    canary = cell(seeing)
    for failed in (True, False, True, True):
        canary.connecting(failed=failed)
    (told,) = decode(seeing.tell())
    assert (told.connected, told.failed_to_connect) == (True, 2)
    canary.connecting(failed=True)
    (told,) = decode(seeing.tell())
    assert (told.connected, told.failed_to_connect) == (False, 1)


def test_run_is_forgotten_with_the_last_that_counts_for_it(seeing: Seeing) -> None:
    canary = cell(seeing)
    canary.sight(7)
    seeing.tell()
    del canary
    gc.collect()
    again = cell(seeing)
    again.sight(7)
    assert [each.sighted for each in decode(seeing.tell())] == [(7,)]


def test_other_thresholds_are_another_run(seeing: Seeing) -> None:
    first, second = cell(seeing), cell(seeing, criteria=3)
    assert first.run is not second.run
    assert cell(seeing, criteria=3).run is second.run
