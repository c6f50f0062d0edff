"""Bringing a report in: every state from every state, who is left alone, and what is told of it."""

import random
from itertools import product

import pytest

from proxy.pools.balancers import BALANCERS
from proxy.pools.endpoint import Endpoint, State
from proxy.pools.pool import Pool, PoolSpec
from proxy.pools.registry import EndpointRegistry
from proxy.pools.report import Reported, bring_in

REPORTED: tuple[Reported, ...] = ("unproven", "up", "down", "ejected")
BY_HAND = (State.DRAINING, State.DRAINED, State.REMOVED)
A, B = "10.0.0.1:80", "10.0.0.2:80"


def in_force(registry: EndpointRegistry, *names: str) -> list[Pool]:
    balancer = BALANCERS.build("round_robin", {})
    specs = [PoolSpec("shop", name, ((A, 1.0), (B, 1.0)), balancer) for name in names]
    pools = [registry.pool(spec, random.Random(7).random) for spec in specs]  # noqa: S311 - seeded
    registry.activate(pools)
    return pools


def only(state: State) -> tuple[EndpointRegistry, Endpoint]:
    registry = EndpointRegistry()
    endpoint = in_force(registry, "blue")[0].endpoints[0]
    endpoint.state = state
    return registry, endpoint


class Refreshes:
    """Counts how often a pool is told to choose anew."""

    def __init__(self, pool: Pool) -> None:
        self.count = 0
        pool.shared.pools.add(self)

    def rotate(self) -> None:
        self.count += 1


@pytest.mark.parametrize(
    ("state", "reported"), list(product([state for state in State if state not in BY_HAND], REPORTED))
)
def test_endpoint_comes_to_the_reported_state_from_any(state: State, reported: Reported) -> None:
    registry, endpoint = only(state)
    risen = bring_in(registry, {("shop", "blue", A): reported})
    assert endpoint.state.value == reported
    assert risen == ([endpoint] if reported == "up" and state is not State.UP else [])


@pytest.mark.parametrize(("state", "reported"), list(product(BY_HAND, REPORTED)))
def test_what_was_taken_out_is_left_alone(state: State, reported: Reported) -> None:
    registry, endpoint = only(state)
    assert bring_in(registry, {("shop", "blue", A): reported}) == []
    assert endpoint.state is state


def test_endpoint_that_the_report_does_not_know_is_left_alone() -> None:
    registry, endpoint = only(State.UNPROVEN)
    assert bring_in(registry, {("shop", "green", A): "up", ("shop", "blue", "10.0.0.9:80"): "up"}) == []
    assert endpoint.state is State.UNPROVEN


def test_each_changed_pool_is_refreshed_once() -> None:
    registry = EndpointRegistry()
    blue, green = in_force(registry, "blue", "green")
    refreshes = {pool.name: Refreshes(pool) for pool in (blue, green)}
    report: dict[tuple[str, str, str], Reported] = {("shop", "blue", A): "down", ("shop", "blue", B): "ejected"}
    report |= {("shop", "green", A): "up", ("shop", "green", B): "up"}
    bring_in(registry, report)
    assert {name: each.count for name, each in refreshes.items()} == {"blue": 1, "green": 0}
    assert (blue.usable, green.usable) == ((), green.endpoints)
    bring_in(registry, report)
    assert refreshes["blue"].count == 1


def test_endpoints_that_came_up_are_told_of_every_pool() -> None:
    registry = EndpointRegistry()
    blue, green = in_force(registry, "blue", "green")
    blue.endpoints[0].state = State.DOWN
    green.endpoints[1].state = State.UNPROVEN
    risen = bring_in(registry, {("shop", pool, address): "up" for pool in ("blue", "green") for address in (A, B)})
    assert risen == [blue.endpoints[0], green.endpoints[1]]


def test_report_of_no_change_keeps_the_count_of_failures() -> None:
    registry, endpoint = only(State.UP)
    endpoint.consecutive_errors = 3
    bring_in(registry, {("shop", "blue", A): "up"})
    assert endpoint.consecutive_errors == 3
