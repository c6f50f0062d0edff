"""Explanations: each route that was tried, and where the request would go."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.http1.facts import Facts
from proxy.pools.endpoint import State
from proxy.routing.explain import explain
from proxy.snapshot.compile import Snapshot
from proxy.snapshot.document import Plugin, Route, Sticky, StickyKey

RequestOf = Callable[..., Facts]
SnapshotOf = Callable[..., Snapshot]
ServiceOf = Callable[..., Any]
NOW = 1_700_000_000.0

ROUTES = (
    Route(
        "testers",
        (Plugin("host", {"value": "shop.example.com"}), Plugin("headers", {"value": {"x-canary": "true"}})),
        service="shop",
        pool="canary",
    ),
    Route("lucky", (Plugin("share", {"value": 0.1}), Plugin("methods", {"value": "GET"})), service="shop"),
    Route(
        match=(Plugin("path", {"value": "/old/*"}),),
        action=Plugin("redirect", {"path": "/new/*", "status": 308}),
    ),
    Route("shop", service="shop"),
)


def explained(snapshot: Snapshot, facts: Facts, states: dict[str, State] | None = None, now: float = NOW) -> list[str]:
    for name, state in (states or {}).items():
        pool = snapshot.services["shop"].pools[name]
        for endpoint in pool.endpoints:
            endpoint.state = state
        pool.refresh()
    return explain(snapshot.router, facts, now)


def test_named_pool_is_told(snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf) -> None:
    snapshot = snapshot_of((service_of({"blue": 0.95, "canary": 0.05}),), ROUTES)
    assert explained(snapshot, request_of(headers="X-Canary: true")) == [
        "route #1 testers matches: host is shop.example.com, header x-canary is true",
        "it goes to service shop, split blue 95%, canary 5%",
        "the route names pool canary, whatever the split says",
        "pool canary: one of canary-0",
    ]


def test_chance_is_told_and_never_asked(snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf) -> None:
    snapshot = snapshot_of((service_of({"blue": 0.5, "canary": 0.5}),), ROUTES, chance=iter(()).__next__)
    assert explained(snapshot, request_of("/old/x?q")) == [
        "route #1 testers does not match: it wants header x-canary is true",
        "route #2 lucky matches: method is GET, it is in the share of 10%",
        "chance decides for each request whether it is in the share of 10%; if so:",
        "it goes to service shop, split blue 50%, canary 50%",
        "each request is drawn by these shares",
        "pool blue: one of blue-0",
        "pool canary: one of canary-0",
        "and if not:",
        "route #3 matches: path is /old/*",
        "it is answered here: 308 (location: /new/x?q)",
    ]


def test_no_route_is_told(snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf) -> None:
    snapshot = snapshot_of((service_of({"blue": 1.0}, {"canary": 1}),), ROUTES[:1])
    assert explained(snapshot, request_of(host="other.example.com")) == [
        "route #1 testers does not match: it wants host is shop.example.com",
        "no route matches: 404",
    ]


@pytest.mark.parametrize(
    ("states", "sentences"),
    [
        (
            {"blue": State.DOWN},
            ["pool blue has no usable endpoint: blue-0 is down", "it spills to canary", "pool canary: one of canary-0"],
        ),
        (
            {"blue": State.DOWN, "canary": State.DRAINING},
            [
                "pool blue has no usable endpoint: blue-0 is down",
                "panic: one of blue-0 is tried all the same",
                "pool canary has no usable endpoint: canary-0 is draining",
                "panic: one of blue-0 is tried all the same",
            ],
        ),
        (
            {"blue": State.UNPROVEN, "canary": State.DRAINING},
            [
                "pool blue has no usable endpoint: blue-0 is unproven",
                "503: nothing can take it",
                "pool canary has no usable endpoint: canary-0 is draining",
                "503: nothing can take it",
            ],
        ),
    ],
)
def test_pool_without_usable_endpoint_is_told(
    snapshot_of: SnapshotOf,
    service_of: ServiceOf,
    request_of: RequestOf,
    states: dict[str, State],
    sentences: list[str],
) -> None:
    snapshot = snapshot_of((service_of({"blue": 0.5, "canary": 0.5}),), ROUTES[3:])
    assert explained(snapshot, request_of(), states)[3:] == sentences


def test_named_pool_without_endpoint_is_503(
    snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf
) -> None:
    snapshot = snapshot_of((service_of({"blue": 0.5, "canary": 0.5}),), ROUTES[:1])
    sentences = explained(snapshot, request_of(headers="X-Canary: true"), {"canary": State.DRAINING})
    assert sentences[-1] == "503: the route allows no other pool"


@pytest.mark.parametrize(
    ("sticky", "headers", "sentence"),
    [
        (
            Sticky(cookie="sid"),
            "",
            "sticky: it shows no valid session cookie and is given one; its new id decides by these shares",
        ),
        (
            Sticky(key=StickyKey("header", "x-user")),
            "X-User: 42",
            "sticky: it is in bucket 7559, which belongs to pool canary",
        ),
        (Sticky(key=StickyKey("header", "x-user")), "", "sticky: it shows no key and is drawn by these shares"),
    ],
)
def test_sticky_decision_is_told(
    snapshot_of: SnapshotOf,
    service_of: ServiceOf,
    request_of: RequestOf,
    sticky: Sticky,
    headers: str,
    sentence: str,
) -> None:
    snapshot = snapshot_of((service_of({"blue": 0.5, "canary": 0.5}, sticky=sticky),), ROUTES[3:])
    assert explained(snapshot, request_of(headers=headers))[2] == sentence


@pytest.mark.parametrize(
    ("age", "sentence"),
    [
        (10.0, "sticky: the session is held by pool blue"),
        (3600.0, "sticky: it is in bucket {bucket}, which belongs to pool blue"),
    ],
)
def test_held_session_is_told(
    snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf, age: float, sentence: str
) -> None:
    held = Sticky(cookie="sid", on_change="hold")
    snapshot = snapshot_of((service_of({"blue": 1.0}, sticky=held),), ROUTES[3:])
    service = snapshot.services["shop"]
    _, line, _ = service.stick(request_of(), NOW)
    assert line is not None
    facts = request_of(cookie=line.partition(b";")[0].decode())
    bucket = service.bucket(service.identity(facts) or b"")
    assert explained(snapshot, facts, now=NOW + age)[2] == sentence.format(bucket=bucket)


def filtered(*filters: Plugin) -> tuple[Route, ...]:
    return (Route("shop", service="shop", filters=filters),)


FILTERED = [
    (Plugin("ip_allow", {"allow": ["10.0.0.0/8"]}), "a filter of its answers it: 403 (ip_refused)", 2),
    (Plugin("mirror", {"pool": "canary"}), "a copy goes to pool canary", 5),
    (Plugin("fault", {"delay": 2.0, "share": 1.0}), "a filter holds it back, for 2 s at most", 5),
]


@pytest.mark.parametrize(("plugin", "told", "lines"), FILTERED)
def test_filters_of_the_route_are_told(
    snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf, plugin: Plugin, told: str, lines: int
) -> None:
    snapshot = snapshot_of((service_of({"blue": 1.0, "canary": 0.0}),), filtered(plugin))
    found = explained(snapshot, request_of(client="192.0.2.1"))
    assert found[1] == told
    assert len(found) == lines
