"""What holds of every balancer, for any weights, states and chance."""

import random
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.http1.message import NO_BODY, RequestHead
from proxy.pools.balancers import BALANCERS
from proxy.pools.endpoint import Endpoint, State
from proxy.pools.maglev import maglev
from proxy.pools.pool import Pool, PoolSpec
from proxy.pools.registry import EndpointRegistry


@dataclass(slots=True)
class Request:
    """A request as a balancer sees it."""

    head: RequestHead
    path: bytes = b"/"
    query: bytes = b""
    host: bytes = b"shop.example"
    client: str = "192.0.2.1"
    scheme: bytes = b"http"


def request(path: bytes = b"/") -> Request:
    return Request(RequestHead(b"GET", path, 1, b"shop.example", NO_BODY, 0, b"", None, None, 0), path)


def pool_of(weights: list[float], kind: str, seed: int = 7, options: dict[str, Any] | None = None) -> Pool:
    members = tuple((f"10.0.0.{number}:80", weight) for number, weight in enumerate(weights))
    registry = EndpointRegistry()
    balancer = BALANCERS.build(kind, options or {})
    pool = registry.pool(PoolSpec("shop", "blue", members, balancer), random.Random(seed).random)  # noqa: S311 - seeded
    registry.activate([pool])
    return pool


kinds = st.sampled_from(
    [
        ("least_requests", {}),
        ("round_robin", {}),
        ("random", {}),
        ("hash", {"path": True}),
        ("hash", {"header": "x-none"}),
    ]
)
positive = st.one_of(st.integers(1, 20).map(float), st.floats(0.001, 1_000.0))
weight_lists = st.lists(st.one_of(st.just(0.0), positive), min_size=1, max_size=8)


@settings(max_examples=150)
@given(kinds, weight_lists, st.data())
def test_pick_is_usable_and_new_while_it_can_be(kind: Any, weights: list[float], data: st.DataObject) -> None:
    pool = pool_of(weights, kind[0], data.draw(st.integers(0, 99)), kind[1])
    for endpoint in pool.endpoints:
        endpoint.state = data.draw(st.sampled_from([State.UP, State.UP, *State]))
        endpoint.in_flight = data.draw(st.integers(0, 5))
    pool.refresh()
    tried = tuple(data.draw(st.lists(st.sampled_from(pool.endpoints), unique=True)))
    picked = pool.pick(request(data.draw(st.binary(max_size=8))), tried)
    possible = {e for e in pool.endpoints if e.state is State.UP and e.weight > 0}
    if not possible:
        assert picked is None
    else:
        assert picked in (possible.difference(tried) or possible)


@given(st.lists(st.integers(1, 12), min_size=2, max_size=6), st.sampled_from([1.0, 0.1, 0.25, 3.0]))
def test_round_robin_is_exact_over_a_cycle_and_smooth(parts: list[int], unit: float) -> None:
    pool = pool_of([round(part * unit, 3) for part in parts], "round_robin")
    turns = [pool.pick(request()) for _ in range(2 * sum(parts))]
    counts = Counter(turns)
    assert [counts[endpoint] for endpoint in pool.endpoints] == [2 * part for part in parts]
    for endpoint, part in zip(pool.endpoints, parts, strict=True):
        places = [at for at, turn in enumerate(turns) if turn is endpoint]
        gaps = [after - before for before, after in pairwise(places)]
        assert max(gaps) <= 2 * sum(parts) / part + len(parts)


def drawn(pool: Pool, count: int) -> Counter[Endpoint | None]:
    facts = request()
    return Counter(pool.pick(facts) for _ in range(count))


@pytest.mark.parametrize("kind", ["random", "least_requests"])
@pytest.mark.parametrize(
    "weights", [[1, 1], [1, 1, 1], [1, 2], [1, 2, 3], [0.1, 10, 5], [1] * 16, [1, 1, 1, 0.01]], ids=str
)
def test_draw_keeps_to_the_weights_within_five_sigma(kind: str, weights: list[float]) -> None:
    count = 20_000
    pool = pool_of(weights, kind, seed=11)
    counts = drawn(pool, count)
    for endpoint, weight in zip(pool.endpoints, weights, strict=True):
        share = weight / sum(weights)
        assert abs(counts[endpoint] - count * share) <= 5 * sqrt(count * share * (1 - share))


@pytest.mark.parametrize("weights", [[1, 1, 1], [1, 2, 4, 1]], ids=str)
def test_least_requests_keeps_load_even_for_the_weight(weights: list[float]) -> None:
    pool, facts = pool_of(weights, "least_requests"), request()
    running: list[Endpoint] = []
    lottery = random.Random(5)  # noqa: S311 - seeded
    for _ in range(2_000):
        endpoint = pool.pick(facts)
        assert endpoint is not None
        endpoint.in_flight += 1
        running.append(endpoint)
        if len(running) > 80:
            running.pop(lottery.randrange(len(running))).in_flight -= 1
    loads = [endpoint.in_flight / endpoint.weight for endpoint in pool.endpoints]
    assert max(loads) - min(loads) <= 5


@given(
    st.lists(st.floats(0.001, 1_000.0), min_size=2, max_size=9),
    st.sampled_from(["random", "least_requests"]),
    st.sampled_from([0.0, 5e-324, 0.5, 1.0 - 2**-53]),
)
def test_draw_stays_inside_at_the_ends_of_chance(weights: list[float], kind: str, chance: float) -> None:
    members = tuple((str(number), weight) for number, weight in enumerate(weights))
    spec = PoolSpec("shop", "blue", members, BALANCERS.build(kind, {}))
    pool = EndpointRegistry().pool(spec, lambda: chance)
    assert pool.pick(request()) in pool.endpoints


def test_least_requests_stays_inside_where_a_sum_of_floats_rounds_up() -> None:
    chances = iter([0.0, 1.0 - 2**-53])
    spec = PoolSpec("shop", "blue", (("a", 1.8), ("b", 2.4)), BALANCERS.build("least_requests", {}))
    pool = EndpointRegistry().pool(spec, lambda: next(chances))
    assert pool.pick(request()) in pool.endpoints


@settings(max_examples=30)
@given(st.sets(st.integers(0, 255), min_size=2, max_size=30), st.data())
def test_hash_moves_few_keys_when_an_endpoint_is_taken_out_of_the_pool(hosts: set[int], data: st.DataObject) -> None:
    members = [(f"10.0.0.{host}:80", 1.0) for host in sorted(hosts)]
    gone = data.draw(st.sampled_from(members))
    rest = [member for member in members if member != gone]
    before, after = maglev(tuple(members)), maglev(tuple(rest))
    old = [members[slot] for slot in before]
    moved = sum(was != rest[now] for was, now in zip(old, after, strict=True))
    assert old.count(gone) <= moved <= old.count(gone) + 0.08 * len(old)


@given(st.lists(st.floats(0.001, 1_000.0), min_size=1, max_size=12))
@settings(max_examples=30)
def test_maglev_fills_every_slot_by_weight(weights: list[float]) -> None:
    table = maglev(tuple((str(number), weight) for number, weight in enumerate(weights)))
    counts = Counter(table)
    assert min(table) >= 0
    for number, weight in enumerate(weights):
        assert abs(counts[number] - len(table) * weight / sum(weights)) <= len(weights) + 1
