"""A run: one execution of a plan, as a value; what signals and looks make of it. Pure: the conductor acts on it.

`signalled` is what people say, `look` is what happens by itself: harm found, a step ended, the next begun.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from proxy.rollouts.plan import Plan
from proxy.rollouts.states import Event, State, Verb, after
from proxy.rollouts.step import Abort, Act, Job, Moment, Next, Pause, Result, SetSplit, Stay
from proxy.rollouts.verdict import NOTHING_YET, Verdict

MOST_LINES: Final = 200
DEAD_AFTER: Final = 30.0
"""Seconds without a usable endpoint after which a candidate is given up."""
_PIECES: Final = 20  # of a gradual abort

Phase: TypeAlias = Literal["before", "step", "after"]


class Line(Struct, frozen=True):
    """One line of a run's log; `at` is wall time."""

    at: float
    text: str


class Run(Struct, frozen=True, kw_only=True):
    """Where a rollout is. `number` counts its runs, `step` its steps from 0.

    `phase` is before the first step, in a step, or after it (for hooks). `share` is the candidate's as we set it last,
    in the split's `epoch` of this run, which began in step `stage`. `in_step` is seconds without pauses, `asked` how
    many requests the candidate had been judged by when the step began. `performed` are the step's acts so far,
    `results` what came of its jobs. `doing` tells what it waits for, `done` how far it is. `harmed` once harm was
    found: it stays. `waived` once a person went past what only pauses. `before` is the split when it began.
    `told` are the verdicts that were told of, `alarm` says that traffic is not divided as it should be.
    `divided_by` says by what requests are given out, as evidence of one kind is not of the other; None is not known.
    `persists` while its split is still to be written into the file.
    """

    name: str
    number: int = 0
    state: State = "pending"
    reason: str = ""
    phase: Phase = "before"
    step: int = 0
    stage: int = 0
    epoch: int = 0
    share: float = 0.0
    in_step: float = 0.0
    asked: int | None = None
    begun: bool = False
    waived: bool = False
    told: tuple[str, ...] = ()
    alarm: str = ""
    harmed: bool = False
    dead_for: float = 0.0
    taking_back: float = 0.0
    taken_from: float = 0.0
    performed: tuple[str, ...] = ()
    results: dict[str, Result] = {}
    doing: str = ""
    done: float | None = None
    verdict: Verdict = NOTHING_YET
    started: float | None = None
    ended: float | None = None
    before: dict[str, float] = {}
    log: tuple[Line, ...] = ()
    divided_by: str | None = None
    persists: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of the world at one look. `passed` is seconds since the last one, `wall` the time of day.

    `requests` are those that the candidate was judged by in the whole run. `foreign` says why the split is no longer
    what the run has set, if so.
    """

    passed: float
    wall: float
    verdict: Verdict = NOTHING_YET
    requests: int = 0
    foreign: str = ""
    candidate_is_down: bool = False
    stable_is_down: bool = False


def started(name: str, number: int, before: dict[str, float], wall: float) -> Run:
    """A new run."""
    run = Run(name=name, number=number, before=before, started=wall)
    return _to(run, "start", "", wall)


def signalled(run: Run, verb: Verb, reason: str, wall: float) -> Run:
    """What a person's word makes of it; NotNowError where it is out of place."""
    run = _to(run, verb, reason, wall)
    if verb in ("resume", "promote"):
        kept = {name: result for name, result in run.results.items() if result.ok}
        run = replace(run, waived=run.waived or run.verdict.only_pauses, results=kept, performed=(), begun=False)
    if verb == "promote":
        run = _past(run)
    return run


def look(run: Run, plan: Plan, sight: Sight) -> tuple[Run, tuple[Act, ...]]:
    """What is to become of it now, and what is to be done for that."""
    if run.state == "aborting":
        return _taking_back(run, plan, sight)
    if run.state not in ("running", "paused"):
        return run, ()
    run = replace(run, verdict=_pinned(run, sight.verdict), harmed=run.harmed or _is_harm(sight.verdict))
    run = _dead(run, sight)
    stopped = _stopped(run, plan, sight)
    if stopped is not None:
        return stopped, ()
    if run.state == "paused":
        return run, ()
    run = replace(run, in_step=run.in_step + sight.passed)
    return _stepped(run, plan, sight)


def with_result(run: Run, name: str, result: Result) -> Run:
    """A job has ended."""
    return replace(run, results={**run.results, name: result})


def halted(run: Run, reason: str, wall: float) -> Run:
    """Paused by ourselves."""
    return _to(run, "halt", reason, wall)


def given_up(run: Run, wall: float) -> Run:
    """Its traffic does not go back piece by piece, so it goes back at once."""
    return _to(run, "fail_at_once", run.reason, wall)


def ended(run: Run, wall: float) -> Run:
    """It has come to its end, and what it had set up is put away."""
    return replace(run, ended=wall, doing="", done=None)


def noted(run: Run, text: str, wall: float) -> Run:
    """With one more line in its log."""
    return replace(run, log=(*run.log[-MOST_LINES + 1 :], Line(wall, text)))


# -- what stops it


def _is_harm(verdict: Verdict) -> bool:
    return verdict.kind == "harm" and not verdict.only_pauses


def _pinned(run: Run, verdict: Verdict) -> Verdict:
    """Harm that was found once stays."""
    return run.verdict if run.harmed else verdict


