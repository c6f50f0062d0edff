"""Backups: they are usable when nothing else is, and the last way of an attempt that has tried everything else."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from proxy.http1.facts import Facts
from proxy.pools import ejection
from proxy.pools.endpoint import Signal, State
from proxy.pools.pool import Pool, PoolSpec
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


def pool_in(pool_of: PoolOf, states: str, *backups: str, **spec: Any) -> Pool:
    """A pool of a, b, c, d in these states."""
    wanted = states.split()
    pool = pool_of(dict.fromkeys("abcd"[: len(wanted)], 1.0), backups=frozenset(backups), **spec)
    for endpoint, state in zip(pool.endpoints, wanted, strict=True):
        endpoint.state = State(state)
    pool.refresh()
    return pool


def names(endpoints: tuple[Any, ...]) -> str:
    return " ".join(endpoint.address for endpoint in endpoints)


@pytest.mark.parametrize(
    ("states", "backups", "usable", "reserve"),
    [
        ("up up up", "", "a b c", ""),
        ("up up up", "c", "a b", "c"),
        ("up up up", "a", "b c", "a"),
        ("up up up up", "cd", "a b", "c d"),
        ("up up down", "c", "a b", ""),
        ("down up up", "c", "b", "c"),
        ("down ejected up", "c", "c", ""),
        ("down ejected up up", "cd", "c d", ""),
        ("unproven unproven up", "c", "c", ""),
        ("draining drained up", "c", "c", ""),
        ("down down down", "c", "", ""),
        ("down down drained", "c", "", ""),
        ("up removed up", "c", "a", "c"),
    ],
)
def test_backups_are_usable_when_nothing_else_is(
    pool_of: PoolOf, states: str, backups: str, usable: str, reserve: str
) -> None:
    pool = pool_in(pool_of, states, *backups)
    assert (names(pool.usable), names(pool.reserve)) == (usable, reserve)


def test_weight_of_nothing_is_not_usable_and_lets_the_backup_in(pool_of: PoolOf) -> None:
    pool = pool_of({"a": 0, "b": 1}, backups=frozenset("b"))
    assert names(pool.usable) == "b"


@every_balancer
def test_backup_gets_nothing_until_it_is_needed(
    pool_of: PoolOf, facts: Facts, balance: str, options: dict[str, Any]
) -> None:
    pool = pool_in(pool_of, "up up up", "c", balance=balance, options=options)
    assert {pool.pick(facts).address for _ in range(50)} <= {"a", "b"}
    for endpoint in pool.endpoints[:2]:
        endpoint.signal(Signal.FAIL)
    pool.refresh()
    assert {pool.pick(facts).address for _ in range(50)} == {"c"}
    pool.endpoints[1].signal(Signal.PASS)
    pool.refresh()
    assert {pool.pick(facts).address for _ in range(50)} == {"b"}


ATTEMPTS = [
    ("up up up", "a", "b"),
    ("up up up", "b", "a"),
    ("up up up", "ab", "c"),
    ("up down up", "a", "c"),
    ("up down down", "a", "a"),
    ("down down up", "c", "c"),
    ("down down down", "a", None),
]


@every_balancer
def test_further_attempt_goes_to_a_backup_last(
    pool_of: PoolOf, facts: Facts, balance: str, options: dict[str, Any]
) -> None:
    for states, tried, then in ATTEMPTS:
        pool = pool_in(pool_of, states, "c", balance=balance, options=options)
        have = tuple(endpoint for endpoint in pool.endpoints if endpoint.address in tried)
        found = pool.pick(facts, have)
        assert (found and found.address) == then, (states, tried)


def test_attempt_that_has_tried_all_begins_with_the_first_again(pool_of: PoolOf, facts: Facts) -> None:
    pool = pool_in(pool_of, "up up up", "c")
    found = pool.pick(facts, pool.endpoints)
    assert found is not None
    assert found.address in "ab"


def test_tables_have_only_what_is_in_use(pool_of: PoolOf, request_of: Callable[..., Facts]) -> None:
    """With and without backups, keys go to the same endpoints, whether or not one of those is out."""
    clients = [request_of(client=f"192.0.2.{number}") for number in range(200)]
    for states in ("up up up", "up down up"):
        plain = pool_in(pool_of, states, balance="hash", options={"client": True})
        backed = pool_in(pool_of, f"{states} up", "d", balance="hash", options={"client": True})
        assert [plain.pick(each).address for each in clients] == [backed.pick(each).address for each in clients]


def test_sessions_keep_their_endpoint_among_those_in_use(pool_of: PoolOf, facts: Facts) -> None:
    plain = pool_in(pool_of, "up up up")
    backed = pool_in(pool_of, "up up up up", "d")
    users = [str(number).encode() for number in range(200)]
    homes = [backed.bound(user).pick(facts).address for user in users]
    assert homes == [plain.bound(user).pick(facts).address for user in users]
    assert backed.bound(users[0]).pick(facts, backed.endpoints[:3]).address == "d"
    assert len(Counter(homes)) == 3


def test_held_sessions_of_a_pool_that_drains_stay_off_its_backup(pool_of: PoolOf, facts: Facts) -> None:
    pool = pool_in(pool_of, "draining draining", "b")
    assert pool.pick(facts) is None
    assert names(pool.for_held.usable) == "a"


def test_panic_makes_no_difference(pool_of: PoolOf, facts: Facts) -> None:
    pool = pool_in(pool_of, "down down", "b")
    assert {pool.panic(facts).address for _ in range(50)} == {"a", "b"}


def test_what_is_a_backup_goes_by_the_generation(pool_of: PoolOf, facts: Facts) -> None:
    registry = EndpointRegistry()
    old = pool_of({"a": 1, "b": 1}, registry=registry, backups=frozenset("b"))
    new = pool_of({"a": 1, "b": 1}, registry=registry, backups=frozenset("a"))
    assert old.endpoints == new.endpoints
    assert (old.pick(facts).address, new.pick(facts).address) == ("a", "b")
    new.endpoints[1].signal(Signal.FAIL)
    new.refresh()
    assert (old.pick(facts).address, new.pick(facts).address) == ("a", "a")


@dataclass(frozen=True, slots=True)
class Settings:
    """When an endpoint is ejected."""

    consecutive_errors: int = 1
    base: float = 30.0
    max: float = 300.0
    max_share: float = 0.5


@pytest.mark.parametrize(
    ("states", "share", "out"),
    [
        ("up up", 0.5, True),  # one endpoint and its backup: half of two
        ("up up", 0.49, False),
        ("up down", 1.0, False),  # its backup is not usable: it is the last one
        ("up unproven", 1.0, False),
        ("up up up", 0.5, True),
        ("up ejected up", 0.5, False),  # the share is of all, backups included
        ("up ejected up", 0.67, True),
        ("up ejected down", 1.0, False),
    ],
)
def test_last_one_is_ejected_only_before_a_usable_backup(pool_of: PoolOf, states: str, share: float, out: bool) -> None:
    backup = "abc"[len(states.split()) - 1]
    pool = pool_in(pool_of, states, backup)
    assert ejection.failed(pool.endpoints[0], pool, 0.0, Settings(max_share=share)) is out


def test_backup_in_use_is_ejected_for_nothing_that_is_usable(pool_of: PoolOf) -> None:
    pool = pool_in(pool_of, "ejected up", "b")
    assert not ejection.failed(pool.endpoints[1], pool, 0.0, Settings(max_share=1.0))


def test_spec_without_backups_is_as_before(pool_of: PoolOf) -> None:
    pool = pool_of({"a": 1, "b": 1})
    assert pool.spec.backups == PoolSpec.__dataclass_fields__["backups"].default == frozenset()
    assert names(pool.usable) == "a b"
