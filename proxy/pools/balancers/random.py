"""Random: every request is drawn, by weight."""

from dataclasses import dataclass

from proxy.http1.facts import Facts
from proxy.pools.balancer import BALANCERS, Candidates, Rotation
from proxy.pools.draw import Draw
from proxy.pools.endpoint import Endpoint


@BALANCERS.register("random")
@dataclass(frozen=True, slots=True)
class Random:
    """Any usable endpoint, as often as its weight says."""

    def rotation(self, candidates: Candidates) -> Rotation:
        """Draws among the usable ones."""
        return _Draws(candidates)


class _Draws:
    __slots__ = ("_candidates", "_draw")

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates
        self._draw = Draw(candidates.usable, candidates.chance)

    def first(self, facts: Facts) -> Endpoint:  # noqa: ARG002
        return self._draw.one()

    def another(self, facts: Facts, tried: tuple[Endpoint, ...]) -> Endpoint | None:  # noqa: ARG002
        rest = self._candidates.without(tried)
        return Draw(rest, self._candidates.chance).one() if rest else None
