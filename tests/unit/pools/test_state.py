"""What a pool knows of its traffic: places for connections, for exchanges that wait, for retries."""

from proxy.pools.state import PoolLimits, PoolState


def test_connections_are_limited() -> None:
    state = PoolState("shop", "blue", PoolLimits(connections=2))
    seen = []
    for _ in range(3):
        seen.append(state.may_connect())
        state.connections += 1
    assert seen == [True, True, False]


def test_waiting_exchanges_are_limited() -> None:
    state = PoolState("shop", "blue", PoolLimits(pending=1))
    before = state.may_wait()
    state.pending.append(object())
    assert (before, state.may_wait()) == (True, False)


def test_retries_go_by_the_requests_counted() -> None:
    state = PoolState("shop", "blue", budget=0.5)
    idle = [state.may_retry(0.0) for _ in range(4)]
    state.counters.requests[5] = 10
    busy = [state.may_retry(1.0) for _ in range(4)]
    assert (idle, busy) == ([True, True, True, False], [True, True, False, False])


def test_repr_is_one_line() -> None:
    assert repr(PoolState("shop", "blue")) == "<PoolState shop/blue 0 connections, 0 pending>"
