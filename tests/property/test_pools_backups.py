"""Whatever happens to endpoints: backups get requests exactly while nothing else could, and attempts find them last."""

import random
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.message import NO_BODY, RequestHead
from proxy.pools.balancers import BALANCERS
from proxy.pools.endpoint import Signal
from proxy.pools.pool import Pool, PoolSpec
from proxy.pools.registry import EndpointRegistry

kinds = st.sampled_from(
    [("least_requests", {}), ("round_robin", {}), ("random", {}), ("hash", {"client": True}), ("hash", {"header": "x"})]
)
members = st.lists(st.tuples(st.sampled_from((0.0, 0.5, 1.0, 3.0)), st.booleans()), min_size=1, max_size=6)
happenings = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(Signal)), max_size=25)


@dataclass(slots=True)
class Request:
    """A request as a balancer sees it."""

    head: RequestHead
    client: str
    path: bytes = b"/"


def request(client: str = "192.0.2.1") -> Any:
    return Request(RequestHead(b"GET", b"/", 1, b"shop.example", NO_BODY, 0, b"", None, None, 0), client)


def pool_of(wanted: list[tuple[float, bool]], kind: tuple[str, dict[str, Any]]) -> Pool:
    addresses = [f"10.0.0.{number}:80" for number in range(len(wanted))]
    spec = PoolSpec(
        "shop",
        "blue",
        tuple((address, weight) for address, (weight, _) in zip(addresses, wanted, strict=True)),
        BALANCERS.build(*kind),
        backups=frozenset(address for address, (_, backup) in zip(addresses, wanted, strict=True) if backup),
    )
    registry = EndpointRegistry()
    pool = registry.pool(spec, random.Random(7).random)  # noqa: S311 - seeded
    registry.activate([pool])
    return pool


@given(members, kinds, happenings)
def test_backups_get_requests_exactly_while_nothing_else_could(wanted: Any, kind: Any, todo: Any) -> None:
    pool = pool_of(wanted, kind)
    for at, signal in todo:
        pool.endpoints[at % len(pool.endpoints)].signal(signal)
        pool.refresh()
        able = [endpoint for endpoint in pool.endpoints if endpoint.is_usable]
        primaries = [endpoint for endpoint in able if endpoint.address not in pool.spec.backups]
        assert list(pool.usable) == (primaries or able)
        assert {*pool.usable, *pool.reserve} == set(able)
        for number in range(5):
            found = pool.pick(request(f"192.0.2.{number}"))
            assert found in pool.usable if able else found is None


@given(members, kinds, happenings, st.integers(0, 5))
def test_attempts_try_everything_and_backups_last(wanted: Any, kind: Any, todo: Any, client: int) -> None:
    pool = pool_of(wanted, kind)
    for at, signal in todo:
        pool.endpoints[at % len(pool.endpoints)].signal(signal)
    pool.refresh()
    able = {endpoint for endpoint in pool.endpoints if endpoint.is_usable}
    tried: tuple[Any, ...] = ()
    for _ in able:
        found = pool.pick(request(f"192.0.2.{client}"), tried)
        assert found in able
        assert found not in tried
        tried = (*tried, found)
    kinds_of = [endpoint.address in pool.spec.backups for endpoint in tried]
    assert kinds_of == sorted(kinds_of)
