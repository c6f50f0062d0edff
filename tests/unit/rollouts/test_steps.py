from typing import Any

import pytest

from proxy.rollouts import steps as _steps  # noqa: F401 - registers them
from proxy.rollouts.step import (
    STEPS,
    Abort,
    Answer,
    Job,
    MirrorTo,
    Moment,
    Next,
    Pause,
    Result,
    RouteTo,
    SetFlag,
    SetSplit,
    Stay,
)
from proxy.rollouts.verdict import NOTHING_YET, Verdict

SAFE = Verdict("safe", "fine")


def moment(**seen: Any) -> Moment:
    given: dict[str, Any] = {
        "elapsed": 0.0, "share": 0.1, "requests": 100, "min_requests": 100, "verdict": NOTHING_YET, **seen
    }  # fmt: skip
    return Moment(**given)


def result(**numbers: float) -> Result:
    return Result(ok=True, text="", numbers=numbers)


COPIES = {"requests": 100.0, "bad_requests": 1.0, "copies": 100.0, "bad_copies": 2.0}

NO_MORE = Next((MirrorTo(0.0),))
LOOKS: list[tuple[str, dict[str, Any], dict[str, Any], Answer | type]] = [
    ("split", {"to": 0.1}, {"share": 0.1}, Next()),
    ("split", {"to": 0.1}, {"share": 0.0}, Stay("the split is being set")),
    ("bake", {"time": 10.0}, {"elapsed": 9.9}, Stay("1s to go", 0.99)),
    ("bake", {"time": 10.0}, {"elapsed": 10.0}, Next()),
    ("bake", {"time": 10.0}, {"elapsed": 10.0, "requests": 99}, Stay),
    ("bake", {"time": 10.0}, {"elapsed": 10.0, "requests": 0, "share": 0.0}, Next()),
    ("bake", {"time": 10.0}, {"elapsed": 10.0, "requests": 9, "on_no_data": "pause"}, Pause),
    ("bake", {"time": 10.0}, {"elapsed": 10.0, "requests": 9, "on_no_data": "abort"}, Abort),
    ("bake", {"time": 10.0}, {"elapsed": 1.0, "verdict": SAFE}, Stay),
    ("bake", {"until": "safe", "at_most": 60.0}, {"elapsed": 1.0, "verdict": SAFE}, Next()),
    ("bake", {"until": "safe", "at_most": 60.0}, {"elapsed": 59.0}, Stay),
    ("bake", {"until": "safe", "at_most": 60.0}, {"elapsed": 60.0}, Pause("not known to be safe after 1m")),
    ("bake", {"until": "safe", "at_most": 60.0, "otherwise": "abort"}, {"elapsed": 60.0}, Abort),
    ("bake", {"until": "safe", "at_most": 60.0, "otherwise": "next"}, {"elapsed": 60.0}, Next()),
    ("bake", {"until": "safe", "at_most": 60.0, "otherwise": "next"}, {"elapsed": 60.0, "requests": 9}, Stay),
    ("analyze", {}, {"elapsed": 1e9}, Stay),
    ("analyze", {}, {"verdict": SAFE}, Next()),
    ("analyze", {"at_most": 60.0}, {"elapsed": 60.0}, Pause("no verdict after 1m")),
    ("approve", {}, {"elapsed": 1e9}, Stay("waits for a person to promote or abort")),
    ("approve", {"timeout": 60.0, "otherwise": "abort"}, {"elapsed": 60.0}, Abort("nobody has approved within 1m")),
    ("approve", {"timeout": 60.0, "otherwise": "next"}, {"elapsed": 60.0}, Next()),
    ("smoke", {}, {}, Stay("smoke tests run")),
    ("smoke", {}, {"results": {"smoke": Result(ok=True, text="")}}, Next()),
    ("smoke", {}, {"results": {"smoke": Result(ok=False, text="500")}}, Abort("smoke test: 500")),
    ("smoke", {"otherwise": "pause"}, {"results": {"smoke": Result(ok=False, text="500")}}, Pause),
    ("mirror", {"time": 10.0}, {}, Stay("the mirror is being set up")),
    ("mirror", {"time": 10.0}, {"results": {"before": result()}, "elapsed": 9.0}, Stay),
    ("mirror", {"time": 10.0}, {"results": {"before": result(), "after": result(**COPIES)}, "elapsed": 10.0}, NO_MORE),
    ("mirror", {"time": 10.0}, {"results": {"before": result(), "after": result()}, "elapsed": 10.0}, Pause),
    (
        "mirror",
        {"time": 10.0, "worse_by": 0.005},
        {"results": {"before": result(), "after": result(**COPIES)}, "elapsed": 10.0},
        Pause("2.00% of 100 copies failed, and 1.00% of the requests", (MirrorTo(0.0),), anew=True),
    ),
    (
        "mirror",
        {"time": 10.0, "worse_by": 0.005},
        {"results": {"before": result(**COPIES), "after": result(**COPIES)}, "elapsed": 10.0},
        Pause("nothing was copied", (MirrorTo(0.0),), anew=True),
    ),
    ("header", {"headers": {"x-a": "1"}}, {}, Next()),
    ("flag", {"key": "f", "percent": 0.5}, {"share": 0.0}, Next()),
    ("flip", {}, {"share": 1.0}, Next()),
    ("flip", {}, {"share": 0.0}, Stay),
    ("hook", {"url": "http://h"}, {}, Stay("waits for the hook")),
    ("hook", {"url": "http://h"}, {"results": {"hook": Result(ok=True, text="")}}, Next()),
    ("hook", {"url": "http://h"}, {"results": {"hook": Result(ok=False, text="409")}}, Pause),
    ("wait_traffic", {"requests": 10}, {"requests": 9}, Stay("9 of 10 requests", 0.9)),
    ("wait_traffic", {"requests": 10}, {"requests": 10}, Next()),
    ("wait_traffic", {"requests": 10, "at_most": 60.0}, {"requests": 9, "elapsed": 60.0}, Pause),
    ("holdback", {"time": 10.0}, {"share": 0.99, "elapsed": 9.0}, Stay),
    ("holdback", {"time": 10.0}, {"share": 0.99, "elapsed": 10.0}, Stay("the rest follows", 1.0, (SetSplit(1.0),))),
    ("holdback", {"time": 10.0}, {"share": 1.0, "elapsed": 10.0}, Next()),
    ("drain", {}, {"share": 1.0}, Stay),
    ("drain", {}, {"share": 0.9}, Pause),
    ("drain", {}, {"share": 1.0, "results": {"drain": Result(ok=True, text="")}}, Next()),
]


