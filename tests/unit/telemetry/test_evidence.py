"""What a worker counts for a rollout, and what it tells of it."""

from proxy.telemetry.evidence import Cell, CellSeen, RunSeen, Seeing, decode


def _cell(seeing: Seeing, run: RunSeen | None = None, pool: str = "canary", epoch: int = 1) -> Cell:
    return Cell(seeing, run or seeing.run("r#1", 2, 100), epoch, pool)


def _told(seeing: Seeing) -> list[CellSeen]:
    return decode(seeing.tell())


def test_cell_tells_differences_and_nothing_twice() -> None:
    seeing = Seeing()
    cell = _cell(seeing)
    cell.sight(None)
    cell.outcome(None, is_bad=True)
    cell.late(0, None)
    first = CellSeen("r#1", 1, "canary", 1, 1, 1, (1,), (1, 1), ((), ()))
    assert _told(seeing) == [first]
    assert not seeing.has_news
    assert _told(seeing) == []
    cell.outcome(None, is_bad=False)
    assert _told(seeing) == [CellSeen("r#1", 1, "canary", 0, 1, 0, (0,), (0, 0), ((), ()))]


def test_seeing_wakes_once_until_it_is_told() -> None:
    seeing, wakes = Seeing(), []
    seeing.wake = lambda: wakes.append(1)
    run = seeing.run("r#1", 2, 100)
    stable, canary = _cell(seeing, run, "live"), _cell(seeing, run)
    for cell in (stable, canary, canary):
        cell.outcome(None, is_bad=False)
    assert len(wakes) == 1
    assert [seen.pool for seen in _told(seeing)] == ["live", "canary"]
    canary.sight(None)
    assert len(wakes) == 2


def test_bucket_is_told_once_per_criterion_and_run() -> None:
    seeing = Seeing()
    run = seeing.run("r#1", 2, 100)
    first, second = _cell(seeing, run), _cell(seeing, run, epoch=2)
    for _ in range(3):
        first.sight(7)
        first.outcome(7, is_bad=True)
    (seen,) = _told(seeing)
    assert (seen.requests, seen.bad, seen.events, seen.buckets, seen.sighted) == (3, 3, (0, 0), ((7,), ()), (7,))
    second.outcome(7, is_bad=True)
    second.late(0, 7)
    (seen,) = _told(seeing)
    assert (seen.bad, seen.slow, seen.buckets) == (1, (1,), ((), (7,)))


def test_run_is_the_same_for_all_epochs_and_forgotten_with_the_last() -> None:
    seeing = Seeing()
    run = seeing.run("r#1", 2, 100)
    run.sighted[3] = 1
    assert seeing.run("r#1", 2, 100) is run
    assert seeing.run("r#2", 2, 100) is not run
    del run
    assert not seeing.run("r#1", 2, 100).sighted[3]


def test_connect_failures_in_a_row_begin_anew_with_a_connection() -> None:
    seeing = Seeing()
    cell = _cell(seeing)
    for failed in (True, False, True, True):
        cell.connecting(failed=failed)
    (seen,) = _told(seeing)
    assert (seen.connected, seen.failed_to_connect) == (True, 2)
    cell.connecting(failed=True)
    (seen,) = _told(seeing)
    assert (seen.connected, seen.failed_to_connect) == (False, 1)


def test_response_that_breaks_makes_its_request_bad_and_no_other() -> None:
    seeing = Seeing()
    cell = _cell(seeing)
    cell.outcome(None, is_bad=False)
    cell.fail(None)
    (seen,) = _told(seeing)
    assert (seen.requests, seen.bad, seen.events) == (1, 1, (1, 0))
