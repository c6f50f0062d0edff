"""What a pool knows of the traffic it has: it belongs to no generation and outlives every reload."""

from collections import deque
from dataclasses import dataclass
from typing import Any, Final, Protocol
from weakref import WeakSet

from proxy.pools.budget import RetryBudget
from proxy.telemetry.counters import PoolCounters


class Refreshable(Protocol):
    """Whatever keeps a choice made of endpoints' states and weights."""

    def rotate(self) -> None:
        """Make that choice again."""
        ...


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """What this worker's part of a pool takes at once: connections, and exchanges waiting for one."""

    connections: int = 1024
    pending: int = 1024


DEFAULT_LIMITS: Final = PoolLimits()


class PoolState:
    """The state of one pool of one service in this worker, shared by all generations.

    `connections` counts those that exchanges and tunnels hold, idle ones not. `pending` holds
    the data plane's exchanges that wait for a connection, oldest first. `position` is where round robin
    stands. `is_rolling` while its endpoints are updated in place.
    """

    __slots__ = (
        "budget",
        "connections",
        "counters",
        "is_rolling",
        "limits",
        "name",
        "pending",
        "pools",
        "position",
        "service",
    )

    def __init__(self, service: str, name: str, limits: PoolLimits = DEFAULT_LIMITS, budget: float = 0.2) -> None:
        self.service = service
        self.name = name
        self.limits = limits
        self.budget = RetryBudget(budget)
        self.counters = PoolCounters()
        self.connections = 0
        self.pending: deque[Any] = deque()
        self.position = 0
        self.is_rolling = False
        self.pools: WeakSet[Refreshable] = WeakSet()

    def __repr__(self) -> str:
        load = f"{self.connections} connections, {len(self.pending)} pending"
        return f"<PoolState {self.service}/{self.name} {load}>"

    def may_connect(self) -> bool:
        """Whether one more connection to the pool may be opened."""
        return self.connections < self.limits.connections

    def may_wait(self) -> bool:
        """Whether one more exchange may wait for a connection."""
        return len(self.pending) < self.limits.pending

    def may_retry(self, now: float) -> bool:
        """Whether the retry budget has room for one more; where True, it counts as made."""
        return self.budget.allow(now, self.counters.total)

    def refresh(self) -> None:
        """Let every living generation's pool see that an endpoint's state or weight has changed."""
        for pool in tuple(self.pools):
            pool.rotate()
