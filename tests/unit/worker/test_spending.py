"""Telling of spent tokens: only where there are some, in bounded messages."""

import asyncio
from collections.abc import Callable
from typing import Any

from proxy.channel import messages as say
from proxy.filters.buckets import Buckets
from proxy.filters.site import States
from proxy.worker.spending import INTERVAL, MOST, Spending


class Clock:
    """A loop's time, which goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> object:
        assert seconds == INTERVAL
        self.due.append(call)
        return call

    def turn(self) -> None:
        self.now += INTERVAL
        due, self.due = self.due, []
        for call in due:
            call()


def spending(states: States) -> tuple[Spending, Any, list[say.Spent]]:
    clock: Any = Clock()
    told: list[say.Spent] = []
    loop: asyncio.AbstractEventLoop = clock
    return Spending(loop, states, told.append), clock, told


def test_nothing_is_told_and_no_timer_runs_where_nothing_is_kept() -> None:
    states = States()
    spent, clock, told = spending(states)
    kept = states.keep(b"other", set)
    spent.begin()
    assert (clock.due, told, kept) == ([], [], set())


def test_what_was_taken_is_told_once_and_only_where_there_is_some() -> None:
    states = States()
    buckets = states.keep(b"here", lambda: Buckets(1.0, 5, 100))
    spent, clock, told = spending(states)
    spent.begin()
    spent.begin()  # another generation
    assert len(clock.due) == 1
    clock.turn()
    assert told == []
    for key in (b"a", b"b", b"a"):
        buckets.take(key, clock.now)
    clock.turn()
    clock.turn()
    assert told == [say.Spent({b"here": {b"a": 2, b"b": 1}})]
    del buckets  # a generation without it
    clock.turn()
    assert clock.due == []


def test_a_message_is_bounded_and_the_rest_follows() -> None:
    states = States()
    kept = [states.keep(name, lambda: Buckets(1.0, 5, 10_000)) for name in (b"one", b"two")]
    for number in range(MOST - 10):
        for buckets in kept:
            buckets.take(b"%d" % number, 0.0)
    spent, clock, told = spending(states)
    spent.begin()
    for _ in range(3):
        clock.turn()
    assert [sum(map(len, each.tokens.values())) for each in told] == [MOST, MOST - 20]


def test_what_others_told_is_taken_off_where_it_is_kept() -> None:
    states = States()
    buckets = states.keep(b"here", lambda: Buckets(1.0, 5, 100))
    other = states.keep(b"other", set)
    spent, _, _ = spending(states)
    spent.hear(say.Spent({b"here": {b"a": 7}, b"gone": {b"a": 7}, b"other": {b"a": 7}}))
    assert buckets.left(b"a", 0.0) == -2
    assert buckets.left(b"b", 0.0) == 5
    assert other == set()
