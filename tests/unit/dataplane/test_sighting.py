"""Which requests a rollout counts, and as what: an exchange without any wire, to its end."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import pytest
from msgspec.structs import replace

from proxy.dataplane import failures as fail
from proxy.filters import FILTERS, Hooks, RequestFilter
from proxy.filters.effects import ChoosePool
from proxy.filters.site import Site
from proxy.pools.endpoint import Signal, State
from proxy.snapshot.compile import compile_snapshot
from proxy.snapshot.document import Endpoint, Limits, Plugin, Pool, Retry, Timeouts
from proxy.telemetry.evidence import Cell, CellSeen, Watch, decode

A, B = "127.0.0.1:1", "127.0.0.1:2"
WATCH = Watch(run="r#1", epoch=1, step=0, stable="blue", candidate="canary", slower_than=(2.0, 0.5))
NONE, GOOD, BAD = (0, 0), (1, 0), (1, 1)


def _made(make: Any, endpoints: int = 1, **service: Any) -> Any:
    stage = make(endpoints, **service)
    stage.plane.connect = lambda _: None  # no new connection ever comes
    return stage


def _cell(stage: Any, pool: str = "blue") -> Cell:
    found: Cell = stage.plane.snapshot.services["shop"].watched.cells[pool]
    return found


def _outcome(stage: Any, pool: str = "blue") -> tuple[int, int]:
    cell = _cell(stage, pool)
    return cell.requests, cell.bad


STATUSES = [(200, GOOD), (404, GOOD), (499, GOOD), (500, BAD), (503, BAD), (599, BAD)]


@pytest.mark.parametrize(("status", "outcome"), STATUSES)
def test_status_of_the_upstream_is_the_outcome(make: Any, status: int, outcome: tuple[int, int]) -> None:
    stage = _made(make, watch=WATCH)
    stage.begin().response(stage.head(status), b"ok", True)
    assert _outcome(stage) == outcome
    assert _cell(stage).sights == 1


def test_status_is_bad_only_where_the_watch_says_so(make: Any) -> None:
    stage = _made(make, watch=replace(WATCH, statuses=((400, 404),)))
    for status in (404, 405, 500):
        stage.next_client()
        stage.begin().response(stage.head(status), b"ok", True)
    assert _outcome(stage) == (3, 1)


FAILURES = [
    (fail.ConnectFailed, BAD, 1),
    (fail.ConnectTimeout, BAD, 1),
    (fail.UpstreamReset, BAD, 0),
    (fail.ResponseTimeout, BAD, 0),
    (fail.TryTimeout, BAD, 0),
    (fail.SendTimeout, BAD, 0),
    (fail.UpstreamMalformed, BAD, 0),
    (fail.Exhausted, NONE, 0),  # our own want of descriptors
]


@pytest.mark.parametrize(("failure", "outcome", "in_a_row"), FAILURES)
def test_failed_attempt_is_the_outcome(
    make: Any, failure: Callable[[], fail.UpstreamFailure], outcome: tuple[int, int], in_a_row: int
) -> None:
    stage = _made(make, watch=WATCH)
    stage.begin().attempt_failed(failure(), False)
    assert (_outcome(stage), _cell(stage).failed_to_connect) == (outcome, in_a_row)


def test_first_attempt_decides_whatever_a_retry_delivers(make: Any) -> None:
    stage = _made(make, 2, watch=WATCH, retry=Retry(on=("connect", "503")))
    exchange = stage.begin()
    exchange.attempt_failed(fail.ConnectFailed(), False)
    exchange.response(stage.head(200), b"ok", True)
    assert (stage.client.status, _outcome(stage)) == (200, BAD)
    stage.next_client()
    exchange = stage.begin()
    exchange.response(stage.head(503), b"", True)
    exchange.response(stage.head(200), b"ok", True)
    assert (stage.client.status, _outcome(stage)) == (200, (2, 2))


def test_connection_that_had_been_given_up_is_no_outcome(make: Any) -> None:
    stage = _made(make, watch=WATCH)
    exchange = stage.begin()
    stage.servers[A].endpoint.idle.append(stage.connect(A))
    exchange.attempt_failed(fail.UpstreamReset(unanswered=True), True)
    assert _outcome(stage) == NONE


def test_client_that_leaves_is_no_request(make: Any) -> None:
    stage = _made(make, watch=WATCH)
    stage.begin().abandon()
    assert (_outcome(stage), _cell(stage).sights) == (NONE, 1)


def test_response_that_breaks_is_bad_once(make: Any) -> None:
    stage = _made(make, watch=WATCH)
    exchange = stage.begin()
    exchange.response(stage.head(length=9), b"half", False)
    assert _outcome(stage) == GOOD
    exchange.response_broken("upstream_reset")
    assert _outcome(stage) == BAD


def test_tunnel_counts_at_its_101(make: Any) -> None:
    stage = _made(make, watch=WATCH)
    stage.begin().upgrade(stage.head(101), b"")
    assert _outcome(stage) == GOOD


def test_full_pool_is_bad(make: Any) -> None:
    stage = _made(make, watch=WATCH, limits=Limits(connections=1, pending=0))
    stage.begin()
    stage.next_client()
    stage.begin()
    assert (stage.client.reason, _outcome(stage)) == ("overloaded", BAD)


def test_place_that_never_came_free_is_bad(make: Any) -> None:
    stage = _made(make, watch=WATCH, limits=Limits(connections=1))
    stage.begin()
    stage.next_client()
    waiting = stage.begin()
    waiting.expire(waiting.deadline)
    assert (stage.client.reason, _outcome(stage)) == ("pending_timeout", BAD)


def _two(*, drained: bool) -> dict[str, Any]:
    pools = (Pool("blue", (Endpoint(A, drain=drained),)), Pool("canary", (Endpoint(B),)))
    return {"pools": pools, "split": {"blue": 0.9, "canary": 0.1}, "watch": WATCH}


def test_request_that_spills_is_bad_for_the_pool_that_was_chosen(make: Any) -> None:
    stage = _made(make, **_two(drained=True))
    exchange = stage.begin()
    exchange.response(stage.head(200), b"ok", True)
    assert (exchange.pool_name, _outcome(stage), _outcome(stage, "canary")) == ("canary", BAD, NONE)


@pytest.mark.parametrize(("canary_is_up", "outcome"), [(True, BAD), (False, NONE)])
def test_panic_of_stable_is_bad_while_the_candidate_could_have_answered(
    make: Any, *, canary_is_up: bool, outcome: Any
) -> None:
    stage = _made(make, **_two(drained=False))
    pools = stage.plane.snapshot.services["shop"].pools
    for name in ("blue",) if canary_is_up else ("blue", "canary"):
        pools[name].endpoints[0].state = State.DOWN
        pools[name].refresh()
    exchange = stage.begin()
    exchange.response(stage.head(200), b"ok", True)
    assert (exchange.pool_name, _outcome(stage), _outcome(stage, "canary")) == ("blue", outcome, NONE)


def test_pool_without_an_endpoint_is_bad(make: Any) -> None:
    stage = _made(make, pools=(Pool("blue", (Endpoint(A, drain=True),)),), watch=WATCH)
    stage.begin()
    assert (stage.client.reason, _outcome(stage)) == ("no_endpoint", BAD)


def _counts(stage: Any) -> tuple[int, int]:
    return _cell(stage).sights, _cell(stage).requests


def test_pool_that_a_route_names_does_not_count(make: Any) -> None:
    stage = _made(make, watch=WATCH)
    before = stage.plane.snapshot
    document = replace(stage.document, routes=(replace(stage.document.routes[0], pool="blue"),))
    stage.plane.snapshot = compile_snapshot(document, 2, before.registry, lambda: 0.5, token=bytes)
    stage.plane.snapshot.activate()
    stage.begin().response(stage.head(500), b"", True)
    assert _counts(stage) == (0, 0)


def test_answer_of_a_filter_does_not_count(make: Any) -> None:
    stage = _made(make, watch=WATCH, filters=(Plugin("fault", {"abort": 503, "share": 1.0}),))
    stage.begin()
    assert (stage.client.status, _counts(stage)) == (503, (0, 0))


@dataclass(frozen=True, slots=True)
class Choosing:
    """A filter that names a pool, as a plug-in does."""

    def compile(self, _site: Site) -> Hooks:
        return Hooks(RequestFilter(lambda _: ChoosePool("blue")))


def test_pool_that_a_filter_names_does_not_count(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILTERS._kinds, "choosing", Choosing)
    stage = _made(make, watch=WATCH, filters=(Plugin("choosing", {}),))
    exchange = stage.begin()
    exchange.response(stage.head(500), b"", True)
    assert (exchange.pool_name, stage.client.status, _counts(stage)) == ("blue", 500, (0, 0))


def test_request_in_panic_is_no_outcome_even_if_it_breaks(make: Any) -> None:
    stage = _made(make, watch=WATCH)
    server = stage.servers[A]
    server.endpoint.signal(Signal.EJECT)
    server.endpoint.shared.refresh()
    exchange = stage.begin()
    exchange.response(stage.head(500, length=9), b"half", False)
    exchange.response_broken("upstream_reset")
    assert (server.endpoint.shared.counters.panicked, _outcome(stage)) == (1, NONE)


def test_retry_that_breaks_leaves_the_first_outcome_as_it_was(make: Any) -> None:
    watch = replace(WATCH, statuses=((500, 502),))
    stage = _made(make, 2, watch=watch, retry=Retry(on=("503",)))
    exchange = stage.begin()
    exchange.response(stage.head(503), b"", True)
    exchange.response(stage.head(length=9), b"half", False)
    exchange.response_broken("upstream_reset")
    assert (exchange.attempts, stage.client.events[-1], _outcome(stage)) == (2, "broken", GOOD)


def test_only_the_first_attempt_is_timed(make: Any) -> None:
    stage = _made(make, 2, watch=WATCH, retry=Retry(on=("503",)))
    at = _at(stage)
    exchange = stage.begin()
    exchange.response(stage.head(503), b"", True)
    at[0] += 0.7
    stage.plane.fine.tick(at[0])
    exchange.response(stage.head(), b"ok", True)
    assert (stage.client.status, _cell(stage).slow, _outcome(stage)) == (200, [0, 0], BAD)


def test_copies_do_not_count(make: Any, loop: asyncio.AbstractEventLoop) -> None:
    pools = (Pool("blue", (Endpoint(A),)), Pool("canary", (Endpoint(B),)))
    mirror = Plugin("mirror", {"pool": "canary"})
    stage = _made(make, pools=pools, split={"blue": 1.0, "canary": 0.0}, watch=WATCH, filters=(mirror,))
    exchange = stage.begin()
    loop.call_soon(loop.stop)
    loop.run_forever()
    copy = stage.servers[B].exchange
    assert copy is not None
    copy.response(stage.head(500), b"", True)
    exchange.response(stage.head(), b"ok", True)
    assert (_outcome(stage), _outcome(stage, "canary"), _cell(stage, "canary").sights) == (GOOD, NONE, 0)


def test_total_time_that_is_over_is_bad(make: Any) -> None:
    stage = _made(make, watch=WATCH, timeouts=Timeouts(total=1.0))
    at = _at(stage)
    exchange = stage.begin()
    at[0] += 1.5
    exchange.expire(at[0])
    assert (stage.client.reason, _outcome(stage)) == ("total_timeout", BAD)


def test_exchange_that_was_seen_leaves_no_cycle(make: Any) -> None:
    stage = _made(make, watch=WATCH)
    exchange = stage.begin()
    exchange.response(stage.head(), b"ok", True)
    assert exchange.aside.sighting is None


def _at(stage: Any) -> list[float]:
    at = [stage.plane.clock()]
    stage.plane.clock = lambda: at[0]
    return at


def test_slowness_counts_as_soon_as_it_is_certain(make: Any) -> None:
    stage = _made(make, watch=WATCH)
    at = _at(stage)
    exchange = stage.begin()
    at[0] += 0.7
    stage.plane.fine.tick(at[0])
    assert (_cell(stage).slow, _outcome(stage)) == ([0, 1], NONE)
    exchange.abandon()
    assert (_cell(stage).slow, _outcome(stage)) == ([0, 1], NONE)


def test_slowness_counts_once_by_each_threshold(make: Any) -> None:
    stage = _made(make, watch=WATCH)
    at = _at(stage)
    exchange = stage.begin()
    at[0] += 0.7
    stage.plane.fine.tick(at[0])
    at[0] += 2.0
    exchange.response(stage.head(200), b"ok", True)
    assert (_cell(stage).slow, _outcome(stage)) == ([1, 1], GOOD)


def test_wheel_looks_no_more_once_there_is_nothing_to_find(make: Any) -> None:
    stage = _made(make, watch=WATCH)
    at = _at(stage)
    exchange = stage.begin()
    sighting = exchange.aside.sighting
    exchange.response(stage.head(length=9), b"half", False)
    at[0] += 0.7
    stage.plane.fine.tick(at[0])
    assert sighting.scheduled == inf
    assert _cell(stage).slow == [0, 0]


ROLLING = replace(WATCH, stable="blue", candidate="blue")


def _rolling(make: Any, updated: tuple[str, ...] = (A,), **service: Any) -> Any:
    """Two endpoints, of which A is updated; by its chance of a half, B is drawn."""
    blue = Pool("blue", (Endpoint(A), Endpoint(B)), updated=updated)
    return _made(make, pools=(blue,), watch=ROLLING, **service)


def _told(stage: Any) -> list[CellSeen]:
    seeing = stage.plane.snapshot.services["shop"].watched.cohort("blue", True, 1).seeing
    return decode(seeing.tell())


def _cohort(stage: Any, *, is_updated: bool, share: int = 500) -> tuple[int, int]:
    cell = stage.plane.snapshot.services["shop"].watched.cohort("blue", is_updated, share)
    return cell.requests, cell.bad


COHORTS = [((), 0, False), ((A,), 500, False), ((A, B), 1_000, True)]


@pytest.mark.parametrize(("updated", "share", "is_updated"), COHORTS)
def test_request_is_its_cohorts(make: Any, updated: tuple[str, ...], share: int, is_updated: bool) -> None:
    stage = _rolling(make, updated)
    exchange = stage.begin()
    exchange.response(stage.head(500), b"ok", True)
    assert _cohort(stage, is_updated=is_updated, share=share) == BAD
    assert _cohort(stage, is_updated=not is_updated, share=share) == NONE
    told = [each.pool for each in _told(stage)]
    assert told == ["blue updated" if is_updated else "blue as it was"]


def test_cohort_that_was_drawn_answers_whatever_a_retry_elsewhere_delivers(make: Any) -> None:
    stage = _rolling(make, retry=Retry(on=("connect", "503")))
    for failed in ("connect", "503"):
        stage.next_client()
        exchange = stage.begin()
        assert exchange.endpoint.address == B
        if failed == "connect":
            exchange.attempt_failed(fail.ConnectFailed(), False)
        else:
            exchange.response(stage.head(503), b"", True)
        assert exchange.endpoint.address == A
        exchange.response(stage.head(200), b"ok", True)
        assert stage.client.status == 200
    assert _cohort(stage, is_updated=False) == (2, 2)
    assert _cohort(stage, is_updated=True) == NONE


def test_cohort_that_has_nothing_any_more_lets_go_and_is_not_judged_by_it(make: Any) -> None:
    stage = _rolling(make, limits=Limits(connections=1))
    first = stage.begin()
    stage.next_client()
    waiting = stage.begin()
    endpoint = stage.servers[B].endpoint
    endpoint.signal(Signal.EJECT)
    endpoint.shared.refresh()
    first.response(stage.head(200), b"ok", True)
    assert waiting.endpoint.address == A
    waiting.response(stage.head(500), b"ok", True)
    assert (_cohort(stage, is_updated=False), _cohort(stage, is_updated=True)) == (GOOD, NONE)


def test_request_that_a_route_sends_there_has_no_cohort(make: Any) -> None:
    stage = _rolling(make)
    route = replace(stage.document.routes[0], pool="blue")
    stage.document = replace(stage.document, routes=(route,))
    stage.reload()
    stage.begin().response(stage.head(500), b"ok", True)
    assert _cohort(stage, is_updated=False) == NONE


def test_key_counts_once_however_often_it_fails(make: Any) -> None:
    stage = _rolling(make, balance=Plugin("hash", {"header": "accept"}))
    for _ in range(3):
        stage.next_client()
        stage.begin().response(stage.head(500), b"ok", True)
    (seen,) = _told(stage)
    assert (seen.bad, seen.events[0], len(seen.buckets[0]), seen.share) == (3, 0, 1, 500)