def _stopped(run: Run, plan: Plan, sight: Sight) -> Run | None:
    """The run as something stops it; None where nothing does."""
    to = partial(_to, wall=sight.wall)
    if run.harmed:
        if sight.stable_is_down:
            return to(run, "halt", "stable_down") if run.reason != "stable_down" else None
        return _taken_back(run, plan, sight, run.verdict.sentence, at_once=run.verdict.at_once)
    if run.dead_for >= DEAD_AFTER:
        if sight.stable_is_down:
            return to(run, "halt", "stable_down") if run.reason != "stable_down" else None
        return to(run, "fail_at_once", f"{plan.sides[1]} has had no usable endpoint for {DEAD_AFTER:.0f} s")
    if run.state == "paused":
        return None
    if sight.foreign:
        return to(run, "halt", sight.foreign)
    if run.verdict.only_pauses and not run.waived:
        return to(run, "halt", run.verdict.sentence)
    return None


def _taken_back(run: Run, plan: Plan, sight: Sight, reason: str, *, at_once: bool) -> Run:
    """The run as its traffic is taken back by ourselves: as `on_abort` wants it, unless that cannot wait."""
    gradually = plan.gradual and run.share and not at_once and not sight.foreign
    event: Event = "fail" if gradually else "fail_at_once"
    return replace(_to(run, event, reason, sight.wall), taken_from=run.share, taking_back=0.0)


def _dead(run: Run, sight: Sight) -> Run:
    """Count how long the candidate has had nothing usable while it should take traffic."""
    is_dead = sight.candidate_is_down and run.share > 0
    return replace(run, dead_for=run.dead_for + sight.passed if is_dead else 0.0)


def _taking_back(run: Run, plan: Plan, sight: Sight) -> tuple[Run, tuple[Act, ...]]:
    """The traffic goes back piece by piece; faster is abort."""
    run = replace(run, taking_back=run.taking_back + sight.passed)
    if sight.stable_is_down and not sight.candidate_is_down:
        return replace(run, taking_back=run.taking_back - sight.passed), ()  # not to where nobody answers
    if sight.foreign or sight.candidate_is_down or run.taking_back >= plan.gradual:
        return _to(run, "taken_back", run.reason, sight.wall), ()
    left = 1 - int(run.taking_back / plan.gradual * _PIECES) / _PIECES
    share = run.taken_from * left
    return run, (SetSplit(share),) if share != run.share else ()


# -- what carries it on


def _stepped(run: Run, plan: Plan, sight: Sight) -> tuple[Run, tuple[Act, ...]]:
    if run.phase != "step":
        return _between(run, plan, sight)
    if run.step >= len(plan.steps):
        return _to(run, "end", "", sight.wall), ()
    step = plan.steps[run.step]
    if not run.begun:
        asked = sight.requests if run.asked is None else run.asked
        run = replace(run, begun=True, asked=asked, doing=step.describe())
        acts = step.begin()
        if acts:
            return _performing(run, acts)
    moment = Moment(
        elapsed=run.in_step,
        share=run.share,
        requests=sight.requests - (run.asked or 0),
        min_requests=plan.judge.min_requests,
        verdict=run.verdict,
        on_no_data=plan.on_no_data,
        results=run.results,
    )
    match step.look(moment):
        case Next(acts):
            return _finished(run, plan, sight), acts
        case Pause(reason, acts, anew):
            run = replace(run, in_step=0.0, results={} if anew else run.results)
            return _to(run, "halt", reason, sight.wall), acts
        case Abort(reason):
            if sight.stable_is_down and run.share and not plan.is_rolling:
                return _to(noted(run, reason, sight.wall), "halt", "stable_down", sight.wall), ()
            return _taken_back(run, plan, sight, reason, at_once=False), ()
        case Stay(text, done, acts):
            return _performing(replace(run, doing=text, done=done), acts)


def _performing(run: Run, acts: tuple[Act, ...]) -> tuple[Run, tuple[Act, ...]]:
    """With the acts that are new, but for jobs that have a result."""
    new = tuple(
        act for act in acts if repr(act) not in run.performed and not (isinstance(act, Job) and act.name in run.results)
    )
    return replace(run, performed=(*run.performed, *map(repr, new))), new


def _between(run: Run, plan: Plan, sight: Sight) -> tuple[Run, tuple[Act, ...]]:
    """Before the first step and after each a hook may have to agree."""
    url = plan.hooks.before if run.phase == "before" else plan.hooks.after_step
    if url is None:
        return _past(run), ()
    name = f"{run.phase} {run.step}"
    result = run.results.get(name)
    if result is None:
        return _performing(replace(run, doing=f"the hook {run.phase}"), (Job(name, "hook", {"url": url}),))
    if not result.ok:
        return _to(run, "halt", f"the hook {run.phase} does not agree: {result.text}", sight.wall), ()
    return _past(run), ()


def _finished(run: Run, plan: Plan, sight: Sight) -> Run:
    run = noted(run, f"step {run.step} done: {plan.steps[run.step].describe()}", sight.wall)
    return replace(_blank(run), phase="after")


def _past(run: Run) -> Run:
    """On to the next step, or to the first."""
    run = _blank(run)
    return replace(run, phase="step", step=run.step if run.phase == "before" else run.step + 1)


def _blank(run: Run) -> Run:
    run = replace(run, in_step=0.0, asked=None, begun=False, performed=(), results={})
    return replace(run, doing="", done=None, dead_for=0.0)


def _to(run: Run, signal: Verb | Event, reason: str, wall: float) -> Run:
    state = after(run.state, signal)
    said = f"{signal.replace('_', ' ')}{f': {reason}' if reason else ''}"
    paused = state in ("paused", "aborting", "aborted")
    return noted(replace(run, state=state, reason=reason if paused else ""), said, wall)
