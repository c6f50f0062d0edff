"""Where an endpoint stands with its probes, and how many in a row it takes to move it: counting, without I/O."""

from collections.abc import Callable
from typing import Final

from proxy.pools.endpoint import TRANSITIONS, Signal, State
from proxy.snapshot.document import Health

_NEEDED: Final[dict[tuple[State, Signal], Callable[[Health], int]]] = {
    (State.UNPROVEN, Signal.PASS): lambda _: 1,  # one proves: a start is not held up by `passes`
    (State.UP, Signal.FAIL): lambda health: health.fails,
    (State.DOWN, Signal.PASS): lambda health: health.passes,
}
"""How many in a row lead out of a state; what is not listed leads nowhere, and ends the row."""


class Standing:
    """What one endpoint's probes have shown so far: `state` is unproven, up or down; a new one is unproven."""

    __slots__ = ("_row", "state")

    def __init__(self, state: State = State.UNPROVEN) -> None:
        self.state = state
        self._row = 0  # probes in a row that spoke against the state

    def __repr__(self) -> str:
        return f"<Standing {self.state.value}, {self._row} against it>"

    def note(self, outcome: Signal, health: Health) -> bool:
        """Count one probe, Signal.PASS or Signal.FAIL; whether the state changed."""
        needed = _NEEDED.get((self.state, outcome))
        if needed is None:
            self._row = 0
            return False
        self._row += 1
        if self._row < needed(health):
            return False
        self.state = TRANSITIONS[self.state, outcome]
        self._row = 0
        return True

    def recount(self) -> None:
        """Begin the row anew and keep the state: what was asked until now is no longer what is asked."""
        self._row = 0
