"""A pool: which endpoints are usable, in what order they are tried, and what is left in panic."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.http1.facts import Facts
from proxy.pools.endpoint import Signal, State
from proxy.pools.pool import Pool
from proxy.pools.registry import EndpointRegistry

KINDS = [
    ("least_requests", {}),
    ("round_robin", {}),
    ("random", {}),
    ("hash", {"client": True}),
    ("hash", {"header": "x-none"}),
]
every_balancer = pytest.mark.parametrize(("balance", "options"), KINDS)
PoolOf = Callable[..., Pool]


def set_states(pool: Pool, states: str) -> None:
    for endpoint, state in zip(pool.endpoints, states.split(), strict=True):
        endpoint.state = State(state)
    pool.refresh()


def names(pool: Pool) -> str:
    return " ".join(endpoint.address for endpoint in pool.usable)


@pytest.mark.parametrize(
    ("states", "usable"),
    [
        ("up up up", "a b c"),
        ("up down up", "a c"),
        ("unproven ejected up", "c"),
        ("draining drained removed", ""),
    ],
)
def test_usable_are_those_that_are_up(pool_of: PoolOf, states: str, usable: str) -> None:
    pool = pool_of({"a": 1, "b": 1, "c": 1})
    set_states(pool, states)
    assert names(pool) == usable


@every_balancer
def test_pick_of_one_usable_endpoint_is_that_one(
    pool_of: PoolOf, facts: Facts, balance: str, options: dict[str, Any]
) -> None:
    pool = pool_of({"a": 1, "b": 1}, balance, options=options)
    set_states(pool, "down up")
    only = pool.endpoints[1]
    assert [pool.pick(facts), pool.pick(facts, (only,))] == [only, only]


@every_balancer
def test_pick_without_usable_endpoints_is_none(
    pool_of: PoolOf, facts: Facts, balance: str, options: dict[str, Any]
) -> None:
    pool = pool_of({"a": 1, "b": 1}, balance, options=options)
    set_states(pool, "down ejected")
    assert pool.pick(facts) is None
    assert pool.pick(facts, pool.endpoints) is None


@every_balancer
@pytest.mark.parametrize("weights", [{"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 2, "c": 1.57}])
def test_pick_goes_through_all_before_it_repeats(
    pool_of: PoolOf, facts: Facts, balance: str, options: dict[str, Any], weights: dict[str, float]
) -> None:
    pool = pool_of(weights, balance, options=options)
    for _ in range(20):
        tried = ()
        for _ in weights:
            tried = (*tried, pool.pick(facts, tried))
        assert set(tried) == set(pool.endpoints)
        assert pool.pick(facts, tried) in pool.usable


@every_balancer
def test_pick_never_goes_to_weight_zero(pool_of: PoolOf, facts: Facts, balance: str, options: dict[str, Any]) -> None:
    pool = pool_of({"a": 1, "b": 0, "c": 1}, balance, options=options)
    a, b, c = pool.endpoints
    assert {pool.pick(facts, tried) for tried in ((), (a,), (c,), (a, c)) for _ in range(50)} <= {a, c}
    assert b.state is State.UP


@pytest.mark.parametrize(
    ("states", "weights", "possible"),
    [
        ("down ejected up", (1, 1, 0), "a b c"),
        ("unproven draining down", (1, 1, 1), "c"),
        ("unproven draining drained", (1, 1, 1), ""),
        ("removed removed ejected", (1, 1, 1), "c"),
    ],
)
def test_panic_takes_any_proven_endpoint(
    pool_of: PoolOf, facts: Facts, states: str, weights: tuple[float, ...], possible: str
) -> None:
    pool = pool_of(dict(zip("abc", weights, strict=True)))
    set_states(pool, states)
    picked = {pool.panic(facts) for _ in range(100)}
    assert {endpoint.address for endpoint in picked if endpoint} == set(possible.split())
    assert (None in picked) is (not possible)


def test_panic_prefers_what_was_not_tried(pool_of: PoolOf, facts: Facts) -> None:
    pool = pool_of({"a": 1, "b": 1})
    set_states(pool, "down ejected")
    a, b = pool.endpoints
    assert {pool.panic(facts, (a,)) for _ in range(50)} == {b}
    assert {pool.panic(facts, (a, b)) for _ in range(50)} == {a, b}


def test_refresh_reaches_every_living_generation(pool_of: PoolOf) -> None:
    registry = EndpointRegistry()
    old = pool_of({"a": 1, "b": 1}, registry=registry)
    new = pool_of({"a": 1, "b": 1, "c": 1}, registry=registry)
    new.endpoints[0].signal(Signal.DRAIN)
    old.refresh()
    assert (names(old), names(new)) == ("b", "b c")


def test_repr_is_one_line(pool_of: PoolOf) -> None:
    assert repr(pool_of({"a": 1, "b": 0})) == "<Pool shop/blue 1 of 2 usable>"
