"""A pool that is updated in place, as two cohorts: the endpoints that are updated already, and the others.

What the two do can be compared where it was chance that gave a request to one of them, with a probability that is
known. So the cohort is drawn first, and then the balancer chooses within it. Where it is a key of the request that
chooses the endpoint, it goes on to do so, and the cohort is that endpoint's: who asks is as good as chance, once.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from proxy.http1.facts import Facts
from proxy.pools.balancer import Chance, Keyed
from proxy.pools.endpoint import Endpoint

if TYPE_CHECKING:
    from proxy.pools.pool import Pool

PARTS: Final = 1_000
"""How finely shares of cohorts are told apart: what is counted is counted for each of them."""


class Drawn(NamedTuple):
    """A request's cohort: its endpoints as a pool, and whether they are updated.

    `share` is how likely the updated ones were, in thousandths: 0 or all of them where there was no choice. `key` is
    what chose the endpoint, None where it was chance.
    """

    pool: "Pool"
    is_updated: bool
    share: int
    key: bytes | None


class Cohorts:
    """The two of one generation's pool, which calls `divide` whenever its endpoints change."""

    __slots__ = ("_chance", "_held_share", "_keyed", "_parts", "_share")

    def __init__(self, whole: "Pool", chance: Chance) -> None:
        self._chance = chance
        balancer = whole.spec.balancer
        self._keyed = balancer if isinstance(balancer, Keyed) else None
        self._parts = (whole.part(()), whole.part(()))  # without a way back: a cycle would outlive its generation
        self._share = self._held_share = 0

    def __repr__(self) -> str:
        return f"<Cohorts {self._parts[False]!r} and, updated, {self._parts[True]!r}>"

    def divide(self, whole: "Pool") -> None:
        """Take note of who is usable, and who is updated."""
        for is_updated, part in enumerate(self._parts):
            part.use(tuple(each for each in whole.usable if each.is_updated is bool(is_updated)))
        configured = dict(whole.spec.members)
        self._share = _share((each, each.weight) for each in whole.usable)
        self._held_share = _share((each, configured[each.address]) for each in whole.usable)

    def draw(self, pool: "Pool", facts: Facts) -> Drawn | None:
        """The cohort of a request of `pool`, which is the whole, perhaps as a session sees it; None without any."""
        if not pool.usable:
            return None
        identity = pool.identity
        share = self._share if identity is None else self._held_share
        key = self._key(facts) if identity is None else identity
        if share in (0, PARTS):
            return Drawn(pool, share > 0, share, key)
        if key is None:
            is_updated = self._chance() * PARTS < share
            return Drawn(self._parts[is_updated], is_updated, share, None)
        endpoint = pool.pick(facts)
        is_updated = endpoint is not None and endpoint.is_updated
        part = self._parts[is_updated]
        return Drawn(part if identity is None else part.bound(identity), is_updated, share, key)

    def _key(self, facts: Facts) -> bytes | None:
        return self._keyed.key(facts) or None if self._keyed is not None else None


def _share(weighed: Iterable[tuple[Endpoint, float]]) -> int:
    """The part of the updated ones, in thousandths; all or nothing only where the others have nothing usable."""
    total = updated = 0.0
    others = False
    for endpoint, weight in weighed:
        total += weight
        updated += weight if endpoint.is_updated else 0.0
        others = others or not endpoint.is_updated
    if not updated or not others:
        return PARTS if updated else 0
    return min(max(round(PARTS * updated / total), 1), PARTS - 1)
