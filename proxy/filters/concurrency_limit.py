"""Filter `concurrency_limit`."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Annotated, Final

from proxy.core.units import Unit
from proxy.filters.effects import Effect, Wait, Wake, refusal
from proxy.filters.keyed_by import By, key_of
from proxy.filters.registry import FILTERS, Hooks, RequestFilter
from proxy.filters.site import Site
from proxy.http1.facts import Facts
from proxy.telemetry.record import Record

_FULL: Final = refusal(
    503, "concurrency", "too many requests are under way here; try again in a moment", b"Retry-After: 1\r\n"
)


@FILTERS.register("concurrency_limit")
@dataclass(frozen=True, slots=True)
class ConcurrencyLimit:
    """Lets at most `limit` requests be under way at once, counted over all workers; the others wait in a queue.

    They go on in the order they came. Where `queue` of them wait already, or one has waited for `timeout`, the answer
    is 503 (`concurrency`). `by` counts each route (by its name), `client`, header or cookie by itself. Each worker has
    its part, rounded up. A WebSocket is under way until its tunnel begins.
    """

    limit: int
    queue: int = 100
    timeout: Annotated[float, Unit.DURATION] = 5.0
    by: By = "route"

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"a limit of {self.limit} lets nobody in; use at least 1")
        if self.queue < 0:
            raise ValueError(f"a queue cannot hold {self.queue}; use 0 for none")
        if self.timeout <= 0:
            raise ValueError("nobody can wait for no time; use a timeout like 5s, or queue: 0")

    def compile(self, site: Site) -> Hooks:
        # Counts outlive a change of the numbers: those who are in are in.
        places = site.keep(_Counted(self.by), Places)
        limit, queue = ceil(self.limit / site.workers), ceil(self.queue / site.workers)
        key, timeout = key_of(self.by), self.timeout
        mark = object()  # of this place: an exchange may be at several

        def on_request(facts: Facts) -> Effect | None:
            place = places.at(key(facts))
            place.allow(limit)
            if place.enter():
                facts.notes[mark] = place
                return None
            if len(place.waiting) >= queue:
                return _FULL
            return Wait(timeout, _FULL, lambda wake: _queue_up(place, facts, mark, wake))

        def on_end(facts: Facts, _record: Callable[[], Record]) -> None:
            place = facts.notes.pop(mark, None)
            if place is not None:
                place.leave()

        # With `sees_all`, as who has been let in may fail before it has gone on from here.
        return Hooks(request=RequestFilter(on_request, on_end, sees_all=True))


@dataclass(frozen=True, slots=True)
class _Counted:
    """What makes counts the same from one generation to the next."""

    by: By


class Places:
    """A place for each key that somebody is at; no more of them than requests."""

    def __init__(self) -> None:
        self._places: dict[bytes, Place] = {}

    def __len__(self) -> int:
        return len(self._places)

    def at(self, key: bytes) -> "Place":
        """The key's; made where nobody is there."""
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = Place(lambda: self._drop(key))
        return found

    def _drop(self, key: bytes) -> None:
        del self._places[key]


class Place:
    """Who is in, and who waits to be let in. `limit` is how many may be in. `emptied` is called when nobody is left."""

    __slots__ = ("_emptied", "_is_admitting", "inside", "limit", "waiting")

    def __init__(self, emptied: Callable[[], object]) -> None:
        self.limit = 1
        self.inside = 0
        self.waiting: OrderedDict[object, Callable[[], None]] = OrderedDict()
        self._emptied = emptied
        self._is_admitting = False

    def allow(self, limit: int) -> None:
        """So many may be in from now on; where they are more than before, those who wait come first."""
        self.limit = limit
        if self.waiting:
            self._admit()

    def enter(self) -> bool:
        """Take a place, unless none is free or somebody else came first."""
        if self.inside >= self.limit or self.waiting:
            return False
        self.inside += 1
        return True

    def wait(self, admitted: Callable[[], None]) -> Callable[[], None]:
        """Queue up; `admitted` is called with a place taken. Returns how to leave the queue before that."""
        ticket = object()
        self.waiting[ticket] = admitted

        def give_up() -> None:
            self.waiting.pop(ticket, None)
            self._tidy()

        return give_up

    def leave(self) -> None:
        """Give a place back, and let in whose turn it is."""
        self.inside -= 1
        self._admit()
        self._tidy()

    def _admit(self) -> None:
        if self._is_admitting:
            return  # who is let in may be at its end at once: the loop below goes on, not deeper
        self._is_admitting = True
        try:
            while self.waiting and self.inside < self.limit:
                _, admitted = self.waiting.popitem(last=False)
                self.inside += 1
                admitted()
        finally:
            self._is_admitting = False

    def _tidy(self) -> None:
        if not self.inside and not self.waiting and not self._is_admitting:
            self._emptied()


def _queue_up(place: Place, facts: Facts, mark: object, wake: Wake) -> Callable[[], None]:
    def admitted() -> None:
        facts.notes[mark] = place
        wake(None)

    return place.wait(admitted)
