"""What guards of flags make of what workers tell; the day is told with it, so no clock is needed."""

from typing import Any

import pytest
from msgspec.structs import replace

from proxy.control.flag_trials import Asked, Trial, Trials
from proxy.filters.flag_guards import Question
from proxy.telemetry.evidence import CellSeen

ASKED = Asked("of", "off", 0.01)
ALL = {("f", "on"): ASKED}
HALF = 500_000


def _told(pool: str, users: range, day: int = 0, share: int = HALF, **question: Any) -> CellSeen:
    name = Question(**{"key": "f", "variant": "on", "of": "of", "week": day // 7, **question}).name()
    return CellSeen(
        name, day, pool, requests=len(users), bad=len(users), buckets=(tuple(users),), share=share
    )  # fmt: skip


def _harmful(*told: CellSeen) -> list[str]:
    trials = Trials()
    for cell in told:
        trials.add(cell, ALL)
    return [key for key, _ in trials.harmful(ALL)]


JUDGED = [
    ([_told("on", range(30))], ["f"]),
    ([_told("on", range(15)), _told("on", range(15, 30))], ["f"]),
    ([_told("on", range(30)), _told("off", range(30, 60))], []),
    ([_told("off", range(30))], []),
    ([_told("on", range(2))], []),
    ([_told("on", range(2))] * 20, []),  # the same users again, or told by every worker
    ([_told("on", range(30), share=0)], []),
    ([_told("on", range(30), share=1_000_000)], []),
    ([_told("on", range(30), share=999_000)], []),  # nearly everybody has it: it is not surprising
    ([_told("on", range(-30, 0))], []),
    ([_told("on", range(10_000, 10_030))], []),
    ([replace(_told("on", range(30)), buckets=())], []),
    ([_told("on", range(30), of="before the edit")], []),
    ([_told("on", range(30), key="g")], []),
    ([_told("on", range(30), variant="blue")], []),
    ([_told("on", range(5), day=0), _told("on", range(5, 8), day=7)], []),  # a week ends, and another begins
    ([_told("on", range(30), day=7), _told("off", range(30, 60), day=3)], ["f"]),  # a worker that is late
    ([_told("on", range(30), day=0), _told("off", range(1), day=7)], []),
    ([replace(_told("on", range(30)), run="r#1")], []),
]


@pytest.mark.parametrize(("told", "killed"), JUDGED)
def test_flag_does_harm_only_by_its_own_draws_of_this_week(told: list[CellSeen], killed: list[str]) -> None:
    assert _harmful(*told) == killed


@pytest.mark.parametrize(("number", "alpha"), [(1, 0.005), (2, 0.01 / 6), (9, 0.01 / 90)])
def test_each_week_has_its_part_of_alpha(number: int, alpha: float) -> None:
    trial, fewest = Trial(ASKED, "on", 0, number), None
    for user in range(100):
        trial.add(_told("on", range(user, user + 1)))
        verdict = trial.judge()
        assert (verdict.kind == "harm") is (verdict.numbers["harm"] >= 1 / alpha)
        fewest = user if fewest is None and verdict.kind == "harm" else fewest
    assert fewest is not None


def test_later_weeks_want_more_of_a_question_that_was_asked_before() -> None:
    def fewest(*weeks: int) -> int:
        for count in range(1, 100):
            told = [_told("off", range(1), day=7 * week) for week in weeks[:-1]]
            if _harmful(*told, _told("on", range(count), day=7 * weeks[-1])):
                return count
        raise AssertionError(weeks)

    assert fewest(0) == fewest(5) < fewest(0, 1) <= fewest(0, 1, 2, 3, 4, 5)


def test_what_was_judged_is_judged_again_only_with_news() -> None:
    trials = Trials()
    trials.add(_told("on", range(30)), ALL)
    assert len(list(trials.harmful(ALL))) == 1
    assert list(trials.harmful(ALL)) == []
    assert trials.verdict("f", "on").kind == "harm"
    trials.add(_told("on", range(1)), ALL)
    assert len(list(trials.harmful(ALL))) == 1


@pytest.mark.parametrize("asked", [{}, {("f", "on"): replace(ASKED, of="edited")}])
def test_what_nobody_asks_any_more_is_forgotten(asked: dict[tuple[str, str], Asked]) -> None:
    trials = Trials()
    trials.add(_told("on", range(30)), ALL)
    assert trials.add(_told("on", range(30)), asked) is False
    trials.forget("f")
    assert trials.verdict("f", "on").kind == "not_yet"
    assert list(trials.harmful(asked)) == []


def test_shares_of_one_trial_are_bounded() -> None:
    trial = Trial(ASKED, "on", 0, 1)
    for share in range(1, 1_000):
        trial.add(_told("on", range(1), share=share))
    assert len(trial._sides) == 100


def test_worker_that_is_late_tells_of_a_week_that_is_over() -> None:
    trials = Trials()
    assert trials.add(_told("on", range(1), day=7), ALL) is True
    assert trials.add(_told("on", range(1, 2), day=6), ALL) is False
