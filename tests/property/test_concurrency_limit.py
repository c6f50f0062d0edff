"""`concurrency_limit` under any sequence of arrivals, ends, departures and deadlines."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from proxy.filters.concurrency_limit import Places

steps = st.lists(
    st.tuples(st.sampled_from(["arrive", "end", "leave", "limit"]), st.integers(0, 30)), min_size=1, max_size=120
)


@given(st.integers(1, 5), steps)
def test_never_too_many_nobody_lost_first_come_first_served(limit: int, taken: list[tuple[str, int]]) -> None:
    places = Places()
    inside: list[int] = []
    queue: list[int] = []
    leaves: dict[int, Callable[[], Any]] = {}
    number = 0

    def admitted(who: int) -> Callable[[], None]:
        def let_in() -> None:
            assert queue[0] == who, "not the one who has waited longest"
            inside.append(queue.pop(0))

        return let_in

    for step, which in taken:
        if step != "arrive" and not inside:
            continue
        place = places.at(b"")
        place.limit = limit
        if step == "arrive":
            number += 1
            if place.enter():
                assert not queue, "past the queue"
                inside.append(number)
            else:
                assert queue or len(inside) >= limit, "turned away though there was a place"
                queue.append(number)
                leaves[number] = place.wait(admitted(number))
        elif step == "end" and inside:
            inside.pop(which % len(inside))
            place.leave()
        elif step == "leave" and queue:  # a client that goes, or whose time is over
            who = queue.pop(which % len(queue))
            leaves[who]()
        elif step == "limit" and not queue:
            limit = max(len(inside), which % 6, 1)
        assert len(inside) <= limit
        assert place.inside == len(inside)
        assert len(place.waiting) == len(queue)
        assert not queue or len(inside) == limit, "somebody waits though there is a place"
    while inside:
        inside.pop()
        places.at(b"").leave()
    assert not queue
    assert len(places) == 0
