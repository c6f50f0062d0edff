"""What the views say of services, from what is in force and what workers report."""

from typing import Any

import pytest

from proxy.control.shown import overrides, pool_views, traffic
from proxy.control.state import Course, Drain, EndpointOverride, SplitOverride, State
from proxy.control.views import MirrorSide
from proxy.snapshot.document import Endpoint, Plugin, Pool, Service
from proxy.telemetry.counters import MirrorCounters
from proxy.telemetry.report import Durations, EndpointReport, MirrorReport, PoolReport, WorkerReport
from proxy.telemetry.report import MirrorSide as Side


def _worker(
    *endpoints: EndpointReport, pools: tuple[PoolReport, ...] = (), mirrors: tuple[MirrorReport, ...] = ()
) -> WorkerReport:
    return WorkerReport(pools, endpoints, (1, 0, 0, 0, 0, 0), {}, {"127.0.0.1:80": 2}, 0, mirrors)


def _report(
    address: str, state: str = "up", in_flight: int = 0, tunnels: int = 0, pool: str = "blue"
) -> EndpointReport:
    return EndpointReport("shop", pool, address, state, 1.0, in_flight, tunnels, 0)


def _service(*endpoints: Endpoint, drain: bool = False) -> Service:
    return Service("shop", (Pool("blue", endpoints, drain=drain),), {"blue": 1.0})


STATES = [
    (("up", "up"), "up"),
    (("up", "ejected"), "ejected"),
    (("ejected", "down"), "down"),
    (("up", "unproven"), "unproven"),
    (("unproven", "down"), "down"),
    (("draining", "up"), "up"),
    (("draining",), "unproven"),
    ((), "unproven"),
]


@pytest.mark.parametrize(("states", "shown"), STATES)
def test_state_is_the_worst_that_a_worker_tells(states: tuple[str, ...], shown: str) -> None:
    views = pool_views(_service(Endpoint("a:1")), {"blue": 100.0}, [_worker(_report("a:1", each)) for each in states])
    assert views["blue"].endpoints[0].state == shown


DRAINS: list[tuple[bool, bool, tuple[tuple[int, int], ...], str, str]] = [
    (False, True, ((0, 0), (1, 0)), "active", "draining"),
    (False, True, ((0, 0), (0, 1)), "active", "draining"),
    (False, True, ((0, 0), (0, 0)), "active", "drained"),
    (True, False, ((1, 0), (0, 0)), "draining", "draining"),
    (True, True, ((0, 0), (0, 0)), "drained", "drained"),
    (True, False, (), "drained", "drained"),
]


@pytest.mark.parametrize(("pool", "endpoint", "running", "pool_state", "state"), DRAINS)
def test_drain_is_over_when_nothing_runs_in_any_worker(
    pool: bool, endpoint: bool, running: Any, pool_state: str, state: str
) -> None:
    # What a worker calls the endpoint does not count: it knows only its own part.
    reports = [_worker(_report("a:1", "drained", *each)) for each in running]
    views = pool_views(_service(Endpoint("a:1", drain=endpoint), drain=pool), {"blue": 100.0}, reports)
    assert (views["blue"].state, views["blue"].endpoints[0].state) == (pool_state, state)
    assert views["blue"].endpoints[0].in_flight == sum(each[0] for each in running)
    assert views["blue"].endpoints[0].tunnels == sum(each[1] for each in running)


def test_removed_endpoint_is_shown_until_it_is_empty() -> None:
    service = _service(Endpoint("a:1"))
    reports = [_worker(_report("a:1"), _report("b:2", "removed", 1)), _worker(_report("b:2", "removed", 2, 3))]
    found = pool_views(service, {"blue": 100.0}, reports)["blue"].endpoints
    assert [(each.address, each.state, each.in_flight, each.tunnels) for each in found[1:]] == [
        ("b:2", "removed", 3, 3)
    ]
    assert len(pool_views(service, {}, [_worker(_report("b:2", "removed"))])["blue"].endpoints) == 1


def test_removed_pool_is_shown_until_it_is_empty() -> None:
    service = _service(Endpoint("a:1"))
    found = pool_views(service, {"blue": 100.0}, [_worker(_report("c:3", "removed", 1, pool="green"))])
    assert (found["green"].state, found["green"].weight, found["green"].endpoints[0].state) == (
        "draining",
        0.0,
        "removed",
    )
    assert list(pool_views(service, {}, [_worker(_report("c:3", "removed", pool="green"))])) == ["blue"]


