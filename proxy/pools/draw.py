"""A draw among endpoints by their weights: one float of chance, one bisect."""

from bisect import bisect
from itertools import accumulate

from proxy.pools.balancer import Chance
from proxy.pools.endpoint import Endpoint


class Draw:
    """Endpoints with positive weights, each drawn as often as its weight says."""

    __slots__ = ("_bounds", "_chance", "_endpoints", "_total")

    def __init__(self, endpoints: tuple[Endpoint, ...], chance: Chance) -> None:
        self._endpoints = endpoints
        self._chance = chance
        self._bounds = list(accumulate(endpoint.weight for endpoint in endpoints))
        self._total = self._bounds[-1]

    def one(self) -> Endpoint:
        """One of them."""
        return self._endpoints[bisect(self._bounds, self._chance() * self._total)]
