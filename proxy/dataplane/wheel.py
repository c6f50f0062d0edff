"""One coarse timer wheel per worker: every deadline of every connection, at the cost of an attribute.

A connection moves its deadline with each request, nearly always to a later time. So an item sits in the slot of the
earliest deadline it ever asked for, and when that slot comes up it is put into the slot of the deadline it has by then.
An ordinary request touches no slot at all.
"""

import logging
from collections.abc import Callable
from math import inf
from typing import Final, Protocol

log = logging.getLogger(__name__)

TICK: Final = 0.1  # seconds; how late a deadline may be noticed
FINE: Final = 0.02  # the same, of what a rollout waits for


class Timed(Protocol):
    """What the wheel watches. `deadline` is the owner's to move; `scheduled` is the wheel's own."""

    deadline: float
    scheduled: float

    def expire(self, now: float) -> None:
        """The deadline has passed: do what is due, and set a new deadline if there is one."""


class Wheel:
    """Slots of so many seconds, each with the items to look at then."""

    __slots__ = ("_next", "_slots", "_width", "now")

    def __init__(self, now: float, width: float = TICK) -> None:
        self.now = now  # as of the last tick: good enough for refreshing an idle timeout
        self._width = width
        self._next = int(now / width)
        self._slots: dict[int, dict[Timed, None]] = {}

    def watch(self, item: Timed, deadline: float) -> None:
        """Set the deadline, and see that the item is looked at no later than that."""
        item.deadline = deadline
        if deadline < item.scheduled:
            self._place(item, deadline)

    def drop(self, item: Timed) -> None:
        """Forget the item."""
        self._take(item)
        item.deadline = item.scheduled = inf

    @property
    def is_busy(self) -> bool:
        """Is a slot left that something was put into?"""
        return bool(self._slots)

    def tick(self, now: float) -> None:
        """Look at everything whose slot has come up."""
        self.now = now
        current = int(now / self._width)
        while self._next <= current:
            self._turn(self._slots.pop(self._next, None), now)
            self._next += 1

    def _turn(self, slot: dict[Timed, None] | None, now: float) -> None:
        for item in slot or ():
            item.scheduled = inf
            if item.deadline <= now:
                self._expire(item, now)
            if item.deadline < inf == item.scheduled:
                self._place(item, item.deadline)

    def _expire(self, item: Timed, now: float) -> None:
        try:
            item.expire(now)
        except Exception:
            # The outermost guard: whatever one item fails at, the others' deadlines go on.
            log.exception("a deadline was not dealt with: %r", item)
            item.deadline = inf

    def _place(self, item: Timed, deadline: float) -> None:
        self._take(item)
        number = max(int(deadline / self._width) + 1, self._next + 1)
        item.scheduled = number * self._width
        self._slots.setdefault(number, {})[item] = None

    def _take(self, item: Timed) -> None:
        if item.scheduled != inf:
            slot = self._slots.get(round(item.scheduled / self._width))
            if slot is not None:
                slot.pop(item, None)


class FineWheel:
    """A wheel of short ticks, for what must be noticed soon; it turns only while there is something on it."""

    __slots__ = ("_call_later", "_clock", "_is_turning", "_wheel")

    def __init__(self, call_later: Callable[..., object], clock: Callable[[], float]) -> None:
        self._call_later = call_later
        self._clock = clock
        self._is_turning = False
        self._wheel = Wheel(0.0, FINE)

    def watch(self, item: Timed, deadline: float, now: float) -> None:
        """Set the deadline, and see that the item is looked at soon after."""
        if not self._is_turning:
            self._is_turning = True
            self._wheel = Wheel(now, FINE)  # instead of turning it through all the time that nothing was on it
            self._call_later(FINE, self._turn)
        self._wheel.watch(item, deadline)

    def drop(self, item: Timed) -> None:
        """Forget the item."""
        self._wheel.drop(item)

    def tick(self, now: float) -> None:
        """Look at everything whose time has come."""
        self._wheel.tick(now)
        self._is_turning = self._wheel.is_busy

    def _turn(self) -> None:
        self.tick(self._clock())
        if self._is_turning:
            self._call_later(FINE, self._turn)


def run(wheel: Wheel, call_later: Callable[..., object], clock: Callable[[], float]) -> None:
    """Turn the wheel for ever, every TICK seconds of the loop that `call_later` belongs to."""
    call_later(TICK, run, wheel, call_later, clock)
    wheel.tick(clock())
