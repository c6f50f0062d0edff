"""Filter `pause`."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Annotated, Literal

from proxy.core.units import Unit
from proxy.filters.effects import Effect, Wait, Wake, refusal
from proxy.filters.registry import FILTERS, Hooks, RequestFilter
from proxy.filters.site import Site
from proxy.http1.facts import Facts


@FILTERS.register("pause")
@dataclass(frozen=True, slots=True)
class Pause:
    """Holds requests back, for a cut-over: when a reload takes it away they go on, to where the split sends them then.

    Each is held for `at_most`; `then` it is refused with 503 (`paused`), or with `go_on` goes on. No more than `most`
    are held, over all workers; further ones are refused at once. Their bodies wait with the client.
    """

    at_most: Annotated[float, Unit.DURATION] = 30.0
    most: int = 1000
    then: Literal["refuse", "go_on"] = "refuse"

    def __post_init__(self) -> None:
        if self.at_most <= 0:
            raise ValueError("nothing can be held for no time; use at_most like 30s, or take the pause away")
        if self.most < 1:
            raise ValueError(f"a pause that holds {self.most} refuses everything; use `maintenance` for that")

    def compile(self, site: Site) -> Hooks:
        # By its place alone: a reload that changes the deadline still holds who is held.
        pen = site.keep(_Held(), Pen)
        most = ceil(self.most / site.workers)
        again = b"Retry-After: %d\r\n" % ceil(self.at_most)
        refused = refusal(503, "paused", "this service is being changed; try again in a moment", again)
        wait = Wait(self.at_most, refused if self.then == "refuse" else None, pen.hold)

        def on_request(_facts: Facts) -> Effect | None:
            if pen.is_open:
                return None
            return wait if len(pen) < most else refused

        return Hooks(request=RequestFilter(on_request, standing=pen))


@dataclass(frozen=True, slots=True)
class _Held:
    """What makes a pause the same from one generation to the next: nothing but its place."""


class Pen:
    """Who is held back; it stands open from when no generation in force has it."""

    def __init__(self) -> None:
        self.is_open = False
        self._held: OrderedDict[object, Wake] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, wake: Wake) -> Callable[[], None]:
        """Hold one more; returns how it leaves before it is let go."""
        ticket = object()
        self._held[ticket] = wake
        return lambda: self._leave(ticket)

    def begin(self) -> None:
        """A pause is in force, perhaps again."""
        self.is_open = False

    def end(self) -> None:
        """It was taken away: everybody goes on, in the order they came."""
        self.is_open = True
        while self._held:
            _, wake = self._held.popitem(last=False)
            wake(None)

    def _leave(self, ticket: object) -> None:
        self._held.pop(ticket, None)
