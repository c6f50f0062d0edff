"""What a balancer is: options that make a rotation; a rotation chooses among a pool's usable endpoints.

A balancer is one frozen dataclass in proxy/pools/balancers, registered in BALANCERS. It never sees time or
sockets; chance comes in as a function that returns a float in [0, 1).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from proxy.core.registry import Registry
from proxy.http1.facts import Facts
from proxy.pools.endpoint import Endpoint
from proxy.pools.state import PoolState

Chance = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a rotation is made of: a pool's endpoints, the usable ones (two or more), its state, chance.

    Backups are among them only where they are in use, and then nothing else is.
    """

    endpoints: tuple[Endpoint, ...]
    usable: tuple[Endpoint, ...]
    shared: PoolState
    chance: Chance

    def without(self, tried: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        """The usable ones that were not tried."""
        return tuple(endpoint for endpoint in self.usable if endpoint not in tried)


class Rotation(Protocol):
    """A choice among the endpoints usable at one moment; thrown away when one changes state or weight."""

    def first(self, facts: Facts) -> Endpoint:
        """The endpoint for a first attempt; in the ordinary case without allocating anything."""
        ...

    def another(self, facts: Facts, tried: tuple[Endpoint, ...]) -> Endpoint | None:
        """The next best for a further attempt; None when all were tried."""
        ...


class Balancer(Protocol):
    """How a pool chooses among its usable endpoints; its fields are the options."""

    def rotation(self, candidates: Candidates) -> Rotation:
        """A rotation of these candidates."""
        ...


@runtime_checkable
class Keyed(Protocol):
    """A balancer that gives requests of the same key to the same endpoint."""

    def key(self, facts: Facts) -> bytes | None:
        """What of a request chooses the endpoint; None or nothing where chance does."""
        ...


BALANCERS: Final[Registry[Balancer]] = Registry("balancer")