def test_other_services_do_not_count() -> None:
    other = EndpointReport("other", "blue", "a:1", "down", 1.0, 5, 5, 0)
    found = pool_views(_service(Endpoint("a:1")), {}, [_worker(other, _report("a:1"))])["blue"].endpoints
    assert [(each.state, each.in_flight) for each in found] == [("up", 0)]


def test_traffic_is_summed_over_workers() -> None:
    pool = PoolReport("shop", "blue", (1, 0, 2, 3, 4, 5), Durations({}, 1.5), Durations({}, 0.0), retries=1)
    reports = [_worker(_report("a:1", in_flight=2), pools=(pool,)), _worker(_report("a:1", tunnels=1), pools=(pool,))]
    found = traffic(reports)
    assert (found.unrouted, found.connections) == (2, 4)
    (blue,) = found.pools
    assert (blue.requests, blue.errors, blue.seconds, blue.retries) == (30, 12, 3.0, 2)
    assert (blue.in_flight, blue.tunnels) == (2, 1)
    assert (traffic([]).pools, traffic([]).mirrors) == ((), ())


def test_mirrors_are_summed_over_workers_with_both_sides_beside_each_other() -> None:
    counters = MirrorCounters("shop", "green")
    counters.compared((200, 0.1), (0, 3.0))
    counters.compared((404, 0.2), (503, 1.0))
    sides = [Side(tuple(each.requests), Durations.of(each.duration)) for each in (counters.real, counters.shadow)]
    mirrors = (MirrorReport("shop", "green", *sides, {"full": 2}),)
    (found,) = traffic([_worker(mirrors=mirrors), _worker(mirrors=mirrors)]).mirrors
    assert (found.service, found.pool, found.skipped) == ("shop", "green", {"full": 4})
    assert (found.real.statuses, found.shadow.statuses) == ({"2xx": 2, "4xx": 2}, {"5xx": 4})
    assert (found.real.seconds, found.shadow.seconds) == (pytest.approx(0.6), 8.0)
    assert (found.real.median, found.real.slowest) == (pytest.approx(0.1, rel=0.05), pytest.approx(0.2, rel=0.05))
    nothing = traffic([_worker(mirrors=(MirrorReport("shop", "green", *[Side((0,) * 6, Durations({}, 0.0))] * 2),))])
    assert nothing.mirrors[0].shadow == MirrorSide({}, 0.0, None, None)


def test_overrides_are_split_endpoints_and_drains() -> None:
    state = State(
        splits={"shop": SplitOverride({"blue": 1.0}, {"blue": 0.25, "green": 0.75})},
        endpoints=(
            EndpointOverride("shop", "blue", "a:1", 1.0, None),
            EndpointOverride("shop", "blue", "s:1", None, 2.0),
        ),
        drains=(Drain("shop", "green", None, 12.0, cut=True), Drain("shop", "blue", "s:1")),
    )
    found = list(overrides(state, {}, lambda text: "***" if text == "s:1" else text))
    assert [(each.field, each.file, each.value, each.pool, each.address) for each in found] == [
        ("split", {"blue": 100}, {"blue": 25, "green": 75}, None, None),
        ("endpoint", 1.0, None, "blue", "a:1"),
        ("endpoint", None, 2.0, "blue", "***"),
        ("drain", None, {"deadline": 12.0, "cut": True}, "green", None),
        ("drain", None, {"deadline": 0.0, "cut": False}, "blue", "***"),
    ]


def test_overrides_are_what_differs_from_the_file_as_it_is_now() -> None:
    split = SplitOverride({"blue": 1.0}, {"blue": 0.5, "green": 0.5})
    edited = overrides(State(splits={"shop": split}), {"shop": {"blue": 0.9, "green": 0.1}}, str)
    assert [(each.file, each.value) for each in edited] == [({"blue": 90, "green": 10}, {"blue": 50, "green": 50})]
    assert list(overrides(State(splits={"shop": split}), {"shop": {"blue": 1.0, "green": 1.0}}, str)) == []


def test_overrides_are_also_what_a_rollout_has_set_up_for_its_time() -> None:
    routes = {"header": (Plugin("headers", {"value": {"x-key": "secret"}}), Plugin("flags", {"value": {"f": "on"}}))}
    course = Course("r", "blue", "green", routes=routes, mirror=Plugin("mirror", {"pool": "green", "share": 0.5}))
    found = overrides(State(courses={"shop": course}), {}, lambda text: "***" if text == "secret" else text)
    assert [(each.service, each.field, each.value, each.pool) for each in found] == [
        ("shop", "route", {"headers": {"x-key": "***"}, "flags": {"f": "on"}}, "green"),
        ("shop", "mirror", 0.5, "green"),
    ]
