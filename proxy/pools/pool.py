"""One colour of a service as a generation sees it: which endpoints it has, and which of them is next."""

from copy import copy
from dataclasses import dataclass

from proxy.http1.facts import Facts
from proxy.pools.balancer import Balancer, Candidates, Chance, Rotation
from proxy.pools.cohorts import Cohorts, Drawn
from proxy.pools.endpoint import Endpoint, Signal, State
from proxy.pools.maglev import MaglevTable
from proxy.pools.state import DEFAULT_LIMITS, PoolLimits, PoolState


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """What a document says of one pool.

    `members` are (address, weight) pairs, `probed` is whether endpoints have a probe to pass before they
    count as proven, `limits` this worker's part, `budget` the share of requests that may be retries. `drained` are
    the addresses that a person takes out, `backups` those that are for when no other is usable. `updated` are those
    that a rolling update has updated so far, None while there is none.
    """

    service: str
    name: str
    members: tuple[tuple[str, float], ...]
    balancer: Balancer
    probed: bool = False
    limits: PoolLimits = DEFAULT_LIMITS
    budget: float = 0.2
    drained: frozenset[str] = frozenset()
    backups: frozenset[str] = frozenset()
    updated: frozenset[str] | None = None


class Pool:
    """The compiled pool of one generation.

    `endpoints` are all it has, `usable` those that requests may go to now: backups only while nothing else is; until
    then those that could are `reserve`, for attempts that have no other way left. Endpoints and `shared` outlive it.
    `is_cohort` where it is only a part of one that is updated in place.
    Whoever changes an endpoint's state or weight calls `refresh` once, on whichever generation's pool is at
    hand.
    """

    __slots__ = (
        "__weakref__",
        "_chance",
        "_cohorts",
        "_for_held",
        "_only",
        "_reserve",
        "_rotation",
        "_table",
        "endpoints",
        "is_cohort",
        "name",
        "service",
        "shared",
        "spec",
        "usable",
    )

    def __init__(self, spec: PoolSpec, endpoints: tuple[Endpoint, ...], shared: PoolState, chance: Chance) -> None:
        self.spec = spec
        self.service = spec.service
        self.name = spec.name
        self.endpoints = endpoints
        self.shared = shared
        self.usable: tuple[Endpoint, ...] = ()
        self._chance = chance
        self._only: Endpoint | None = None  # set where exactly one is usable
        self._rotation: Rotation | None = None  # set where several are
        self._for_held: Pool | None = None  # set while all of it drains
        self._reserve: Pool | None = None  # set while usable backups are not needed
        self._cohorts: Cohorts | None = None  # set while it is updated in place
        self.is_cohort = False
        self._table: MaglevTable | None = None  # made when the first session asks for its endpoint
        shared.pools.add(self)
        self.rotate()

    def __repr__(self) -> str:
        return f"<Pool {self.service}/{self.name} {len(self.usable)} of {len(self.endpoints)} usable>"

    def pick(self, facts: Facts, tried: tuple[Endpoint, ...] = ()) -> Endpoint | None:
        """The best usable endpoint not in `tried`, backups last, else the best of all; None where none is usable."""
        rotation = self._rotation
        if not tried:
            return self._only if rotation is None else rotation.first(facts)
        found = self._another(facts, tried)
        if found is None and self._reserve is not None:
            found = self._reserve._another(facts, tried)  # noqa: SLF001 - of the same class
        return found or self.pick(facts)

    def _another(self, facts: Facts, tried: tuple[Endpoint, ...]) -> Endpoint | None:
        if self._rotation is not None:
            return self._rotation.another(facts, tried)
        return None if self._only in tried else self._only

    @property
    def reserve(self) -> tuple[Endpoint, ...]:
        """Backups that could take requests, while others do."""
        return () if self._reserve is None else self._reserve.usable

    @property
    def for_held(self) -> "Pool":
        """The pool as sessions see it that are bound to it: while it drains, its endpoints go on taking them."""
        return self._for_held or self

    def bound(self, identity: bytes) -> "Pool":
        """The pool as a session sees it that keeps its endpoint, too: the one that stands for its identity."""
        if self._rotation is None:
            return self
        if self._table is None:
            # By the weights of the configuration: nobody moves while an endpoint starts slowly.
            weights = dict(self.spec.members)
            members = ((endpoint, weights[endpoint.address]) for endpoint in self._tier())
            self._table = MaglevTable(members, self.usable)
        pool = copy(self)
        pool._rotation = _Bound(self._table, identity, self._rotation)  # noqa: SLF001 - of the same class
        return pool

    @property
    def identity(self) -> bytes | None:
        """Whose endpoint is meant, where it is the pool as a session sees it; None where all are."""
        return self._rotation.identity if isinstance(self._rotation, _Bound) else None

    def cohort(self, facts: Facts) -> Drawn | None:
        """Which endpoints a first attempt chooses from while the pool is updated in place; None while it is not."""
        return None if self._cohorts is None else self._cohorts.draw(self, facts)

    def panic(self, facts: Facts, tried: tuple[Endpoint, ...] = ()) -> Endpoint | None:  # noqa: ARG002
        """Any proven endpoint that no person has taken out, rather one not in `tried`, or None.

        For when nothing is usable: ejected and down ones, and those of weight 0, are better than no answer.
        """
        proven = tuple(endpoint for endpoint in self.endpoints if endpoint.is_proven)
        fresh = tuple(endpoint for endpoint in proven if endpoint not in tried) or proven
        return fresh[int(self._chance() * len(fresh))] if fresh else None

    def refresh(self) -> None:
        """Take note that an endpoint changed state or weight, here and in every other living generation."""
        self.shared.refresh()

    def rotate(self) -> None:
        """Choose anew which endpoints are usable."""
        self._reserve = None
        able = tuple(endpoint for endpoint in self.endpoints if endpoint.is_usable)
        draining = () if able else tuple(filter(_may_hold, self.endpoints))
        self._for_held = self._with(self._foremost(draining)) if draining else None
        self.use(self._foremost(able))
        if len(self.usable) < len(able):
            self._reserve = self._with(tuple(endpoint for endpoint in able if endpoint not in self.usable))
        if not self.shared.is_rolling:
            self._cohorts = None
            return
        if self._cohorts is None:
            self._cohorts = Cohorts(self, self._chance)
        self._cohorts.divide(self)  # the same two parts for as long as it rolls: whoever waits goes by what is true now

    def _foremost(self, endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        """Those that are no backups; where there are none, all."""
        backups = self.spec.backups
        return tuple(endpoint for endpoint in endpoints if endpoint.address not in backups) or endpoints

    def _tier(self) -> tuple[Endpoint, ...]:
        """All backups where they are in use, else all others."""
        backups = self.spec.backups
        if not backups:
            return self.endpoints
        in_use = self.usable[0].address in backups
        return tuple(endpoint for endpoint in self.endpoints if (endpoint.address in backups) is in_use)

    def _with(self, usable: tuple[Endpoint, ...]) -> "Pool":
        """The same pool, with these for usable."""
        pool = copy(self)
        pool._cohorts = None  # noqa: SLF001 - of the same class
        pool.use(usable)
        return pool

    def part(self, usable: tuple[Endpoint, ...]) -> "Pool":
        """The same pool, as a cohort of it that has these."""
        pool = self._with(usable)
        pool.is_cohort = True
        pool._for_held = pool._reserve = None  # noqa: SLF001 - of the same class
        return pool

    def use(self, usable: tuple[Endpoint, ...]) -> None:
        """Choose among these from now on."""
        self.usable = usable
        self._table = None
        self._only = usable[0] if len(usable) == 1 else None
        self._rotation = None
        if len(usable) > 1:
            candidates = Candidates(self._tier(), usable, self.shared, self._chance)
            self._rotation = self.spec.balancer.rotation(candidates)

    def activate(self) -> None:
        """Bring into force what this generation says of the endpoints and the state that all share."""
        for endpoint, (_, weight) in zip(self.endpoints, self.spec.members, strict=True):
            endpoint.weight = weight
            endpoint.is_updated = endpoint.address in (self.spec.updated or ())
            endpoint.signal(Signal.ADD)
            if endpoint.address in self.spec.drained:
                endpoint.signal(Signal.DRAIN)
            elif endpoint.state in (State.DRAINING, State.DRAINED):
                endpoint.signal(Signal.RESTORE)
            if not self.spec.probed and endpoint.state in (State.UNPROVEN, State.DOWN):
                endpoint.signal(Signal.PASS)  # nobody else ever would
        self.shared.is_rolling = self.spec.updated is not None
        self.shared.limits = self.spec.limits
        self.shared.budget.share = self.spec.budget
        self.refresh()


def _may_hold(endpoint: Endpoint) -> bool:
    return endpoint.state is State.DRAINING and endpoint.weight > 0


class _Bound:
    """The rotation of one session: the endpoint of its identity, and only where there is none the balancer's."""

    __slots__ = ("_otherwise", "_table", "identity")

    def __init__(self, table: MaglevTable, identity: bytes, otherwise: Rotation) -> None:
        self._table = table
        self.identity = identity
        self._otherwise = otherwise

    def first(self, facts: Facts) -> Endpoint:
        return self._table.find(self.identity) or self._otherwise.first(facts)

    def another(self, _facts: Facts, tried: tuple[Endpoint, ...]) -> Endpoint | None:
        return self._table.find(self.identity, tried)
