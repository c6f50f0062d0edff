"""Plans: made of what is written and of what is in force now, pinned as plain data, and read again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import msgspec

from proxy.core.registry import BadOptionsError, UnknownKindError
from proxy.rollouts import steps as _steps  # noqa: F401 - registers them
from proxy.rollouts import strategies as _strategies  # noqa: F401 - registers them
from proxy.rollouts.judging import Judging
from proxy.rollouts.plan import Hooks, Plan
from proxy.rollouts.spec import RolloutSpec
from proxy.rollouts.step import STEPS, SetSplit, Step
from proxy.rollouts.steps.analyze import Analyze
from proxy.rollouts.steps.bake import Bake
from proxy.rollouts.steps.drain import Drain
from proxy.rollouts.steps.wave import Wave
from proxy.rollouts.strategies.rolling import Rolling
from proxy.rollouts.strategy import STRATEGIES

LIVE: Final = "live"
OTHER: Final = "other"

Written = Sequence[tuple[str, Mapping[str, Any]]]


def steps_of(written: Written, strategy: tuple[str, Mapping[str, Any]]) -> tuple[Step, ...]:
    """The steps, or what the strategy writes where there are none; ValueError where one cannot be."""
    try:
        if not written:
            return STRATEGIES.build(*strategy).steps()
        return tuple(STEPS.build(kind, options) for kind, options in written)
    except (UnknownKindError, BadOptionsError) as error:
        raise ValueError(str(error)) from error


def planned_steps(spec: RolloutSpec) -> tuple[Step, ...]:
    """The steps that are written, or what the strategy writes; ValueError where one cannot be."""
    return steps_of([(each.kind, each.options) for each in spec.steps], (spec.strategy.kind, spec.strategy.options))


def resolved(stable: str, candidate: str, pools: Sequence[str], shares: Mapping[str, float]) -> tuple[str, str]:
    """Which pools `live` and `other` are now; ValueError where that is not clear, or the two do not have all weight."""
    full = [name for name in pools if shares.get(name, 0.0) > 1 - 1e-9]
    if stable == LIVE:
        if not full:
            raise ValueError("no pool has all of the traffic, so none is `live`; name stable, or set the split first")
        stable = full[0]
    if candidate == OTHER:
        others = [name for name in pools if name != stable]
        if len(others) != 1:
            raise ValueError(f"`other` needs a service of two pools, and here is {', '.join(pools)}; name candidate")
        candidate = others[0]
    for name in (stable, candidate):
        if name not in pools:
            raise ValueError(f"there is no pool {name}; there is {', '.join(pools)}")
    if stable == candidate:
        raise ValueError(f"stable and candidate are both {stable}; name another candidate")
    together = shares.get(stable, 0.0) + shares.get(candidate, 0.0)
    if together < 1 - 1e-9 or not shares.get(stable):
        raise ValueError(
            f"{stable} and {candidate} must have all of the traffic and {stable} some of it; set the split first"
        )
    return stable, candidate


def unsafe(steps: Sequence[Step], *, is_rolling: bool = False) -> Iterator[tuple[int, str]]:
    """Steps that cannot come to anything where they stand, by position, with what is wrong."""
    share = 1.0 if is_rolling else 0.0
    for position, step in enumerate(steps):
        if isinstance(step, Wave) and not is_rolling:
            yield position, "waves are of one pool; write strategy: {rolling: …} and pool instead of steps"
        for act in step.begin():
            share = act.share if isinstance(act, SetSplit) else share
        share = getattr(step, "LEAVES", share)
        wrong = _out_of_place(step, share)
        if wrong:
            yield position, wrong


def _out_of_place(step: Step, share: float) -> str:
    """Why a step cannot come to anything at this share of the candidate's; empty where it can."""
    if isinstance(step, Bake) and step.until == "safe" and not 0 < share < 1:
        return "`until: safe` compares the two, so both need traffic; split between 0 and 100 % before it"
    if isinstance(step, Analyze) and not 0 < share < 1:
        return "analyze compares the two, so both need traffic; split between 0 and 100 % before it"
    if isinstance(step, Drain) and share < 1:
        return "stable still has traffic, so it cannot be drained; split 100% or flip before it"
    return ""


