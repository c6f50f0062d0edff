"""Filter `pause`: who is held, and when it is let go."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.core.registry import BadOptionsError
from proxy.filters import FILTERS, RequestFilter
from proxy.filters.effects import Effect, Reply, Wait
from proxy.filters.site import Site, States
from proxy.http1.facts import Facts

RequestOf = Callable[..., Facts]


def pause(site: Site | None = None, **options: Any) -> RequestFilter:
    """The compiled filter."""
    found = FILTERS.build("pause", options).compile(site or Site(where="service shop")).request
    assert found is not None
    assert found.standing is not None
    return found


class Held:
    """A request at the filter: what it was told at once, and what later."""

    def __init__(self, at: RequestFilter, facts: Facts) -> None:
        self.woken: list[Effect | None] = []
        self.leave: Callable[[], None] | None = None
        self.effect = at.on_request(facts)
        if isinstance(self.effect, Wait) and self.effect.join is not None:
            self.leave = self.effect.join(self.woken.append)


def end(at: RequestFilter) -> None:
    assert at.standing is not None
    at.standing.end()


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"at_most": 0.0}, "at_most like 30s"),
        ({"most": 0}, "use `maintenance`"),
        ({"then": "explode"}, "explode"),
        ({"for": 1}, "no option 'for'"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint):
        FILTERS.build("pause", options)


def test_held_go_on_when_the_filter_is_taken_away_in_the_order_they_came(request_of: RequestOf) -> None:
    filter_ = pause()
    order: list[int] = []
    for number in range(3):
        effect = filter_.on_request(request_of())
        assert isinstance(effect, Wait)
        assert effect.join is not None
        effect.join(lambda _effect, number=number: order.append(number))  # type: ignore[misc]
    end(filter_)
    assert order == [0, 1, 2]
    assert filter_.on_request(request_of()) is None  # one that came by the old generation's way
    assert filter_.standing is not None
    filter_.standing.begin()  # put in again
    assert isinstance(filter_.on_request(request_of()), Wait)


@pytest.mark.parametrize(("then", "status"), [("refuse", 503), ("go_on", None)])
def test_deadline_refuses_or_lets_go_on(request_of: RequestOf, then: str, status: int | None) -> None:
    wait = pause(at_most=2.5, then=then).on_request(request_of())
    assert isinstance(wait, Wait)
    assert wait.seconds == 2.5
    if status is None:
        assert wait.otherwise is None
        return
    assert isinstance(wait.otherwise, Reply)
    assert (wait.otherwise.status, wait.otherwise.reason) == (status, "paused")
    assert b"Retry-After: 3\r\n" in wait.otherwise.block


def test_no_more_are_held_than_fit_and_who_left_makes_room(request_of: RequestOf) -> None:
    filter_ = pause(Site(where="filters", workers=2), most=3)
    held = [Held(filter_, request_of()) for _ in range(3)]
    assert [isinstance(each.effect, Wait) for each in held] == [True, True, False]
    assert isinstance(held[2].effect, Reply)
    assert held[2].effect.reason == "paused"
    assert held[0].leave is not None
    held[0].leave()
    again = Held(filter_, request_of())
    end(filter_)
    assert [each.woken for each in (*held, again)] == [[], [None], [], [None]]


def test_pause_with_other_options_at_the_same_place_holds_on(request_of: RequestOf) -> None:
    states = States()
    site = Site(where="service shop", states=states)
    before = pause(site, at_most=1.0)
    held = Held(before, request_of())
    after = pause(site, at_most=9.0)
    assert before.standing is after.standing
    elsewhere = pause(Site(where="service other", states=states))
    assert elsewhere.standing is not before.standing
    end(elsewhere)
    assert held.woken == []
