"""The rota: who is due, in which order, and the places of many endpoints in one interval."""

import pytest

from proxy.control.rota import Rota, next_turn, place

A, B, C = (("shop", "blue", address) for address in ("a:80", "b:80", "c:80"))


def test_rota_gives_those_that_are_due_longest_due_first() -> None:
    rota = Rota()
    rota.put(B, 2.0)
    rota.put(C, 3.0)
    rota.put(A, 1.0)
    assert rota.next_due() == 1.0
    assert rota.take(0.5, 9) == []
    assert rota.take(2.0, 9) == [A, B]
    assert (rota.next_due(), len(rota)) == (3.0, 1)


def test_rota_gives_no_more_than_asked_for() -> None:
    rota = Rota()
    for key in (C, A, B):
        rota.put(key, 1.0)
    assert rota.take(1.0, 2) == [C, A]
    assert rota.take(1.0, 0) == []
    assert rota.take(1.0, 2) == [B]
    assert rota.next_due() is None


@pytest.mark.parametrize(("first", "second"), [(1.0, 5.0), (5.0, 1.0), (1.0, 1.0)])
def test_rota_has_a_key_at_most_once(first: float, second: float) -> None:
    rota = Rota()
    rota.put(A, first)
    rota.put(A, second)
    assert (len(rota), rota.next_due()) == (1, second)
    assert rota.take(9.0, 9) == [A]
    assert rota.take(9.0, 9) == []


def test_rota_forgets_what_is_dropped() -> None:
    rota = Rota()
    rota.put(A, 1.0)
    rota.put(B, 2.0)
    rota.drop(A)
    rota.drop(C)
    assert rota.next_due() == 2.0
    assert rota.take(9.0, 9) == [B]


def test_rota_takes_a_key_again_after_it_was_dropped() -> None:
    rota = Rota()
    rota.put(A, 1.0)
    rota.drop(A)
    rota.put(A, 3.0)
    assert rota.next_due() == 3.0
    assert rota.take(3.0, 9) == [A]


@pytest.mark.parametrize(
    ("first", "interval", "now", "turn"),
    [
        (10.0, 2.0, 9.0, 10.0),
        (20.0, 2.0, 9.0, 20.0),
        (10.0, 2.0, 10.0, 12.0),
        (10.0, 2.0, 11.9, 12.0),
        (10.0, 2.0, 12.0, 14.0),
        (10.0, 2.0, 71.0, 72.0),
        (10.5, 1.0, 12.0, 12.5),
    ],
)
def test_next_turn_keeps_its_place_and_leaves_out_what_was_missed(
    first: float, interval: float, now: float, turn: float
) -> None:
    assert next_turn(first, interval, now) == turn


def test_places_of_many_endpoints_are_spread_over_the_interval() -> None:
    places = [place(("shop", "blue", f"10.0.{number // 256}.{number % 256}:80")) for number in range(2_000)]
    assert all(0.0 < each <= 1.0 for each in places)
    tenths = [sum(int(each * 10) == tenth for each in places) for tenth in range(10)]
    assert min(tenths) > 150
    assert max(tenths) < 250


def test_place_is_the_same_in_every_process() -> None:
    assert place(A) == pytest.approx(0.36868915, abs=1e-8)
    assert len({place(A), place(B), place(("shop", "b", "luea:80"))}) == 3
