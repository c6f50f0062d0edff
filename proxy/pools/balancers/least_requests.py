"""Least requests: of two drawn by weight, the one with less to do for its weight.

"The power of two choices" (Mitzenmacher 2001): nearly as even as looking at all of them, at a cost that does
not grow with the pool, and without all workers running to the same endpoint.
"""

from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate

from proxy.http1.facts import Facts
from proxy.pools.balancer import BALANCERS, Candidates, Rotation
from proxy.pools.endpoint import Endpoint


@BALANCERS.register("least_requests")
@dataclass(frozen=True, slots=True)
class LeastRequests:
    """The less busy of two endpoints drawn by weight."""

    def rotation(self, candidates: Candidates) -> Rotation:
        """Choices between two of the usable ones."""
        even = len({endpoint.weight for endpoint in candidates.usable}) == 1
        return _EvenChoices(candidates) if even else _WeightedChoices(candidates)


class _EvenChoices:
    """Endpoints that weigh the same: one float of chance stands for both draws, which takes half the time."""

    __slots__ = ("_candidates", "_chance", "_count", "_pairs", "_usable")

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates
        self._usable = candidates.usable
        self._chance = candidates.chance
        self._count = len(candidates.usable)
        self._pairs = self._count * (self._count - 1)

    def first(self, facts: Facts) -> Endpoint:  # noqa: ARG002
        usable, count = self._usable, self._count
        pair = int(self._chance() * self._pairs)
        at = pair % count
        one = usable[at]
        other = usable[at - 1 - pair // count]  # 1 to count - 1 places before it, round the end
        return one if one.in_flight <= other.in_flight else other

    def another(self, facts: Facts, tried: tuple[Endpoint, ...]) -> Endpoint | None:  # noqa: ARG002
        return _least(self._candidates.without(tried))


class _WeightedChoices:
    """Endpoints of different weights: the second is drawn from what the first leaves."""

    __slots__ = ("_bounds", "_candidates", "_chance", "_total", "_usable")

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates
        self._usable = candidates.usable
        self._chance = candidates.chance
        self._bounds = list(accumulate(endpoint.weight for endpoint in candidates.usable))
        self._total = self._bounds[-1]

    def first(self, facts: Facts) -> Endpoint:  # noqa: ARG002
        usable, bounds, total = self._usable, self._bounds, self._total
        at = bisect(bounds, self._chance() * total)
        one = usable[at]
        below = bounds[at - 1] if at else 0.0
        weight = bounds[at] - below
        point = self._chance() * (total - weight)
        if point >= below:
            point += weight
        other = usable[bisect(bounds, point, 0, len(bounds) - 1)]  # a sum of floats may round up to the total
        # A tie goes to the one drawn first, so that idle endpoints get exactly their weight's part.
        return one if one.in_flight * other.weight <= other.in_flight * one.weight else other

    def another(self, facts: Facts, tried: tuple[Endpoint, ...]) -> Endpoint | None:  # noqa: ARG002
        return _least(self._candidates.without(tried))


def _least(endpoints: tuple[Endpoint, ...]) -> Endpoint | None:
    """The least busy for its weight of all: a second attempt is rare enough to look at each."""
    return min(endpoints, key=_load, default=None)


def _load(endpoint: Endpoint) -> float:
    return (endpoint.in_flight + 1) / endpoint.weight
