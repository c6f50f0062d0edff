"""Ejection: who is taken out, for how long, who never is, and how they come back."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from proxy.pools import ejection
from proxy.pools.endpoint import Signal, State
from proxy.pools.pool import Pool

PoolOf = Callable[..., Pool]


@dataclass(frozen=True, slots=True)
class Settings:
    """The defaults of the configuration."""

    consecutive_errors: int = 5
    base: float = 30.0
    max: float = 300.0
    max_share: float = 0.5


def pool_of_size(pool_of: PoolOf, size: int) -> Pool:
    return pool_of({f"10.0.0.{number}:80": 1 for number in range(size)})


def fail(pool: Pool, at: int, now: float = 0.0, times: int = 5, settings: Settings = Settings()) -> list[bool]:
    return [ejection.failed(pool.endpoints[at], pool, now, settings) for _ in range(times)]


def test_endpoint_is_ejected_by_consecutive_errors(pool_of: PoolOf) -> None:
    pool = pool_of_size(pool_of, 2)
    assert fail(pool, 0) == [False, False, False, False, True]
    assert pool.endpoints[0].state is State.EJECTED
    assert pool.usable == (pool.endpoints[1],)
    assert pool.shared.counters.ejections == 1


def test_success_starts_the_count_again(pool_of: PoolOf) -> None:
    pool = pool_of_size(pool_of, 2)
    fail(pool, 0, times=4)
    ejection.passed(pool.endpoints[0])
    assert fail(pool, 0) == [False, False, False, False, True]


@pytest.mark.parametrize(
    ("size", "share", "out"),
    [
        (1, 1.0, 0),
        (2, 0.5, 1),
        (2, 0.49, 0),
        (2, 1.0, 1),
        (3, 0.5, 1),
        (3, 1.0, 2),
        (4, 0.5, 2),
        (10, 0.29, 2),
        (10, 0.3, 3),
        (100, 0.29, 29),
        (100, 0.0, 0),
    ],
)
def test_ejection_leaves_a_share_and_one(pool_of: PoolOf, size: int, share: float, out: int) -> None:
    pool = pool_of_size(pool_of, size)
    ejected = [any(fail(pool, at, settings=Settings(max_share=share))) for at in range(size)]
    assert sum(ejected) == out == size - len(pool.usable)


def test_last_usable_endpoint_is_not_ejected_however_others_left(pool_of: PoolOf) -> None:
    pool = pool_of({"a": 1, "b": 1, "c": 0, "d": 1})
    pool.endpoints[1].signal(Signal.FAIL)
    pool.endpoints[3].signal(Signal.DRAIN)
    pool.refresh()
    assert not any(fail(pool, 0, times=20, settings=Settings(max_share=1.0)))
    assert pool.endpoints[0].state is State.UP


def test_endpoint_at_the_limit_is_ejected_once_there_is_room(pool_of: PoolOf) -> None:
    pool = pool_of_size(pool_of, 2)
    fail(pool, 0)
    assert not any(fail(pool, 1, times=9))
    ejection.readmit(pool.endpoints[0], 30.0)
    assert fail(pool, 1, now=30.0, times=1) == [True]


@pytest.mark.parametrize("state", [state for state in State if state is not State.UP])
def test_only_what_is_up_is_ejected(pool_of: PoolOf, state: State) -> None:
    pool = pool_of_size(pool_of, 3)
    pool.endpoints[0].state = state
    assert not any(fail(pool, 0, times=9))
    assert pool.endpoints[0].state is state


def test_each_ejection_is_longer_up_to_a_maximum(pool_of: PoolOf) -> None:
    pool = pool_of_size(pool_of, 2)
    endpoint, now, times = pool.endpoints[0], 100.0, []
    for _ in range(12):
        fail(pool, 0, now)
        times.append(endpoint.ejected_until - now)
        now = endpoint.ejected_until
        ejection.readmit(endpoint, now)
    assert times == [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]


@pytest.mark.parametrize(
    ("quiet", "lasts"), [(0.0, 120.0), (29.0, 120.0), (30.0, 90.0), (60.0, 60.0), (90.0, 30.0), (1e6, 30.0)]
)
def test_time_without_ejection_is_forgiven(pool_of: PoolOf, quiet: float, lasts: float) -> None:
    pool = pool_of_size(pool_of, 2)
    endpoint, now = pool.endpoints[0], 0.0
    for _ in range(3):
        fail(pool, 0, now)
        now = endpoint.ejected_until
        ejection.readmit(endpoint, now)
    now += quiet
    fail(pool, 0, now)
    assert endpoint.ejected_until - now == lasts


def test_max_below_base_does_not_shorten(pool_of: PoolOf) -> None:
    pool = pool_of_size(pool_of, 2)
    fail(pool, 0, settings=Settings(base=30.0, max=1.0))
    assert pool.endpoints[0].ejected_until == 30.0


def test_base_of_zero_ejects_for_no_time(pool_of: PoolOf) -> None:
    pool = pool_of_size(pool_of, 2)
    fail(pool, 0, now=5.0, settings=Settings(base=0.0))
    assert pool.endpoints[0].ejected_until == 5.0


def test_readmit_waits_for_the_time(pool_of: PoolOf) -> None:
    pool = pool_of_size(pool_of, 2)
    fail(pool, 0, now=10.0)
    endpoint = pool.endpoints[0]
    assert [ejection.readmit(endpoint, now) for now in (39.9, 40.0, 40.1)] == [False, True, False]
    assert pool.usable == pool.endpoints


def test_readmit_does_not_undo_what_came_meanwhile(pool_of: PoolOf) -> None:
    pool = pool_of_size(pool_of, 2)
    fail(pool, 0)
    pool.endpoints[0].signal(Signal.DRAIN)
    assert not ejection.readmit(pool.endpoints[0], 1_000.0)
    assert pool.endpoints[0].state is State.DRAINING
