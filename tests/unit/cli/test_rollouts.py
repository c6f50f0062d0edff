"""Commands about rollouts: what they print is no markup, and a wait bears a controller that is being replaced."""

from collections.abc import Iterator
from typing import Any

import pytest

from proxy.cli import rollouts
from proxy.cli.admin import Reply, UnreachableError
from proxy.cli.shares import TypedWrongError
from proxy.cli.verbs import Session

VIEW = {
    "name": "r",
    "service": "s",
    "state": "aborted",
    "reason": "answers 500: [/x] [red]no[/red]",
    "step": 0,
    "doing": "",
    "steps": [],
    "split": {},
    "started": 1.0,
    "log": [],
    "stable": "blue",
    "candidate": "canary",
    "verdict": {"kind": "not_yet", "sentence": "", "numbers": {}},
    "done": None,
    "alarm": None,
    "problem": None,
}


class Admin:
    """An admin that answers with these, one after the other; an exception is raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers: Iterator[Any] = iter(answers)

    def get(self, _: str) -> Any:
        """The next one."""
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask(self, *_: Any) -> Reply:
        """The same, to a verb."""
        return Reply(self.get(""), None)


def session(*answers: Any) -> Session:
    return Session(Admin(*answers), as_json=False)  # type: ignore[arg-type]


def test_watch_shows_what_a_hook_has_answered_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert rollouts.status(session(VIEW), "r", watch=True) == 0
    assert "answers 500: [/x] [red]no[/red]" in capsys.readouterr().out


def test_wait_bears_an_admin_that_is_not_there_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "_POLL", 0.0)
    running = {**VIEW, "state": "running"}
    answers = running, UnreachableError("gone"), UnreachableError("gone"), running, {**VIEW, "state": "succeeded"}
    assert rollouts.start(session(*answers), "r", None, "1h", wait=True) == 0


def test_wait_gives_up_at_its_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "_POLL", 0.0)
    answers = ({**VIEW, "state": "running"}, *[UnreachableError("gone")] * 100_000)
    with pytest.raises(UnreachableError):
        rollouts.start(session(*answers), "r", None, "10ms", wait=True)


PLANS = [
    ({"stable": "blue", "candidate": "canary"}, "r: s from blue to canary"),
    ({"stable": "blue", "candidate": "blue"}, "r: s blue in place"),
]


@pytest.mark.parametrize(("pools", "headline"), PLANS)
def test_plan_says_where_it_leads(pools: dict[str, str], headline: str) -> None:
    steps = [{"text": "update a, b", "at_most": 60.0}, {"text": "bake for 5m", "at_most": 300.0}]
    found = list(rollouts.plan_lines({**VIEW, **pools, "steps": steps}))
    assert found == [headline, "  0  update a, b  by 1m", "  1  bake for 5m  by 6m"]


def test_picture_of_a_rolling_update_has_its_cohorts() -> None:
    numbers = {"candidate_requests": 10.0, "candidate_bad": 1.0, "stable_requests": 2_000.0, "stable_bad": 0.0}
    view = {**VIEW, "candidate": "blue", "verdict": {"kind": "not_yet", "sentence": "", "numbers": numbers}}
    found = [line.strip() for line in rollouts.picture(view)]
    assert found[-2:] == ["blue updated: 10 requests, 1 bad", "blue as it was: 2,000 requests, 0 bad"]


def test_timeout_without_a_wait_is_wrong_usage() -> None:
    with pytest.raises(TypedWrongError, match="add --wait"):
        rollouts.start(session(VIEW), "r", None, "1h", wait=False)
