"""The registry of endpoints: what outlives a reload, what comes into force when, and what is forgotten."""

import random
from collections.abc import Callable

import pytest

from proxy.http1.facts import Facts
from proxy.pools.balancers import BALANCERS
from proxy.pools.endpoint import Signal, State
from proxy.pools.pool import Pool, PoolSpec
from proxy.pools.registry import EndpointRegistry
from proxy.pools.state import PoolLimits

PoolOf = Callable[..., Pool]


def compiled(registry: EndpointRegistry, weights: dict[str, float], **options: object) -> Pool:
    spec = PoolSpec("shop", "blue", tuple(weights.items()), BALANCERS.build("round_robin", {}), **options)  # type: ignore[arg-type]
    return registry.pool(spec, random.Random(7).random)  # noqa: S311 - seeded, so that tests repeat


def activated(registry: EndpointRegistry, weights: dict[str, float], **options: object) -> Pool:
    pool = compiled(registry, weights, **options)
    registry.activate([pool])
    return pool


def states(registry: EndpointRegistry) -> dict[str, str]:
    return {endpoint.address: endpoint.state.value for endpoint in registry}


def test_endpoints_and_state_outlive_a_reload() -> None:
    registry = EndpointRegistry()
    old = activated(registry, {"a": 1, "b": 1})
    new = activated(registry, {"b": 1, "c": 1})
    assert new.shared is old.shared
    assert new.endpoints[0] is old.endpoints[1]
    assert registry.endpoint("shop", "blue", "b") is new.endpoints[0]
    assert registry.state("shop", "blue") is new.shared


def test_pools_of_the_same_name_in_two_services_are_apart() -> None:
    registry = EndpointRegistry()
    specs = [PoolSpec(service, "blue", (("a", 1),), BALANCERS.build("random", {})) for service in ("shop", "blog")]
    one, other = (registry.pool(spec, random.random) for spec in specs)
    registry.activate([one, other])
    assert one.shared is not other.shared
    assert one.endpoints[0] is not other.endpoints[0]


@pytest.mark.parametrize(
    ("probed", "fresh", "returned"), [(False, State.UP, State.UP), (True, State.UNPROVEN, State.UNPROVEN)]
)
def test_new_endpoint_is_up_unless_it_has_a_probe_to_pass(
    probed: bool,
    fresh: State,
    returned: State,
) -> None:
    registry = EndpointRegistry()
    pool = activated(registry, {"a": 1}, probed=probed)
    first = pool.endpoints[0].state
    pool.endpoints[0].in_flight = 1
    activated(registry, {"b": 1}, probed=probed)
    again = activated(registry, {"a": 1}, probed=probed)
    assert again.endpoints[0] is pool.endpoints[0]
    assert (first, again.endpoints[0].state) == (fresh, returned)


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (State.UNPROVEN, State.UP),
        (State.DOWN, State.UP),
        (State.EJECTED, State.EJECTED),
        (State.DRAINING, State.UP),  # nobody drains it any more
        (State.DRAINED, State.UP),
    ],
)
def test_reload_that_takes_the_probe_away_frees_only_what_waits_for_it(state: State, kept: State) -> None:
    registry = EndpointRegistry()
    pool = activated(registry, {"a": 1}, probed=True)
    pool.endpoints[0].state = state
    activated(registry, {"a": 1})
    assert pool.endpoints[0].state is kept


def test_reload_with_a_probe_keeps_states() -> None:
    registry = EndpointRegistry()
    pool = activated(registry, {"a": 1, "b": 1}, probed=True)
    pool.endpoints[0].signal(Signal.PASS)
    activated(registry, {"a": 1, "b": 1}, probed=True)
    assert states(registry) == {"a": "up", "b": "unproven"}


def test_compiling_changes_nothing_until_activation() -> None:
    registry = EndpointRegistry()
    old = activated(registry, {"a": 1, "b": 1})
    new = compiled(registry, {"a": 5, "c": 1}, limits=PoolLimits(connections=1), budget=0.9)
    assert states(registry) == {"a": "up", "b": "up"}
    assert (old.endpoints[0].weight, old.shared.limits.connections, old.shared.budget.share) == (1, 1024, 0.2)
    registry.activate([new])
    assert states(registry) == {"a": "up", "b": "removed", "c": "up"}
    assert (old.endpoints[0].weight, old.shared.limits.connections, old.shared.budget.share) == (5, 1, 0.9)


def test_activation_is_seen_by_pools_of_every_generation() -> None:
    registry = EndpointRegistry()
    old = activated(registry, {"a": 1, "b": 1})
    new = activated(registry, {"b": 0, "c": 1})
    assert [endpoint.address for endpoint in (*old.usable, *new.usable)] == ["c"]


def test_activation_without_a_pool_leaves_its_older_generations_nothing() -> None:
    registry = EndpointRegistry()
    old = activated(registry, {"a": 1, "b": 1})
    registry.activate([])
    assert old.usable == ()


def test_activating_an_old_generation_brings_everything_back() -> None:
    registry = EndpointRegistry()
    old = activated(registry, {"a": 3})
    activated(registry, {"b": 1})
    registry.sweep()
    registry.activate([old])
    assert states(registry) == {"a": "up", "b": "removed"}
    assert old.usable == old.endpoints


@pytest.mark.parametrize(("in_flight", "tunnels"), [(1, 0), (0, 1)])
def test_removed_endpoint_stays_until_it_is_empty(in_flight: int, tunnels: int) -> None:
    registry = EndpointRegistry()
    gone = activated(registry, {"a": 1}).endpoints[0]
    gone.in_flight, gone.tunnels = in_flight, tunnels
    activated(registry, {"b": 1})
    assert registry.sweep() == []
    assert states(registry) == {"a": "removed", "b": "up"}
    gone.in_flight = gone.tunnels = 0
    assert registry.sweep() == [gone]
    assert states(registry) == {"b": "up"}


def test_sweep_forgets_the_state_of_a_pool_that_is_gone() -> None:
    registry = EndpointRegistry()
    activated(registry, {"a": 1})
    registry.activate([])
    assert registry.state("shop", "blue") is not None
    registry.sweep()
    assert registry.state("shop", "blue") is None


def test_sweep_leaves_what_is_in_force() -> None:
    registry = EndpointRegistry()
    pool = activated(registry, {"a": 1})
    pool.endpoints[0].signal(Signal.DRAIN)
    assert registry.sweep() == []
    assert registry.state("shop", "blue") is pool.shared


def test_address_twice_in_a_pool_is_refused() -> None:
    spec = PoolSpec("shop", "blue", (("a", 1), ("a", 2)), BALANCERS.build("random", {}))
    with pytest.raises(ValueError, match="shop/blue has an address twice"):
        EndpointRegistry().pool(spec, random.random)


def test_pool_without_endpoints_has_nothing_to_pick(facts: Facts) -> None:
    pool = activated(EndpointRegistry(), {})
    assert (pool.pick(facts), pool.panic(facts)) == (None, None)
