"""Cohorts of a pool that is updated in place: drawn with a share that is known, and then balanced inside."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from proxy.pools.balancers import BALANCERS
from proxy.pools.endpoint import Signal
from proxy.pools.pool import Pool, PoolSpec
from proxy.pools.registry import EndpointRegistry

PoolOf = Callable[..., Pool]
EVEN = dict.fromkeys("abcd", 1.0)

SHARES = [
    (EVEN, "", 0),
    (EVEN, "a", 250),
    (EVEN, "abc", 750),
    (EVEN, "abcd", 1_000),
    (EVEN, "x", 0),
    (dict.fromkeys("abc", 1.0), "a", 333),
    ({"a": 3.0, "b": 1.0}, "a", 750),
    ({"a": 1.0, "b": 0.0}, "a", 1_000),  # who weighs nothing is in neither
    ({"a": 1.0, "b": 1e6}, "a", 1),  # as long as there is a choice, both may be drawn
    ({"a": 1e6, "b": 1.0}, "a", 999),
]


@pytest.mark.parametrize(("weights", "updated", "share"), SHARES)
def test_share_is_the_weight_of_the_updated(
    pool_of: PoolOf, facts: Any, weights: dict[str, float], updated: str, share: int
) -> None:
    drawn = pool_of(weights, updated=frozenset(updated)).cohort(facts)
    assert drawn is not None
    assert drawn.share == share
    assert drawn.pool.is_cohort is (0 < share < 1_000)


@pytest.mark.parametrize("balance", ["least_requests", "round_robin", "random"])
def test_cohort_is_drawn_by_its_share_and_has_only_its_own(pool_of: PoolOf, facts: Any, balance: str) -> None:
    pool = pool_of(EVEN, balance, updated=frozenset("a"))
    drawn = [pool.cohort(facts) for _ in range(4_000)]
    picked = [(each.is_updated, each.pool.pick(facts).address) for each in drawn if each]  # type: ignore[union-attr]
    updated = [address for is_updated, address in picked if is_updated]
    assert len(updated) == pytest.approx(1_000, abs=100)
    assert set(updated) == {"a"}
    assert {address for is_updated, address in picked if not is_updated} == set("bcd")
    assert {each.key for each in drawn if each} == {None}


def test_nothing_is_drawn_where_nothing_rolls(pool_of: PoolOf, facts: Any) -> None:
    assert pool_of(EVEN).cohort(facts) is None
    assert pool_of(dict.fromkeys(EVEN, 0.0), updated=frozenset("a")).cohort(facts) is None


def test_share_follows_who_is_usable(pool_of: PoolOf, facts: Any) -> None:
    pool = pool_of(EVEN, updated=frozenset("a"))
    seen = []
    for number, signal in ((1, Signal.DRAIN), (2, Signal.EJECT), (0, Signal.EJECT), (0, Signal.READMIT)):
        pool.endpoints[number].signal(signal)
        pool.refresh()
        seen.append(pool.cohort(facts).share)  # type: ignore[union-attr]
    assert seen == [333, 500, 0, 500]


def test_slow_start_has_its_say_but_not_for_sessions(pool_of: PoolOf, facts: Any) -> None:
    pool = pool_of(EVEN, updated=frozenset("a"))
    pool.endpoints[0].weight = 0.1
    pool.refresh()
    assert pool.cohort(facts).share == round(1_000 * 0.1 / 3.1)  # type: ignore[union-attr]
    assert pool.bound(b"alice").cohort(facts).share == 250  # type: ignore[union-attr]


def test_backups_are_of_a_cohort_only_while_they_are_used(pool_of: PoolOf, facts: Any) -> None:
    pool = pool_of(EVEN, updated=frozenset("ad"), backups=frozenset("d"))
    assert pool.cohort(facts).share == 333  # type: ignore[union-attr]
    for endpoint in pool.endpoints[:3]:
        endpoint.signal(Signal.FAIL)
    pool.refresh()
    assert pool.cohort(facts).share == 1_000  # type: ignore[union-attr]


def test_waiting_request_sees_its_cohort_as_it_is_now(pool_of: PoolOf, facts: Any) -> None:
    pool = pool_of(EVEN, updated=frozenset("a"))
    cohort = next(drawn.pool for drawn in iter(lambda: pool.cohort(facts), None) if drawn.is_updated)
    pool.endpoints[0].signal(Signal.DRAIN)
    pool.refresh()
    assert cohort.pick(facts) is None


def _keyed(pool_of: PoolOf, kind: str) -> Pool:
    if kind == "hash":
        return pool_of(EVEN, "hash", options={"header": "x-user"}, updated=frozenset("ab"))
    return pool_of(EVEN, "least_requests", updated=frozenset("ab"))


@pytest.mark.parametrize("kind", ["hash", "session"])
def test_key_keeps_its_endpoint_and_chooses_the_cohort(pool_of: PoolOf, request_of: Any, kind: str) -> None:
    pool = _keyed(pool_of, kind)
    pool.endpoints[3].signal(Signal.EJECT)
    pool.refresh()
    found = set()
    for number in range(300):
        key = b"user %d" % number
        facts = request_of(b"X-User: %b\r\n" % key)
        as_seen = pool if kind == "hash" else pool.bound(key)
        drawn = as_seen.cohort(facts)
        assert drawn is not None
        endpoint = as_seen.pick(facts)
        assert endpoint is not None
        assert drawn.pool.pick(facts) is endpoint
        assert (drawn.is_updated, drawn.share, drawn.key) == (endpoint.address in "ab", 667, key)
        found.add(endpoint.address)
    assert found == set("abc")


def test_hash_without_its_key_is_drawn(pool_of: PoolOf, request_of: Any) -> None:
    pool = _keyed(pool_of, "hash")
    drawn = [pool.cohort(request_of()) for _ in range(400)]
    assert {each.key for each in drawn if each} == {None}
    assert sum(each.is_updated for each in drawn if each) == pytest.approx(200, abs=50)


def test_earlier_generation_knows_what_was_updated_since(pool_of: PoolOf, facts: Any) -> None:
    registry = EndpointRegistry()
    before = pool_of(EVEN, registry=registry, updated=frozenset())
    spec = PoolSpec("shop", "blue", tuple(EVEN.items()), BALANCERS.build("random", {}), updated=frozenset("b"))
    now = registry.pool(spec, random.Random(1).random)  # noqa: S311 - seeded
    assert before.cohort(facts).share == 0  # type: ignore[union-attr]
    registry.activate([now])
    assert before.cohort(facts).share == 250  # type: ignore[union-attr]
    over = pool_of(EVEN, registry=registry)
    assert over.cohort(facts) is before.cohort(facts) is None
    assert not any(endpoint.is_updated for endpoint in over.endpoints)
