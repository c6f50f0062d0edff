"""The balancers: shares by weight, the order of turns, load, keys, and options that are refused."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from proxy.core.registry import BadOptionsError, UnknownKindError
from proxy.http1.facts import Facts
from proxy.pools.balancers import BALANCERS
from proxy.pools.endpoint import Signal
from proxy.pools.maglev import maglev
from proxy.pools.pool import Pool
from proxy.pools.registry import EndpointRegistry

PoolOf = Callable[..., Pool]


def turns(pool: Pool, facts: Facts, count: int) -> str:
    picks = [pool.pick(facts) for _ in range(count)]
    return "".join(endpoint.address for endpoint in picks if endpoint)


def test_balancers_are_those_of_the_configuration() -> None:
    assert set(BALANCERS.names()) == {"least_requests", "round_robin", "random", "hash"}


@pytest.mark.parametrize(
    ("weights", "order"),
    [
        ({"a": 1, "b": 1}, "abab"),
        ({"a": 2, "b": 2, "c": 2}, "abcabc"),
        ({"a": 5, "b": 1, "c": 1}, "aabacaaaabacaa"),
        ({"a": 1.5, "b": 0.5}, "aabaaaba"),
        ({"a": 0.1, "b": 0.2}, "babbab"),
    ],
)
def test_round_robin_takes_smooth_turns(pool_of: PoolOf, facts: Facts, weights: dict[str, float], order: str) -> None:
    assert turns(pool_of(weights, "round_robin"), facts, len(order)) == order


def test_round_robin_with_weights_too_odd_to_lay_out_takes_turns_as_well(pool_of: PoolOf, facts: Facts) -> None:
    pool = pool_of({"a": 1.000001, "b": 0.999999, "c": 2}, "round_robin")
    counts = Counter(turns(pool, facts, 4_000))
    assert all(abs(counts[name] - part) <= 1 for name, part in {"a": 1_000, "b": 1_000, "c": 2_000}.items())


def test_round_robin_goes_on_where_it_was_after_a_reload(pool_of: PoolOf, facts: Facts) -> None:
    registry = EndpointRegistry()
    before = turns(pool_of({"a": 1, "b": 1, "c": 1}, "round_robin", registry), facts, 2)
    after = turns(pool_of({"a": 1, "b": 1, "c": 1}, "round_robin", registry), facts, 2)
    assert (before, after) == ("ab", "ca")


@pytest.mark.parametrize(
    ("loads", "weights", "chosen"),
    [
        ((3, 1), (1, 1), "b"),
        ((0, 1), (1, 1), "a"),
        ((3, 1), (4, 1), "a"),
        ((5, 1), (4, 1), "b"),
        ((7, 3), (2.5, 1), "a"),
    ],
)
def test_least_requests_of_two_takes_the_less_busy_for_its_weight(
    pool_of: PoolOf, facts: Facts, loads: tuple[int, ...], weights: tuple[float, ...], chosen: str
) -> None:
    pool = pool_of(dict(zip("ab", weights, strict=True)))
    for endpoint, load in zip(pool.endpoints, loads, strict=True):
        endpoint.in_flight = load
    assert set(turns(pool, facts, 50)) == {chosen}


@pytest.mark.parametrize("weight", [1, 2])
def test_least_requests_never_takes_the_busiest(pool_of: PoolOf, facts: Facts, weight: float) -> None:
    pool = pool_of({"a": 1, "b": weight, "c": 1, "d": 1})
    pool.endpoints[3].in_flight = 10
    assert set(turns(pool, facts, 200)) == {"a", "b", "c"}


def test_least_requests_retries_at_the_least_busy_of_the_rest(pool_of: PoolOf, facts: Facts) -> None:
    pool = pool_of({"a": 1, "b": 1, "c": 1, "d": 1})
    a, b, c, d = pool.endpoints
    a.in_flight, b.in_flight, c.in_flight, d.in_flight = 0, 3, 2, 1
    assert [pool.pick(facts, (a,)), pool.pick(facts, (a, d)), pool.pick(facts, (a, d, c))] == [d, c, b]


@pytest.mark.parametrize(
    ("options", "request_options"),
    [
        ({"header": "X-User-Id"}, {"block": b"X-User-ID: alice\r\n"}),
        ({"cookie": "uid"}, {"cookie": b"a=b; uid=alice"}),
        ({"client": True}, {"client": "alice"}),
        ({"path": True}, {"path": b"alice"}),
    ],
)
def test_hash_reads_its_key(
    pool_of: PoolOf,
    request_of: Callable[..., Facts],
    options: dict[str, Any],
    request_options: dict[str, Any],
) -> None:
    weights = {f"10.0.0.{number}:80": 1 for number in range(20)}
    pool = pool_of(weights, "hash", options=options)
    again = pool_of(weights, "hash", options={"path": True})
    expected = again.pick(request_of(path=b"alice"))
    picked = {pool.pick(request_of(**request_options)) for _ in range(20)}
    assert {endpoint.address for endpoint in picked if endpoint} == {expected.address if expected else None}


@pytest.mark.parametrize(
    ("options", "request_options"),
    [
        ({"header": "x-user-id"}, {}),
        ({"header": "x-user-id"}, {"block": b"x-user-id:\r\n"}),
        ({"cookie": "uid"}, {}),
        ({"cookie": "uid"}, {"cookie": b"other=1"}),
        ({"client": True}, {"client": ""}),
    ],
)
def test_hash_without_its_key_goes_anywhere(
    pool_of: PoolOf,
    request_of: Callable[..., Facts],
    options: dict[str, Any],
    request_options: dict[str, Any],
) -> None:
    pool = pool_of({"a": 1, "b": 1, "c": 1}, "hash", options=options)
    assert set(turns(pool, request_of(**request_options), 60)) == {"a", "b", "c"}


def test_hash_moves_only_the_keys_of_an_endpoint_that_leaves_and_back(
    pool_of: PoolOf, request_of: Callable[..., Facts]
) -> None:
    pool = pool_of({f"10.0.0.{number}:80": 1 for number in range(8)}, "hash", options={"path": True})
    requests = [request_of(path=b"/%d" % number) for number in range(2_000)]
    before = [pool.pick(request) for request in requests]
    gone = pool.endpoints[3]
    gone.signal(Signal.EJECT)
    pool.refresh()
    during = [pool.pick(request) for request in requests]
    assert {old for old, new in zip(before, during, strict=True) if old is not new} == {gone}
    spread = Counter(new for old, new in zip(before, during, strict=True) if old is gone)
    assert (len(spread), gone in spread) == (7, False)
    gone.signal(Signal.READMIT)
    pool.refresh()
    assert [pool.pick(request) for request in requests] == before


@pytest.mark.parametrize(("members", "size"), [(1, 4_093), (81, 4_093), (82, 16_381), (400, 65_521)])
def test_maglev_table_grows_with_its_members(members: int, size: int) -> None:
    table = maglev(tuple((f"10.0.{number >> 8}.{number & 255}:80", 1.0) for number in range(members)))
    assert len(table) == size
    assert len(set(table)) == members
    assert min(table) >= 0


def test_maglev_table_is_the_same_everywhere() -> None:
    table = maglev((("127.0.0.1:9001", 1.0), ("127.0.0.1:9002", 2.0), ("127.0.0.1:9003", 0.5)))
    assert table[:12] == (2, 1, 1, 1, 2, 2, 1, 0, 2, 0, 0, 1)


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 3), (0.1, 10, 5), (1000, 1, 1)])
def test_maglev_slots_follow_the_weights(weights: tuple[float, ...]) -> None:
    table = maglev(tuple((f"10.0.0.{number}:80", weight) for number, weight in enumerate(weights)))
    counts = Counter(table)
    for number, weight in enumerate(weights):
        assert abs(counts[number] - len(table) * weight / sum(weights)) <= len(weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one key"),
        ({"header": "a", "cookie": "b"}, "exactly one key"),
        ({"client": False}, "exactly one key"),
        ({"client": True, "path": True}, "exactly one key"),
        ({"header": ""}, "is not a name"),
        ({"header": "x y"}, "is not a name"),
        ({"header": "x:"}, "is not a name"),
        ({"header": "x\u00e4"}, "is not a name"),
        ({"header": "x\n"}, "is not a name"),
        ({"cookie": "a=b"}, "is not a name"),
        ({"cookie": "a;"}, "is not a name"),
        ({"header": 1}, "Expected `str | null`"),
        ({"headers": "a"}, "did you mean 'header'?"),
    ],
)
def test_hash_refuses_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOptionsError) as refused:
        BALANCERS.build("hash", options)
    assert message in str(refused.value)


def test_unknown_balancer_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UnknownKindError, match="did you mean 'round_robin'"):
        BALANCERS.build("roundrobin", {})