def made(
    identity: tuple[str, str, str, str], steps: tuple[Step, ...], judge: Mapping[str, Any], other: Mapping[str, Any]
) -> Plan:
    """A plan of its parts: (name, service, stable, candidate) and options as plain data; ValueError with a remedy."""
    wrong = next(unsafe(steps, is_rolling=identity[2] == identity[3]), None)
    if wrong is not None:
        raise ValueError(f"step {wrong[0]}: {wrong[1]}")
    name, service, stable, candidate = identity
    try:
        return Plan(
            name=name,
            service=service,
            stable=stable,
            candidate=candidate,
            steps=steps,
            judge=msgspec.convert(dict(judge), Judging),
            on_no_data=other["on_no_data"],
            gradual=other["gradual"],
            on_success=other["on_success"],
            hooks=msgspec.convert(dict(other["hooks"]), Hooks),
        )
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def rolling_problem(spec: RolloutSpec) -> tuple[str, str] | None:
    """The key that does not fit a rolling update, or only fits one, and what is wrong with it; None where all does."""
    if spec.pool is None:
        wrong = "a rolling update is of one pool; name it under pool"
        return ("strategy", wrong) if spec.strategy.kind == "rolling" and not spec.steps else None
    if spec.steps or spec.strategy.kind != "rolling":
        return "pool", "only a rolling update is of one pool; write strategy: {rolling: …}, or stable and candidate"
    if spec.stable != LIVE or spec.candidate != OTHER:
        return "pool", "a rolling update has one pool; leave out stable and candidate"
    if spec.gradual:
        return "on_abort", "a rolling update goes back endpoint by endpoint; leave gradual out"
    return None


def plan_of(spec: RolloutSpec, pools: Mapping[str, Sequence[str]], shares: Mapping[str, float]) -> Plan:
    """The plan of a rollout as things are now; ValueError where it cannot be started so.

    `pools` has the addresses of each pool's endpoints.
    """
    problem = rolling_problem(spec)
    if problem is not None:
        raise ValueError(problem[1])
    names = tuple(pools)
    if spec.pool is None:
        stable, candidate, steps = *resolved(spec.stable, spec.candidate, names, shares), planned_steps(spec)
    else:
        stable = candidate = spec.pool
        steps = _rolling_steps(spec, spec.pool, pools, shares)
    other = {name: getattr(spec, name) for name in ("on_no_data", "gradual", "on_success", "hooks")}
    return made((spec.name, spec.service, stable, candidate), steps, spec.judge, other)


def _rolling_steps(
    spec: RolloutSpec, pool: str, pools: Mapping[str, Sequence[str]], shares: Mapping[str, float]
) -> tuple[Step, ...]:
    _refuse_partial(pool, tuple(pools), shares)
    planned_steps(spec)  # for what is wrong with the options
    strategy = STRATEGIES.build(spec.strategy.kind, spec.strategy.options)
    return strategy.steps_for(pools[pool]) if isinstance(strategy, Rolling) else ()


def refuse_unfit(plan: Plan, pools: Sequence[str], shares: Mapping[str, float]) -> None:
    """ValueError where a pinned plan cannot be begun again as things are now."""
    if plan.is_rolling:
        _refuse_partial(plan.stable, pools, shares)
    else:
        resolved(plan.stable, plan.candidate, pools, shares)


def _refuse_partial(pool: str, pools: Sequence[str], shares: Mapping[str, float]) -> None:
    if pool not in pools:
        raise ValueError(f"there is no pool {pool}; there is {', '.join(pools)}")
    if shares.get(pool, 0.0) < 1 - 1e-9:
        raise ValueError(f"{pool} must have all of the traffic; set the split first")


def to_data(plan: Plan) -> dict[str, Any]:
    """The plan as plain data."""
    kinds = {cls: kind for kind, cls in STEPS}
    steps = [[kinds[type(step)], msgspec.to_builtins(step)] for step in plan.steps]
    return {
        **{name: getattr(plan, name) for name in ("name", "service", "stable", "candidate")},
        "steps": steps,
        "judge": msgspec.to_builtins(plan.judge),
        "other": {
            "on_no_data": plan.on_no_data,
            "gradual": plan.gradual,
            "on_success": plan.on_success,
            "hooks": asdict(plan.hooks),
        },
    }


def from_data(data: Mapping[str, Any]) -> Plan:
    """The plan of such data; ValueError where this version cannot make one."""
    try:
        identity = (data["name"], data["service"], data["stable"], data["candidate"])
        steps = steps_of([(kind, options) for kind, options in data["steps"]], ("canary", {})) if data["steps"] else ()
        return made(identity, steps, data["judge"], data["other"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"it was written by another version ({error})") from error


def without_steps(plan: Plan) -> Plan:
    """The same with nothing to do."""
    return replace(plan, steps=())
