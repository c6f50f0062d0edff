"""What the conductor leaves for the next controller, and rollouts made of it again."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from proxy.control.state import HeldFlag
from proxy.rollouts.analysis import Judge
from proxy.rollouts.evidence import Evidence
from proxy.rollouts.gathering import Gathered
from proxy.rollouts.plan import Plan
from proxy.rollouts.planning import from_data, to_data
from proxy.rollouts.run import Run, halted
from proxy.rollouts.spec import RolloutSpec
from proxy.rollouts.states import ACTIVE
from proxy.rollouts.verdict import Verdict


class Kept(msgspec.Struct, frozen=True):
    """One rollout as the next controller finds it."""

    run: Run
    spec: RolloutSpec
    service: str
    stable: str
    candidate: str
    plan: Any
    seen: bytes
    flags: dict[str, HeldFlag] = {}


@dataclass(slots=True, eq=False)
class Live:
    """One rollout that was started once, with what only this controller has of it.

    `data` is the pinned plan as plain data; `broken` says why this version cannot go on with it, if so. `before` is
    what is shown while a new state is being brought into force. `judged` is the last verdict, and what it was of.
    `flags` are those that it has set, once it has let go of its service.
    """

    run: Run
    spec: RolloutSpec
    plan: Plan
    judge: Judge
    seen: Gathered
    data: Mapping[str, Any] = field(default_factory=dict)
    broken: str = ""
    tasks: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    looked_at: float | None = None
    kept_at: float = 0.0
    checked_at: float = float("-inf")
    before: Run | None = None
    judged: tuple[Evidence, int, Verdict] | None = None
    flags: dict[str, HeldFlag] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        """Does it still have its service?"""
        return self.run.state in ACTIVE


def new_live(run: Run, spec: RolloutSpec, plan: Plan, seen: Gathered) -> Live:
    """A rollout that has just begun."""
    return Live(run, spec, plan, Judge(plan.judge, *plan.sides), seen, to_data(plan))


def encoded(lives: Iterable[Live], added: Iterable[RolloutSpec]) -> bytes:
    """All of it; evidence only of what is under way."""
    kept = [
        Kept(
            live.run,
            live.spec,
            live.plan.service,
            live.plan.stable,
            live.plan.candidate,
            live.data,
            live.seen.encode() if live.is_active else b"",
            live.flags,
        )
        for live in lives
    ]
    return msgspec.msgpack.encode((kept, tuple(added)))


def decoded(data: bytes) -> tuple[list[Kept], tuple[RolloutSpec, ...]]:
    """What `encoded` made; msgspec.DecodeError for anything else."""
    return msgspec.msgpack.decode(data, type=tuple[list[Kept], tuple[RolloutSpec, ...]])


def revived(kept: Kept, wall: float) -> Live:
    """A rollout that an earlier controller has left. One whose plan cannot be made again is paused, and says why."""
    run = msgspec.structs.replace(kept.run, begun=False, performed=())
    why = ""
    try:
        plan = from_data(kept.plan)
    except ValueError as error:
        why = f"its plan cannot be gone on with: {error}"
        plan = Plan(name=run.name, service=kept.service, stable=kept.stable, candidate=kept.candidate, steps=())
    seen = Gathered("", plan, is_sticky=False, since=0.0)
    if kept.seen:
        with suppress(msgspec.DecodeError, ValueError):
            seen = Gathered.decode(kept.seen, plan)
    if run.state in ACTIVE and not seen.name and not why:
        why = "what it had seen so far cannot be read; resume counts anew"
        seen = Gathered(f"{run.name}#{run.number}@{wall:.3f}", plan, is_sticky=False, since=wall)
        run = msgspec.structs.replace(run, asked=None)
    if why and run.state == "running":
        run = halted(run, why, wall)
    judge = Judge(plan.judge, *plan.sides)
    broken = why if not plan.steps else ""
    return Live(run, kept.spec, plan, judge, seen, kept.plan, broken, flags=kept.flags)