@pytest.mark.parametrize(("kind", "options", "seen", "answer"), LOOKS)
def test_what_a_step_answers(kind: str, options: dict[str, Any], seen: dict[str, Any], answer: Answer | type) -> None:
    found = STEPS.build(kind, options).look(moment(**seen))
    assert isinstance(found, answer) if isinstance(answer, type) else found == answer


BEGINNINGS: list[tuple[str, dict[str, Any], object]] = [
    ("split", {"to": 0.1}, (SetSplit(0.1),)),
    ("flip", {}, (SetSplit(1.0, move=True),)),
    ("holdback", {"time": 1.0, "share": 0.25}, (SetSplit(0.75),)),
    ("header", {"cookies": {"beta": "1"}}, (RouteTo("header", {"cookies": {"beta": "1"}}),)),
    ("header", {}, (RouteTo("header", {}),)),
    ("header", {"flags": {"f": "on"}}, (RouteTo("header", {"flags": {"f": "on"}}),)),
    ("flag", {"key": "f", "percent": 0.29}, (SetFlag("f", 29.0),)),  # not 28.999999999999996
    ("flag", {"key": "f", "percent": 0.0, "to": "b"}, (SetFlag("f", 0.0, "b"),)),
    ("mirror", {"time": 1.0, "share": 0.5}, (Job("before", "mirrored", {}), MirrorTo(0.5))),
    ("drain", {"deadline": 5.0}, (Job("drain", "drain", {"deadline": 5.0}),)),
    ("bake", {"time": 1.0}, ()),
    ("approve", {}, ()),
]


@pytest.mark.parametrize(("kind", "options", "acts"), BEGINNINGS)
def test_what_a_step_begins_with(kind: str, options: dict[str, Any], acts: object) -> None:
    assert STEPS.build(kind, options).begin() == acts


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("bake", {}, "bake takes a time or `until: safe`"),
    ("bake", {"time": 1.0, "until": "safe"}, "bake takes a time or `until: safe`"),
    ("wait_traffic", {"requests": 0}, "at least 1 request"),
    ("holdback", {"time": 1.0, "share": 0.0}, "nothing to compare with"),
    ("hook", {"url": "ftp://h"}, "a hook is a URL"),
    ("hook", {"url": "http://h", "retries": 7}, "0 to 6 times"),
    ("smoke", {"path": "healthz"}, "begins with a slash"),
    ("smoke", {"method": "get"}, "is not a method"),
    ("smoke", {"count": 0}, "count is 1 to 1000"),
    ("smoke", {"status": 99}, "status is from 100"),
    ("smoke", {"body": "(a+)+"}, "may take for ever"),
]


@pytest.mark.parametrize(("kind", "options", "message"), REFUSED)
def test_options_that_cannot_work_are_refused(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        STEPS.build(kind, options)


def test_every_step_describes_itself() -> None:
    needed: dict[str, dict[str, Any]] = {
        "split": {"to": 0.1}, "bake": {"time": 1.0}, "mirror": {"time": 1.0}, "hook": {"url": "http://h"},
        "wait_traffic": {"requests": 1}, "holdback": {"time": 1.0}, "wave": {"endpoints": ["a"], "update": {"hook": "http://h"}},
        "flag": {"key": "f", "percent": 0.1},
    }  # fmt: skip
    for kind, _ in STEPS:
        step = STEPS.build(kind, needed.get(kind, {}))
        assert step.describe()
        assert step.at_most_seconds() is None or step.at_most_seconds() >= 0  # type: ignore[operator]
