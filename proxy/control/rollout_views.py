"""What is shown of a rollout: plain values that the admin API encodes, and its schema is made of."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from proxy.rollouts.plan import Plan
from proxy.rollouts.run import Line, Run
from proxy.rollouts.states import State
from proxy.rollouts.step import STEPS
from proxy.rollouts.verdict import Verdict


class StepView(Struct, frozen=True):
    """One step: what it is, in words, and how many seconds it takes at most; null where that is not known."""

    kind: str
    text: str
    at_most: float | None


class PlanView(Struct, frozen=True):
    """What a rollout is to do."""

    name: str
    service: str
    stable: str
    candidate: str
    steps: tuple[StepView, ...]


class RolloutView(Struct, frozen=True):
    """A rollout. `step` counts from 0; `doing` is what it waits for, `done` how far that is, 0 to 1.

    `split` is what the service has now, in per cent; `started` and `ended` are wall time. `alarm` says if traffic is
    not divided as it should be.
    """

    name: str
    service: str
    state: State
    reason: str
    step: int
    steps: tuple[StepView, ...]
    split: dict[str, float]
    verdict: Verdict
    started: float | None
    log: tuple[Line, ...]
    stable: str = ""
    candidate: str = ""
    number: int = 0
    doing: str = ""
    done: float | None = None
    in_step: float = 0.0
    ended: float | None = None
    alarm: str | None = None
    problem: str | None = None


def plan_view(plan: Plan) -> PlanView:
    """A plan, in words."""
    return PlanView(plan.name, plan.service, plan.stable, plan.candidate, step_views(plan))


def discreet_plan(view: PlanView, discreet: Callable[[str], str]) -> PlanView:
    """The same, without what is secret in its words."""
    return replace(view, steps=_discreet_steps(view.steps, discreet))


def discreet_rollout(view: RolloutView, discreet: Callable[[str], str]) -> RolloutView:
    """The same, without what is secret in its words."""
    return replace(
        view,
        reason=discreet(view.reason),
        doing=discreet(view.doing),
        steps=_discreet_steps(view.steps, discreet),
        log=tuple(replace(line, text=discreet(line.text)) for line in view.log),
        problem=None if view.problem is None else discreet(view.problem),
    )


def _discreet_steps(steps: tuple[StepView, ...], discreet: Callable[[str], str]) -> tuple[StepView, ...]:
    return tuple(replace(each, text=discreet(each.text)) for each in steps)


def step_views(plan: Plan) -> tuple[StepView, ...]:
    """Its steps, in words."""
    kinds: dict[type[Any], str] = {cls: kind for kind, cls in STEPS}
    return tuple(StepView(kinds[type(each)], each.describe(), each.at_most_seconds()) for each in plan.steps)


def rollout_view(run: Run, plan: Plan, split: dict[str, float], alarm: str | None = None) -> RolloutView:
    """A run of a plan."""
    return RolloutView(
        name=run.name,
        service=plan.service,
        state=run.state,
        reason=run.reason,
        step=min(run.step, max(len(plan.steps) - 1, 0)),
        steps=step_views(plan),
        split=split,
        verdict=run.verdict,
        started=run.started,
        log=run.log,
        stable=plan.stable,
        candidate=plan.candidate,
        number=run.number,
        doing=run.doing,
        done=run.done,
        in_step=run.in_step,
        ended=run.ended,
        alarm=alarm,
    )
