"""Waves: how a fleet is cut, and how many of it may be out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rollouts.waves import Amount, amount_of, may_go, most_unavailable, waves

EIGHT = tuple("abcdefgh")


@pytest.mark.parametrize(
    ("size", "lengths"),
    [
        ("25%", [2, 2, 2, 2]),
        ("30%", [2, 2, 2, 2]),
        ("1%", [1] * 8),
        ("100%", [8]),
        (3, [3, 3, 2]),
        (20, [8]),
        (0, [1] * 8),
    ],
)
def test_waves_cut_the_fleet_in_its_order(size: Amount, lengths: list[int]) -> None:
    cut = waves(EIGHT, size)
    assert [len(wave) for wave in cut] == lengths
    assert tuple(each for wave in cut for each in wave) == EIGHT


@pytest.mark.parametrize("alone", [(), ("a",)])
def test_waves_of_a_fleet_that_nobody_could_stand_in_for_are_refused(alone: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="needs two endpoints or more; add one, or use blue_green"):
        waves(alone, "25%")


@pytest.mark.parametrize("bad", ["oops", "25", "25 %", "-1%", "2.5%", "", "1000%", "٢%", -1, True])
def test_amount_that_cannot_be_meant_is_refused(bad: Amount) -> None:
    with pytest.raises(ValueError, match="is not a number of endpoints; write it like 2 or 25%"):
        amount_of(bad, 8, up=False)


@pytest.mark.parametrize(
    ("waiting", "usable", "unavailable", "expected"),
    [
        ("ab", "abcdefgh", "25%", "ab"),
        ("abc", "abcdefgh", "25%", "ab"),
        ("ab", "bcdefgh", "25%", "ab"),  # one is down already: it goes, and leaves room for one more
        ("ab", "abcdef", "25%", ""),  # others are out: nothing that works may go
        ("ab", "bcdef", "25%", "a"),  # what is out of service anyway may
        ("abcdefgh", "abcdefgh", "100%", "abcdefg"),  # never the last
        ("a", "abcdefgh", "1%", "a"),  # rounds down to nothing, which is one
        ("", "abcdefgh", "25%", ""),
    ],
)
def test_may_go_keeps_enough_in_service(waiting: str, usable: str, unavailable: Amount, expected: str) -> None:
    assert "".join(may_go(waiting, usable, EIGHT, unavailable)) == expected


@given(
    total=st.integers(2, 40),
    usable=st.data(),
    unavailable=st.one_of(st.integers(0, 50), st.just("25%"), st.just("60%")),
)
def test_may_go_never_takes_out_more_than_is_allowed(total: int, usable: st.DataObject, unavailable: Amount) -> None:
    fleet = tuple(map(str, range(total)))
    working = usable.draw(st.sets(st.sampled_from(fleet)))
    gone = set(may_go(fleet, working, fleet, unavailable))
    left = working - gone
    assert gone >= set(fleet) - working
    if working & gone:
        assert left
        assert total - len(left) <= most_unavailable(unavailable, total)
