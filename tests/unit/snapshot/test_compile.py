"""Compiling: what a snapshot has, what it takes from the one before, and every problem at once."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from proxy.http1.facts import Facts
from proxy.http1.message import NO_BODY, ResponseHead
from proxy.pools.endpoint import State
from proxy.pools.registry import EndpointRegistry
from proxy.snapshot.compile import CompileError, Snapshot, compile_snapshot
from proxy.snapshot.document import (
    Document,
    Endpoint,
    Health,
    Limits,
    Plugin,
    Pool,
    Retry,
    Route,
    Service,
    Sticky,
    StickyKey,
    Timeouts,
)

KEYS = ("a key of more than sixteen bytes",)


def added(kind: str, value: str) -> Plugin:
    return Plugin(kind, {"add": {"x-step": value}})


def service(name: str = "shop", **settings: Any) -> Service:
    pools = (Pool("blue", (Endpoint("b0"), Endpoint("b1", 2.0))), Pool("green", (Endpoint("g0"),)))
    return msgspec.structs.replace(Service(name, pools, {"blue": 0.9, "green": 0.1}), **settings)


def document(services: tuple[Service, ...] = (), routes: tuple[Route, ...] = (), **more: Any) -> Document:
    return Document((), services, routes, cookie_keys=more.pop("cookie_keys", KEYS), **more)


def compiled(source: Document, previous: Snapshot | None = None, registry: EndpointRegistry | None = None) -> Snapshot:
    registry = registry or (previous.registry if previous else EndpointRegistry())
    snapshot = compile_snapshot(source, 7, registry, lambda: 0.5, previous=previous, token=lambda size: b"\1" * size)
    snapshot.activate()
    return snapshot


def test_service_has_what_the_document_says(facts: Facts) -> None:
    limits, timeouts, retry = Limits(5, 6, 7.0), Timeouts(response=1.0), Retry(methods=("PUT",), budget=0.5)
    shop = service(limits=limits, timeouts=timeouts, retry=retry, health=Health("/healthz"))
    snapshot = compiled(document((shop,), (Route("all", service="shop"),)))
    got, route = snapshot.services["shop"], snapshot.router.find(facts)
    assert route is not None
    assert (got.limits, got.timeouts, got.retry, got.ejection) == (limits, timeouts, retry, shop.ejection)
    assert (route.service, route.timeouts, route.retry) == (got, timeouts, retry)
    assert (route.pool, route.otherwise, route.action) == (None, False, None)
    assert (route.retry_methods, snapshot.generation) == (frozenset({b"PUT"}), 7)
    blue = got.pools["blue"]
    assert [(each.address, each.weight, each.state) for each in blue.endpoints] == [
        ("b0", 1.0, State.UNPROVEN),
        ("b1", 2.0, State.UNPROVEN),
    ]
    assert (blue.shared.limits.connections, blue.shared.limits.pending, blue.spec.budget) == (5, 6, 0.5)


def test_route_may_have_its_own_pool_timeouts_and_retry(facts: Facts) -> None:
    own = Route(
        service="shop", pool="green", otherwise="split", timeouts=Timeouts(response=3.0), retry=Retry(retries=0)
    )
    route = compiled(document((service(),), (own,))).router.find(facts)
    assert route is not None
    assert route.pool is not None
    assert (route.pool.name, route.otherwise) == ("green", True)
    assert (route.timeouts, route.retry) == (own.timeouts, own.retry)
    assert route.retry_methods == {b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"}


def test_route_with_an_action_has_no_service(facts: Facts) -> None:
    route = compiled(document((), (Route(action=Plugin("respond", {"status": 418})),))).router.find(facts)
    assert route is not None
    assert route.action is not None
    assert (route.service, route.action(facts).status, route.timeouts) == (None, 418, Timeouts())
    assert route.endpoint(None, facts) is None  # type: ignore[arg-type]


def test_filters_run_in_order_and_responses_in_reverse(facts: Facts) -> None:
    kinds = ("request_headers", "response_headers")
    shop = service(filters=tuple(added(kind, step) for step in ("s1", "s2") for kind in kinds))
    own = Route(service="shop", filters=tuple(added(kind, "r") for kind in kinds))
    snapshot = compiled(document((shop,), (own,), filters=tuple(added(kind, "e") for kind in kinds)))
    route = snapshot.router.find(facts)
    assert route is not None
    for each in (*snapshot.filters, *route.request_filters):
        each.on_request(facts)
    head = ResponseHead(200, b"OK", 1, NO_BODY, 0, b"", 0)
    for step in (*route.response_filters, *snapshot.response_filters):
        step.on_response(facts, head)
    assert facts.head.get_all(b"x-step") == [b"e", b"s1", b"s2", b"r"]
    assert head.get(b"x-step") == b"r, s2, s1, e"


def test_star_of_filters_is_what_the_route_left_over(facts: Facts) -> None:
    shop = service(filters=(Plugin("rewrite", {"path": "/new/*"}),))
    snapshot = compiled(document((shop,), (Route(match=(Plugin("path", {"value": "/a/*"}),), service="shop"),)))
    route = snapshot.router.find(facts)
    assert route is not None
    route.request_filters[0].on_request(facts)
    assert facts.path == b"/new/b"


def test_share_goes_by_the_services_identity(facts: Facts) -> None:
    keyed = service(sticky=Sticky(key=StickyKey("header", "x-a")))
    lucky = Route("lucky", (Plugin("share", {"value": 0.5}),), service="shop")
    router = compiled(document((keyed,), (lucky, Route("rest", service="shop")))).router

    def asked(user: int) -> str | None:
        facts.head.block = b"X-A: %d\r\n" % user
        route = router.find(facts)
        return route and route.name

    first = [asked(user) for user in range(64)]
    assert set(first) == {"lucky", "rest"}
    assert [asked(user) for user in range(64)] == first


def test_unchanged_parts_are_taken_from_before() -> None:
    source = document((service(), service("cart")), (Route(service="shop"),))
    first = compiled(source)
    again = compiled(source, first)
    assert again.router is first.router
    assert all(again.services[name] is first.services[name] for name in first.services)


def test_changed_service_is_compiled_and_its_endpoints_stay() -> None:
    source = document((service(), service("cart")), (Route(service="shop"),))
    first = compiled(source)
    endpoint = first.services["shop"].pools["blue"].endpoints[0]
    endpoint.in_flight = 3
    other = msgspec.structs.replace(source, services=(service(split={"blue": 0.5, "green": 0.5}), source.services[1]))
    second = compiled(other, first)
    assert second.services["cart"] is first.services["cart"]
    assert second.services["shop"] is not first.services["shop"]
    assert second.services["shop"].pools["blue"].endpoints[0] is endpoint
    assert second.router is not first.router


def test_buckets_move_no_more_than_the_split_asks_for() -> None:
    sticky = Sticky(cookie="sid")
    pools = tuple(Pool(name, (Endpoint(name),)) for name in "abc")
    first, second = (
        service(pools=pools, sticky=sticky, split=split)
        for split in ({"a": 0.4, "b": 0.3, "c": 0.3}, {"a": 0.2, "b": 0.3, "c": 0.5})
    )
    before = compiled(document((first,)))
    after = compiled(document((second,)), before)
    slots = [snapshot.services["shop"].sticky.table.slots for snapshot in (before, after)]
    assert sum(old != new for old, new in zip(*slots, strict=True)) == 2000


def test_new_cookie_keys_reach_only_services_with_a_cookie() -> None:
    source = document((service(sticky=Sticky(cookie="sid")), service("cart")))
    first = compiled(source)
    second = compiled(msgspec.structs.replace(source, cookie_keys=("another key of many bytes",)), first)
    assert second.services["shop"] is not first.services["shop"]
    assert second.services["cart"] is first.services["cart"]


def test_activation_removes_what_is_not_there_any_more() -> None:
    first = compiled(document((service(),)))
    blue, green = first.services["shop"].pools["blue"], first.services["shop"].pools["green"]
    compiled(document((service(pools=(Pool("blue", (Endpoint("b1", 5.0),)),), split={"blue": 1.0}),)), first)
    assert [endpoint.state for endpoint in (*blue.endpoints, *green.endpoints)] == [
        State.REMOVED,
        State.UP,
        State.REMOVED,
    ]
    assert blue.endpoints[1].weight == 5.0


def test_refused_document_changes_nothing() -> None:
    first = compiled(document((service(),), (Route(service="shop"),)))
    with pytest.raises(CompileError):
        compile_snapshot(
            document((service(pools=(), split={"x": 1.0}),)),
            8,
            first.registry,
            lambda: 0.5,
            previous=first,
            token=bytes,
        )
    assert {endpoint.state for endpoint in first.registry} == {State.UP}
    assert len(list(first.registry)) == 3


def problems_of(source: Document) -> list[str]:
    with pytest.raises(CompileError) as refused:
        compiled(source)
    return refused.value.problems


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (document((), (Route(service="none"),)), "route #1: service 'none' does not exist; there is none"),
        (
            document((service(),), (Route("r", service="shop", pool="red"),)),
            "route #1 r: pool 'red' does not exist in service shop; there is blue, green",
        ),
        (document((), (Route(),)), "leads either to a service or to an action"),
        (
            document((service(),), (Route(service="shop", action=Plugin("respond")),)),
            "leads either to a service or to an action",
        ),
        (document((service(),), (Route(service="shop", otherwise="split"),)), "`otherwise` needs a pool"),
        (document((), (Route(pool="blue", action=Plugin("respond")),)), "a pool needs a service"),
        (
            document((service(),), (Route(match=(Plugin("share", {"value": 0.1}),), service="shop"),)),
            "route #1: `share` needs a route with a name",
        ),
        (
            document((service(),), (Route(match=(Plugin("hots", {"value": "a"}),), service="shop"),)),
            "unknown match 'hots'; did you mean 'host'?",
        ),
        (
            document((service(),), (Route(match=(Plugin("host", {"value": "*"}),), service="shop"),)),
            "route #1: '*' is not a host; leave `host` out to match every host",
        ),
        (
            document((), (Route(action=Plugin("redirect", {"path": "/new/*"})),)),
            "route #1: `*` in '/new/*' needs a route",
        ),
        (document((), (Route(action=Plugin("nothing")),)), "unknown action 'nothing'"),
        (document((), filters=(Plugin("rewrite", {"path": "/x/*"}),)), "filters: `*` in '/x/*' needs a route"),
        (document((service(filters=(Plugin("rewrite"),)),)), "service shop: rewrite changes nothing"),
        (document((service(balance=Plugin("fastest")),)), "service shop: unknown balancer 'fastest'"),
        (document((service(split={"blue": 0.0}),)), "service shop: a split needs shares"),
        (document((service(split={"blue": 0.5, "red": 0.5}),)), "the split names 'red', which is no pool of it"),
        (document((service(), service())), "service shop: it is there twice"),
        (document((service(sticky=Sticky()),)), "sticky takes either a cookie or a key"),
        (
            document((service(pools=(Pool("blue", (Endpoint("a"), Endpoint("a"))),), split={"blue": 1.0}),)),
            "pool 'blue' has a twice",
        ),
        (
            document((service(pools=(Pool("blue", ()), Pool("blue", ())), split={"blue": 1.0}),)),
            "pool 'blue' is there twice",
        ),
        (
            document(
                (service(pools=tuple(Pool(f"p{n}", ()) for n in range(256)), split={"p0": 1.0}),),
            ),
            "it has 256 pools; 255 is the most",
        ),
        (document((service(sticky=Sticky(cookie="sid")),), cookie_keys=()), "needs a key to sign with"),
    ],
)
def test_problem_is_told_with_its_part(source: Document, problem: str) -> None:
    told = problems_of(source)
    assert len(told) == 1
    assert problem in told[0]


def test_problems_are_told_all_at_once() -> None:
    source = document(
        (service(split={"red": 1.0}), service("cart", balance=Plugin("x"))),
        (Route(service="none"), Route(service="shop", pool="red"), Route(action=Plugin("respond", {"status": 1}))),
        filters=(Plugin("y"),),
    )
    assert [problem.partition(":")[0] for problem in problems_of(source)] == [
        "service shop",
        "service cart",
        "filters",
        "route #1",
        "route #3",
    ]


def test_filters_are_compiled_anew_for_another_number_of_workers() -> None:
    gate = Plugin("concurrency_limit", {"limit": 8})
    routes = (Route(action=Plugin("respond", {}), filters=(gate,)),)
    before = compiled(document((), routes, filters=(gate,), workers=1))
    same = compiled(document((), routes, filters=(gate,), workers=1), before)
    more = compiled(document((), routes, filters=(gate,), workers=4), same)
    assert same.filters is before.filters
    assert same.router is before.router
    assert more.filters != before.filters
    assert more.router.rows[0].route.request_filters != before.router.rows[0].route.request_filters


def test_filter_is_told_whether_the_generation_in_force_has_it() -> None:
    said: list[str] = []

    class Stands:
        def begin(self) -> None:
            said.append("begin")

        def end(self) -> None:
            said.append("end")

    with_it = replace(compiled(document()), standings=frozenset({Stands()}))
    without = compiled(document())
    with_it.succeed(None)
    with_it.succeed(with_it)
    without.succeed(with_it)
    without.succeed(without)
    assert said == ["begin", "begin", "end"]
