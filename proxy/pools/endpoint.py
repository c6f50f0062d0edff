"""One address that requests go to, and the states it goes through: a table, and a class that obeys it."""

from enum import Enum
from typing import Any, Final

from proxy.pools.state import PoolState


class State(Enum):
    """Where an endpoint stands. Only `up` is usable; `up`, `down` and `ejected` are proven."""

    UNPROVEN = "unproven"
    UP = "up"
    DOWN = "down"
    EJECTED = "ejected"
    DRAINING = "draining"
    DRAINED = "drained"
    REMOVED = "removed"


class Signal(Enum):
    """What happens to an endpoint. How many probes make a pass or a fail is the prober's business."""

    PASS = "pass"  # noqa: S105  probes found it well, or it has no probe and is taken for well
    FAIL = "fail"  # probes found it ill
    EJECT = "eject"  # requests keep failing on it
    READMIT = "readmit"  # its time out is over
    DRAIN = "drain"  # a person takes it out
    EMPTY = "empty"  # nothing is left on it
    RESTORE = "restore"  # a person takes it back in
    REMOVE = "remove"  # the generation in force does not have it any more
    ADD = "add"  # the generation in force has it


TRANSITIONS: Final[dict[tuple[State, Signal], State]] = {
    # One pass proves. A probe that fails does not condemn what was never proven.
    (State.UNPROVEN, Signal.PASS): State.UP,
    (State.UNPROVEN, Signal.DRAIN): State.DRAINING,
    (State.UNPROVEN, Signal.REMOVE): State.REMOVED,
    (State.UP, Signal.FAIL): State.DOWN,
    (State.UP, Signal.EJECT): State.EJECTED,
    (State.UP, Signal.DRAIN): State.DRAINING,
    (State.UP, Signal.REMOVE): State.REMOVED,
    (State.DOWN, Signal.PASS): State.UP,
    (State.DOWN, Signal.DRAIN): State.DRAINING,
    (State.DOWN, Signal.REMOVE): State.REMOVED,
    # A probe that passes does not readmit: real requests failed while /healthz may have answered all along.
    (State.EJECTED, Signal.READMIT): State.UP,
    (State.EJECTED, Signal.FAIL): State.DOWN,
    (State.EJECTED, Signal.DRAIN): State.DRAINING,
    (State.EJECTED, Signal.REMOVE): State.REMOVED,
    # Only a person ends a drain: no probe does. What comes back is proven again first.
    (State.DRAINING, Signal.EMPTY): State.DRAINED,
    (State.DRAINING, Signal.RESTORE): State.UNPROVEN,
    (State.DRAINING, Signal.REMOVE): State.REMOVED,
    (State.DRAINED, Signal.RESTORE): State.UNPROVEN,
    (State.DRAINED, Signal.REMOVE): State.REMOVED,
    (State.REMOVED, Signal.ADD): State.UNPROVEN,
}
"""What a signal makes of a state; whatever is not listed leaves the state as it is."""

PROVEN: Final = frozenset({State.UP, State.DOWN, State.EJECTED})
"""States that panic may fall back to: proven once, and no person wants them empty."""


class Endpoint:
    """One address of a pool with everything that outlives reloads; compared by identity.

    `weight` (0 or more) is its part among the pool's endpoints: 0 takes nothing, except in panic. `in_flight`
    counts exchanges, `tunnels` upgraded connections. `idle` holds the data plane's kept-alive connections,
    newest last. `consecutive_errors` counts failures since the last success; `ejections` is the multiplier of
    the next time out, and `ejected_until` when the last one ends or ended (seconds, monotonic). `is_updated` while a
    rolling update goes on that has updated it. `shared` is its pool's state.
    """

    __slots__ = (
        "address",
        "consecutive_errors",
        "ejected_until",
        "ejections",
        "idle",
        "in_flight",
        "is_updated",
        "pool",
        "service",
        "shared",
        "state",
        "tunnels",
        "weight",
    )

    def __init__(self, shared: PoolState, address: str, weight: float = 1.0, state: State = State.UP) -> None:
        self.shared = shared
        self.service = shared.service
        self.pool = shared.name
        self.address = address
        self.weight = weight
        self.state = state
        self.is_updated = False
        self.in_flight = 0
        self.tunnels = 0
        self.consecutive_errors = 0
        self.ejections = 0
        self.ejected_until = 0.0
        self.idle: list[Any] = []

    def __repr__(self) -> str:
        name = f"{self.service}/{self.pool} {self.address}"
        return f"<Endpoint {name} {self.state.value}, {self.in_flight} in flight>"

    @property
    def is_usable(self) -> bool:
        """Whether requests may go to it in the ordinary way."""
        return self.state is State.UP and self.weight > 0

    @property
    def is_proven(self) -> bool:
        """Whether requests may go to it when nothing is usable."""
        return self.state in PROVEN

    @property
    def is_empty(self) -> bool:
        """Whether nothing runs on it."""
        return not self.in_flight and not self.tunnels

    def signal(self, signal: Signal) -> bool:
        """Obey the table; whether the state changed. Where it did, the caller calls `shared.refresh()`."""
        state = TRANSITIONS.get((self.state, signal), self.state)
        if state is self.state:
            return False
        self.state = state
        self.consecutive_errors = 0
        return True
