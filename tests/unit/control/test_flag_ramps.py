"""Flags that a rollout ramps: what becomes of them in every state, and that no kill is ever lifted."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from proxy.config.posted import posted_rollout
from proxy.control.refusal import Refusal
from proxy.flags.spec import FlagOverride
from tests.unit.control.stage import WHO, Theatre, document

Begun = Callable[..., Awaitable[Theatre]]

FLAGS = "flag_rules:\n  f: {on_for: {percent: 5}, otherwise: off}\n  g: {on_for: {percent: 5}, otherwise: off}\n"
EDITED = FLAGS.replace("f: {on_for: {percent: 5}", "f: {on_for: {percent: 7}")
STEPS = "[{flag: {key: f, percent: 25%}}, {bake: 1h}, {flag: {key: f, percent: 100%}}]"
ROLLOUT = "  r: {service: shop, candidate: canary, steps: %s%s}\n"
KILL = FlagOverride(killed=True)
HALF = FlagOverride(percent=50.0)


@pytest.fixture
async def theatre() -> AsyncIterator[Begun]:
    """A factory: await theatre(steps, …); with before=… the next controller after that one."""
    open_ones: list[Theatre] = []

    async def begin(
        steps: str = STEPS, options: str = "", top: str = FLAGS, before: Theatre | None = None, split: str = ""
    ) -> Theatre:
        if before is not None:
            await before.end()
        of = {"split": split} if split else {}
        found = Theatre(document(ROLLOUT % (steps, options), top=top, **of), before)
        open_ones.append(found)
        await found.begin()
        return found

    yield begin
    for each in open_ones:
        await each.end()


def said(found: Theatre, key: str = "f") -> Any:
    """What is wanted of a flag: its percentage, "killed", or None for what its definition says."""
    kept = found.control.state.flags.get(key)
    if kept is None:
        return None
    return "killed" if kept.value.killed else kept.value.percent


def state(found: Theatre) -> tuple[str, str]:
    view = found.conductor.book.view("r")
    return view.state, view.reason


async def ramped(theatre: Begun, **of: Any) -> Theatre:
    """A rollout in its bake, with the flag at 25 %."""
    found = await theatre(**of)
    await found.conductor.start("r", WHO)
    await found.looks()
    assert (found.conductor.book.view("r").step, said(found)) == (1, 25.0)
    return found


async def signal(found: Theatre, *verbs: Any) -> None:
    for verb in verbs:
        await found.conductor.signal("r", verb, WHO)
        await found.looks()


def flags_told(found: Theatre) -> list[tuple[str, Any, Any]]:
    return [(each.by, each.before, each.after) for each in found.kept.journal if each.kind == "rollout_flag"]


async def test_ramp_goes_up_by_steps_and_stays_on_success(theatre: Begun) -> None:
    found = await ramped(theatre)
    await found.go_by(3601)
    assert (state(found)[0], said(found)) == ("succeeded", 100.0)
    assert flags_told(found) == [
        ("rollout r", "as defined", "25 %"),
        ("rollout r", "25 %", "100 %"),
    ]
    assert any(line.text == "flag f: 100 %" for line in found.conductor.book.view("r").log)


@pytest.mark.parametrize(
    ("verbs", "left"),
    [
        (("abort",), None),
        (("pause", "abort"), None),
        (("promote",), 100.0),
        (("promote", "undo"), None),
        (("promote_full",), 100.0),
        (("promote_full", "abort"), None),
        (("abort", "retry"), 25.0),
        (("abort", "retry", "abort"), None),
        (("pause", "resume"), 25.0),
        (("pause", "promote"), 100.0),
    ],
)
@pytest.mark.parametrize("before", [None, 10.0])
async def test_verbs_leave_the_flag_as_they_should(
    theatre: Begun, verbs: tuple[Any, ...], left: float | None, before: float | None
) -> None:
    found = await theatre()
    if before is not None:
        await found.control.override_flag("f", FlagOverride(percent=before), WHO, "flag_overridden")
    await found.conductor.start("r", WHO)
    await found.looks()
    await signal(found, *verbs)
    assert said(found) == (before if left is None else left)


async def test_abort_says_in_log_and_journal_that_the_flag_went_back(theatre: Begun) -> None:
    found = await ramped(theatre)
    await signal(found, "abort")
    assert flags_told(found)[-1] == ("alice", "25 %", "as defined")
    assert any(line.text == "flag f: as defined" for line in found.conductor.book.view("r").log)


async def test_harm_takes_the_flag_back_with_the_split(theatre: Begun) -> None:
    found = await theatre("[{split: 10%}, {flag: {key: f, percent: 25%}}, {bake: 1h}]")
    await found.conductor.start("r", WHO)
    await found.looks()
    assert (said(found), found.split()) == (25.0, {"blue": 90, "canary": 10})
    found.traffic((400, 400), (4000, 0))
    await found.looks()
    assert (state(found)[0], said(found), found.split()) == ("aborted", None, {"blue": 100})


# -- by hand, killed, edited


async def test_flag_set_by_hand_pauses_and_resume_takes_it_again(theatre: Begun) -> None:
    found = await ramped(theatre)
    await found.control.override_flag("f", HALF, WHO, "flag_overridden")
    await found.looks()
    assert (state(found), said(found)) == (("paused", "flag f was changed by hand"), 50.0)
    await signal(found, "resume")
    assert (state(found), said(found)) == (("running", ""), 25.0)


async def test_flag_cleared_by_hand_pauses_and_abort_leaves_it(theatre: Begun) -> None:
    found = await ramped(theatre)
    await found.control.override_flag("f", None, WHO, "flag_cleared")
    await found.looks()
    assert state(found) == ("paused", "flag f was changed by hand")
    await signal(found, "abort")
    assert said(found) is None


@pytest.mark.parametrize("verb", ["resume", "promote", "promote_full", "abort"])
async def test_kill_pauses_and_no_verb_lifts_it(theatre: Begun, verb: Any) -> None:
    found = await ramped(theatre)
    await found.control.override_flag("f", KILL, WHO, "flag_killed")
    await found.looks()
    assert state(found) == ("paused", "flag f was killed")
    await signal(found, verb)
    assert said(found) == "killed"
    if verb in ("resume", "promote"):
        assert state(found) == ("paused", "flag f is killed, which no rollout lifts; clear it, then resume")
        await found.control.override_flag("f", None, WHO, "flag_cleared")
        await signal(found, "resume")
        assert said(found) in (25.0, 100.0)


async def test_undo_lifts_no_kill(theatre: Begun) -> None:
    found = await ramped(theatre)
    await signal(found, "promote")
    assert state(found)[0] == "succeeded"
    await found.control.override_flag("f", KILL, WHO, "flag_killed")
    await signal(found, "undo")
    assert (state(found)[0], said(found)) == ("aborted", "killed")


async def test_flag_killed_before_is_not_ramped(theatre: Begun) -> None:
    found = await theatre()
    await found.control.override_flag("f", KILL, WHO, "flag_killed")
    await found.conductor.start("r", WHO)
    await found.looks()
    assert state(found) == ("paused", "flag f is killed, which no rollout lifts; clear it, then resume")
    await signal(found, "abort")
    assert said(found) == "killed"


@pytest.mark.parametrize(("verbs", "left"), [(("abort",), None), (("resume",), 25.0), (("resume", "abort"), None)])
async def test_edit_of_the_flag_pauses_and_stands_on_abort(
    theatre: Begun, verbs: tuple[Any, ...], left: float | None
) -> None:
    found = await theatre()
    await found.control.override_flag("f", FlagOverride(percent=10.0), WHO, "flag_overridden")
    await found.conductor.start("r", WHO)
    await found.looks()
    await found.control.take_file(document(ROLLOUT % (STEPS, ""), top=EDITED))
    await found.looks()
    view = found.conductor.book.view("r")
    assert (view.state, "flag f was edited in the file; that stands when" in view.reason) == ("paused", True)
    assert said(found) == 25.0
    await signal(found, *verbs)
    assert said(found) == left  # not the 10 % from before, which were of another definition


async def test_edit_of_another_flag_changes_nothing(theatre: Begun) -> None:
    found = await ramped(theatre)
    other = FLAGS.replace("g: {on_for: {percent: 5}", "g: {on_for: {percent: 7}")
    await found.control.take_file(document(ROLLOUT % (STEPS, ""), top=other))
    await found.looks()
    assert (state(found)[0], said(found)) == ("running", 25.0)


@pytest.mark.parametrize(
    ("top", "why"),
    [
        ("flag_rules:\n  g: {on_for: {percent: 5}, otherwise: off}\n", "flag f: it is gone, but rollout r needs it"),
        (
            FLAGS.replace("f: {on_for: {percent: 5}, otherwise: off}", "f: {on_for: {percent: 5}, otherwise: on}"),
            "no single `fractional`",
        ),
    ],
)
async def test_reload_that_takes_the_flag_away_is_rejected(theatre: Begun, top: str, why: str) -> None:
    found = await ramped(theatre)
    with pytest.raises(Refusal) as refused:
        await found.control.take_file(document("  o: {service: shop, candidate: canary, steps: [flip]}\n", top=top))
    assert why in refused.value.problems[0]
    assert (state(found)[0], said(found)) == ("running", 25.0)


# -- other rollouts, other controllers


async def test_unknown_flag_refuses_the_start_of_a_posted_one(theatre: Begun) -> None:
    found = await theatre()
    body = {"name": "p", "service": "shop", "steps": [{"flag": {"key": "h", "percent": "5%"}}]}
    spec, problems = posted_rollout(body)
    assert spec is not None, problems
    with pytest.raises(Refusal, match="step 0: there is no flag 'h'"):
        await found.conductor.add(spec, WHO)


async def test_next_controller_goes_on_and_still_knows_what_was_before(theatre: Begun) -> None:
    first = await theatre()
    await first.control.override_flag("f", FlagOverride(percent=10.0), WHO, "flag_overridden")
    await first.conductor.start("r", WHO)
    await first.looks()
    second = await theatre(before=first)
    await second.looks()
    assert (state(second)[0], said(second)) == ("running", 25.0)
    await signal(second, "promote")
    assert (state(second)[0], said(second)) == ("succeeded", 100.0)
    third = await theatre(before=second)
    await signal(third, "undo")
    assert said(third) == 10.0


async def test_controller_killed_between_an_abort_and_its_flag_takes_it_back(theatre: Begun) -> None:
    first = await ramped(theatre)
    first.workers.refuses = ("no",)
    await signal(first, "abort")
    assert (state(first)[0], said(first)) == ("aborted", 25.0)
    second = await theatre(before=first)
    await second.looks()
    assert (state(second)[0], said(second)) == ("aborted", None)
