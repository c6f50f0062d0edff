"""The timer wheel: everything is looked at once its deadline has passed, and never before."""

from collections.abc import Callable
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dataplane.wheel import FINE, TICK, FineWheel, Wheel


class Item:
    def __init__(self) -> None:
        self.deadline = self.scheduled = inf
        self.expired: list[float] = []

    def expire(self, now: float) -> None:
        assert self.deadline <= now
        self.expired.append(now)
        self.deadline = inf


def turn(wheel: Wheel, until: float) -> None:
    now = wheel.now
    while now < until:
        now = min(now + TICK, until)
        wheel.tick(now)


def test_item_expires_after_its_deadline() -> None:
    wheel, item = Wheel(100.0), Item()
    wheel.watch(item, 101.0)
    turn(wheel, 100.95)
    assert item.expired == []
    turn(wheel, 101.3)
    assert len(item.expired) == 1
    assert 101.0 <= item.expired[0] <= 101.0 + 3 * TICK


def test_item_moved_to_later_expires_later_without_a_slot_of_its_own() -> None:
    wheel, item = Wheel(0.0), Item()
    wheel.watch(item, 1.0)
    first = item.scheduled
    wheel.watch(item, 5.0)
    assert item.scheduled == first
    turn(wheel, 4.9)
    assert item.expired == []
    turn(wheel, 5.5)
    assert len(item.expired) == 1


def test_item_moved_to_earlier_expires_once() -> None:
    wheel, item = Wheel(0.0), Item()
    wheel.watch(item, 9.0)
    wheel.watch(item, 1.0)
    turn(wheel, 20.0)
    assert len(item.expired) == 1
    assert item.expired[0] < 2.0


def test_dropped_item_is_forgotten_at_once() -> None:
    wheel, item = Wheel(0.0), Item()
    wheel.watch(item, 1.0)
    wheel.drop(item)
    assert not any(wheel._slots.values())
    turn(wheel, 3.0)
    assert item.expired == []


def test_item_dropped_by_its_neighbour_does_not_expire() -> None:
    wheel, victim = Wheel(0.0), Item()

    class Killer(Item):
        def expire(self, now: float) -> None:
            super().expire(now)
            wheel.drop(victim)

    wheel.watch(Killer(), 1.0)
    wheel.watch(victim, 1.0)
    turn(wheel, 3.0)
    assert victim.expired == []


def test_item_that_sets_a_new_deadline_is_looked_at_again() -> None:
    wheel = Wheel(0.0)

    class Again(Item):
        def expire(self, now: float) -> None:
            super().expire(now)
            self.deadline = now + 1.0

    item = Again()
    wheel.watch(item, 1.0)
    turn(wheel, 5.0)
    assert len(item.expired) in (3, 4)


class Loop:
    """Calls back when it is told that the time has come."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.due: list[tuple[float, Callable[[], object]]] = []

    def call_later(self, delay: float, call: Callable[[], object]) -> None:
        self.due.append((self.now + delay, call))

    def turn(self) -> None:
        self.now, call = self.due.pop(0)
        call()


def test_fine_wheel_notices_within_three_of_its_ticks_and_then_stands_still() -> None:
    loop, item = Loop(), Item()
    fine = FineWheel(loop.call_later, lambda: loop.now)
    for start in (1000.0, 9000.0):  # nothing is on it in between, and it does not turn through that time
        loop.now = start
        fine.watch(item, start + 0.05, start)
        assert len(loop.due) == 1
        turns = 0
        while loop.due:
            loop.turn()
            turns += 1
        assert start + 0.05 <= item.expired[-1] <= start + 0.05 + 3 * FINE
        assert turns <= 6
    assert len(item.expired) == 2


def test_fine_wheel_forgets_what_is_dropped() -> None:
    loop, item = Loop(), Item()
    fine = FineWheel(loop.call_later, lambda: loop.now)
    fine.watch(item, 1000.1, 1000.0)
    fine.drop(item)
    while loop.due:
        loop.turn()
    assert (item.expired, loop.now < 1000.3) == ([], True)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.floats(0.0, 30.0), st.floats(0.05, 20.0)), min_size=1, max_size=30),
    st.floats(0.0, 1000.0),
)
def test_last_deadline_set_is_the_one_that_counts(moves: list[tuple[float, float]], start: float) -> None:
    """However often a deadline moves, the item expires after the last one, and at most three ticks late."""
    wheel, item = Wheel(start), Item()
    wanted = inf
    for at, ahead in sorted(moves):
        turn(wheel, start + at)
        if item.expired:
            return
        wanted = wheel.now + ahead
        item.deadline = wanted
        if wanted < item.scheduled:
            wheel.watch(item, wanted)
    turn(wheel, wanted + 3 * TICK)
    assert len(item.expired) == 1
    assert item.expired[0] >= wanted
