"""After a report every endpoint that nobody took out is where the report says, whatever it was before."""

import random

from hypothesis import given
from hypothesis import strategies as st

from proxy.control.health import encode
from proxy.pools.balancers import BALANCERS
from proxy.pools.endpoint import State
from proxy.pools.pool import PoolSpec
from proxy.pools.registry import EndpointKey, EndpointRegistry
from proxy.pools.report import Reported, bring_in, decode

BY_HAND = {State.DRAINING, State.DRAINED, State.REMOVED}
KEYS: list[EndpointKey] = [("shop", pool, f"10.0.0.{n}:80") for pool in ("blue", "green") for n in range(3)]
reported = st.sampled_from(["unproven", "up", "down", "ejected"])


@given(
    st.lists(st.sampled_from(State), min_size=len(KEYS), max_size=len(KEYS)),
    st.lists(st.dictionaries(st.sampled_from([*KEYS, ("blog", "blue", "10.0.0.1:80")]), reported), max_size=4),
)
def test_reports_bring_every_endpoint_where_they_say(
    states: list[State], reports: list[dict[EndpointKey, Reported]]
) -> None:
    registry = EndpointRegistry()
    balancer = BALANCERS.build("random", {})
    addresses = tuple((key[2], 1.0) for key in KEYS[:3])
    pools = [
        registry.pool(PoolSpec("shop", name, addresses, balancer), random.Random(7).random)  # noqa: S311 - seeded
        for name in ("blue", "green")
    ]
    registry.activate(pools)
    for key, state in zip(KEYS, states, strict=True):
        endpoint = registry.endpoint(*key)
        assert endpoint
        endpoint.state = state
        endpoint.shared.refresh()
    for report in reports:
        before = {endpoint: endpoint.state for endpoint in registry}
        risen = bring_in(registry, decode(encode(report)))
        for endpoint, was in before.items():
            told = report.get((endpoint.service, endpoint.pool, endpoint.address))
            assert endpoint.state is (was if told is None or was in BY_HAND else State(told))
            assert (endpoint in risen) is (endpoint.state is State.UP is not was)
        assert all(pool.usable == tuple(each for each in pool.endpoints if each.is_usable) for pool in pools)
