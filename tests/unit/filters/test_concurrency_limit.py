"""Filter `concurrency_limit`: who is let in, who waits, and that a place is given back exactly once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from proxy.core.registry import BadOptionsError
from proxy.filters import FILTERS, RequestFilter
from proxy.filters.concurrency_limit import Places
from proxy.filters.effects import Effect, Reply, Wait
from proxy.filters.site import Site, States
from proxy.http1.facts import Facts

RequestOf = Callable[..., Facts]


def limit(site: Site | None = None, **options: Any) -> RequestFilter:
    """The compiled filter."""
    found = FILTERS.build("concurrency_limit", options).compile(site or Site(where="route a")).request
    assert found is not None
    return found


@dataclass
class Visit:
    """One request at the filter, as the data plane carries it."""

    limit: RequestFilter
    facts: Facts
    is_in: bool = False
    woken: list[Effect | None] = field(default_factory=list)
    effect: Effect | None = None
    leave: Callable[[], None] | None = None

    def come(self) -> "Visit":
        self.effect = self.limit.on_request(self.facts)
        self.is_in = self.effect is None
        if isinstance(self.effect, Wait):
            assert self.effect.join is not None
            self.leave = self.effect.join(self.wake)
        return self

    def wake(self, effect: Effect | None) -> None:
        assert not self.woken, "woken twice"
        self.woken.append(effect)
        self.is_in, self.leave = effect is None, None

    def end(self) -> None:
        if self.leave is not None:
            self.leave()
            self.leave = None
        assert self.limit.on_end is not None
        self.limit.on_end(self.facts, cast("Any", None))
        self.is_in = False


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"limit": 0}, "at least 1"),
        ({"limit": 1, "queue": -1}, "use 0 for none"),
        ({"limit": 1, "timeout": 0.0}, "timeout like 5s"),
        ({"limit": 1, "by": "moon"}, "moon"),
        ({"limit": 1, "by": {}}, "takes one name"),
        ({"limit": 1, "by": {"header": "a", "cookie": "b"}}, "takes one name"),
        ({"limit": 1, "by": {"header": "a b"}}, "not a name"),
        ({}, "limit"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint):
        FILTERS.build("concurrency_limit", options)


def test_who_comes_first_is_let_in_first(request_of: RequestOf) -> None:
    gate = limit(limit=2, queue=2)
    visits = [Visit(gate, request_of()).come() for _ in range(5)]
    assert [visit.is_in for visit in visits] == [True, True, False, False, False]
    refused = visits[4].effect
    assert isinstance(refused, Reply)
    assert (refused.status, refused.reason) == (503, "concurrency")
    assert b"Retry-After: 1\r\n" in refused.block
    visits[1].end()
    assert [visit.is_in for visit in visits] == [True, False, True, False, False]
    late = Visit(gate, request_of()).come()
    assert not late.is_in  # a place in the queue is free again, and others came first
    visits[0].end()
    visits[2].end()
    assert (visits[3].is_in, late.is_in) == (True, True)


def test_wait_has_the_timeout_and_its_end_is_a_refusal(request_of: RequestOf) -> None:
    gate = limit(limit=1, timeout=0.25)
    Visit(gate, request_of()).come()
    waits = Visit(gate, request_of()).come().effect
    assert isinstance(waits, Wait)
    assert isinstance(waits.otherwise, Reply)
    assert (waits.seconds, waits.otherwise.reason) == (0.25, "concurrency")


def test_place_is_given_back_once_however_often_the_end_is_told(request_of: RequestOf) -> None:
    gate = limit(limit=1, queue=2)
    first, second, third = (Visit(gate, request_of()).come() for _ in range(3))
    first.end()
    first.end()
    assert (second.is_in, third.is_in) == (True, False)


def test_who_left_the_queue_is_not_let_in(request_of: RequestOf) -> None:
    gate = limit(limit=1, queue=1)
    first, second = (Visit(gate, request_of()).come() for _ in range(2))
    second.end()
    third = Visit(gate, request_of()).come()
    first.end()
    assert (second.woken, third.is_in) == ([], True)


def test_workers_have_their_part_rounded_up(request_of: RequestOf) -> None:
    gate = limit(Site(where="route a", workers=4), limit=5, queue=1)
    assert [Visit(gate, request_of()).come().is_in for _ in range(4)] == [True, True, False, False]


@pytest.mark.parametrize("by", ["client", {"header": "x-key"}, {"cookie": "uid"}])
def test_each_is_counted_by_itself(request_of: RequestOf, by: Any) -> None:
    gate = limit(limit=1, queue=0, by=by)

    def visit(name: str) -> bool:
        facts = request_of("/", f"X-Key: {name}\r\n".encode(), f"uid={name}".encode())
        facts.client = name
        return Visit(gate, facts).come().is_in

    assert [visit("a"), visit("b"), visit("a")] == [True, True, False]


def test_counts_outlive_a_reload_that_changes_the_numbers(request_of: RequestOf) -> None:
    states = States()
    site = Site(where="route a", states=states)
    before, after = limit(site, limit=2, queue=0), limit(site, limit=3, queue=0)
    visits = [Visit(each, request_of()).come() for each in (before, before, after, after)]
    assert [visit.is_in for visit in visits] == [True, True, True, False]
    assert not Visit(limit(site, limit=1, queue=0), request_of()).come().is_in


def test_those_who_wait_are_the_first_when_a_reload_makes_room(request_of: RequestOf) -> None:
    site = Site(where="route a", states=States())
    before, after = limit(site, limit=1, queue=2), limit(site, limit=3, queue=2)
    first, second, third = (Visit(before, request_of()).come() for _ in range(3))
    assert [visit.is_in for visit in (first, second, third)] == [True, False, False]
    late = Visit(after, request_of()).come()
    assert [visit.is_in for visit in (first, second, third, late)] == [True, True, True, False]
    for each in (first, second, third):
        each.end()
    assert late.is_in


def test_queue_that_empties_at_once_does_not_go_deep(request_of: RequestOf) -> None:
    gate = limit(limit=1, queue=5000)
    first = Visit(gate, request_of()).come()

    class Brief(Visit):
        def wake(self, effect: Effect | None) -> None:
            super().wake(effect)
            self.end()  # answered within the turn that let it in

    brief = [Brief(gate, request_of()).come() for _ in range(5000)]
    first.end()
    assert all(visit.woken == [None] for visit in brief)


def test_nothing_is_kept_of_who_has_gone(request_of: RequestOf) -> None:
    states = States()
    gate = limit(Site(where="route a", states=states), limit=1, queue=1, by="client")
    visits = []
    for number in range(30):
        facts = request_of()
        facts.client = f"192.0.2.{number % 10}"
        visits.append(Visit(gate, facts).come())
    ((_, places),) = states.items()
    assert isinstance(places, Places)
    assert len(places) == 10
    for visit in visits:
        visit.end()
    assert len(places) == 0
