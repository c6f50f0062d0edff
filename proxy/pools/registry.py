"""Every endpoint and pool state of this worker, across all generations.

Compiling a generation only looks here; what it makes anew comes in when it is activated. So a generation that
is refused leaves nothing behind.
"""

from collections.abc import Iterable, Iterator

from proxy.pools.balancer import Chance
from proxy.pools.endpoint import Endpoint, Signal, State
from proxy.pools.pool import Pool, PoolSpec
from proxy.pools.state import PoolState

EndpointKey = tuple[str, str, str]  # service, pool, address
PoolKey = tuple[str, str]  # service, pool


class EndpointRegistry:
    """Endpoints by (service, pool, address) and pool states by (service, pool)."""

    def __init__(self) -> None:
        self._endpoints: dict[EndpointKey, Endpoint] = {}
        self._states: dict[PoolKey, PoolState] = {}

    def __iter__(self) -> Iterator[Endpoint]:
        """All endpoints, those being emptied included."""
        return iter(self._endpoints.values())

    def endpoint(self, service: str, pool: str, address: str) -> Endpoint | None:
        """The endpoint in force, or still being emptied, at this address."""
        return self._endpoints.get((service, pool, address))

    def state(self, service: str, pool: str) -> PoolState | None:
        """The state of a pool in force, or one still being emptied."""
        return self._states.get((service, pool))

    def states(self) -> tuple[PoolState, ...]:
        """All pool states, those being emptied included."""
        return tuple(self._states.values())

    def pool(self, spec: PoolSpec, chance: Chance) -> Pool:
        """The pool of a new generation, made of the endpoints and the state there are, and of new ones.

        Shared weights, limits and states stay as they are until `activate`.
        """
        if len(dict(spec.members)) < len(spec.members):
            raise ValueError(f"{spec.service}/{spec.name} has an address twice")
        shared = self.state(spec.service, spec.name) or PoolState(spec.service, spec.name, spec.limits, spec.budget)
        fresh = State.UNPROVEN if spec.probed else State.UP
        endpoints = tuple(
            self.endpoint(spec.service, spec.name, address) or Endpoint(shared, address, weight, fresh)
            for address, weight in spec.members
        )
        return Pool(spec, endpoints, shared, chance)

    def activate(self, pools: Iterable[Pool]) -> None:
        """Put all pools of a generation into force; endpoints that it does not have become removed."""
        pools = tuple(pools)
        current = {endpoint for pool in pools for endpoint in pool.endpoints}
        for endpoint in self:
            if endpoint not in current:
                endpoint.signal(Signal.REMOVE)
        self._enter(pools)
        for state in self._states.values():
            state.refresh()

    def _enter(self, pools: tuple[Pool, ...]) -> None:
        for pool in pools:
            self._states[pool.service, pool.name] = pool.shared
            for endpoint in pool.endpoints:
                self._endpoints[pool.service, pool.name, endpoint.address] = endpoint
            pool.activate()

    def sweep(self) -> list[Endpoint]:
        """Forget removed endpoints on which nothing runs, and pools without any; returns those endpoints.

        The caller closes their idle connections.
        """
        gone = [endpoint for endpoint in self if endpoint.state is State.REMOVED and endpoint.is_empty]
        for endpoint in gone:
            del self._endpoints[endpoint.service, endpoint.pool, endpoint.address]
        live = {(endpoint.service, endpoint.pool) for endpoint in self}
        self._states = {key: state for key, state in self._states.items() if key in live}
        return gone
