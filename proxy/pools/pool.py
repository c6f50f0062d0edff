"""One colour of a service as a generation sees it: which endpoints it has, and which of them is next."""

from copy import copy
from dataclasses import dataclass

from proxy.http1.facts import Facts
from proxy.pools.balancer import Balancer, Candidates, Chance, Rotation
from proxy.pools.endpoint import Endpoint, Signal, State
from proxy.pools.maglev import MaglevTable
from proxy.pools.state import DEFAULT_LIMITS, PoolLimits, PoolState


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """What a document says of one pool.

    `members` are (address, weight) pairs, `probed` is whether endpoints have a probe to pass before they
    count as proven, `limits` this worker's part, `budget` the share of requests that may be retries. `drained` are
    the addresses that a person takes out.
    """

    service: str
    name: str
    members: tuple[tuple[str, float], ...]
    balancer: Balancer
    probed: bool = False
    limits: PoolLimits = DEFAULT_LIMITS
    budget: float = 0.2
    drained: frozenset[str] = frozenset()


class Pool:
    """The compiled pool of one generation.

    `endpoints` are all it has, `usable` those that requests may go to now. Endpoints and `shared` outlive it.
    Whoever changes an endpoint's state or weight calls `refresh` once, on whichever generation's pool is at
    hand.
    """

    __slots__ = (
        "__weakref__",
        "_chance",
        "_for_held",
        "_only",
        "_rotation",
        "_table",
        "endpoints",
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
        self._table: MaglevTable | None = None  # made when the first session asks for its endpoint
        shared.pools.add(self)
        self.rotate()

    def __repr__(self) -> str:
        return f"<Pool {self.service}/{self.name} {len(self.usable)} of {len(self.endpoints)} usable>"

    def pick(self, facts: Facts, tried: tuple[Endpoint, ...] = ()) -> Endpoint | None:
        """The best usable endpoint not in `tried`, else the best of all; None where none is usable."""
        rotation = self._rotation
        if rotation is None:
            return self._only
        if not tried:
            return rotation.first(facts)
        return rotation.another(facts, tried) or rotation.first(facts)

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
            weights = (weight for _, weight in self.spec.members)
            self._table = MaglevTable(zip(self.endpoints, weights, strict=True), self.usable)
        pool = copy(self)
        pool._rotation = _Bound(self._table, identity, self._rotation)  # noqa: SLF001 - of the same class
        return pool

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
        usable = tuple(endpoint for endpoint in self.endpoints if endpoint.is_usable)
        draining = () if usable else tuple(filter(_may_hold, self.endpoints))
        self._for_held = self._with(draining) if draining else None
        self._use(usable)

    def _with(self, usable: tuple[Endpoint, ...]) -> "Pool":
        """The same pool, with these for usable."""
        pool = copy(self)
        pool._use(usable)  # noqa: SLF001 - of the same class
        return pool

    def _use(self, usable: tuple[Endpoint, ...]) -> None:
        self.usable = usable
        self._table = None
        self._only = usable[0] if len(usable) == 1 else None
        self._rotation = None
        if len(usable) > 1:
            candidates = Candidates(self.endpoints, usable, self.shared, self._chance)
            self._rotation = self.spec.balancer.rotation(candidates)

    def activate(self) -> None:
        """Bring into force what this generation says of the endpoints and the state that all share."""
        for endpoint, (_, weight) in zip(self.endpoints, self.spec.members, strict=True):
            endpoint.weight = weight
            endpoint.signal(Signal.ADD)
            if endpoint.address in self.spec.drained:
                endpoint.signal(Signal.DRAIN)
            elif endpoint.state in (State.DRAINING, State.DRAINED):
                endpoint.signal(Signal.RESTORE)
            if not self.spec.probed and endpoint.state in (State.UNPROVEN, State.DOWN):
                endpoint.signal(Signal.PASS)  # nobody else ever would
        self.shared.limits = self.spec.limits
        self.shared.budget.share = self.spec.budget
        self.refresh()


def _may_hold(endpoint: Endpoint) -> bool:
    return endpoint.state is State.DRAINING and endpoint.weight > 0


class _Bound:
    """The rotation of one session: the endpoint of its identity, and only where there is none the balancer's."""

    __slots__ = ("_identity", "_otherwise", "_table")

    def __init__(self, table: MaglevTable, identity: bytes, otherwise: Rotation) -> None:
        self._table = table
        self._identity = identity
        self._otherwise = otherwise

    def first(self, facts: Facts) -> Endpoint:
        return self._table.find(self._identity) or self._otherwise.first(facts)

    def another(self, _facts: Facts, tried: tuple[Endpoint, ...]) -> Endpoint | None:
        return self._table.find(self._identity, tried)
