"""One look at a rollout: what it sees of the world, what is made of that, and what is said of it."""

import logging
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from proxy.control.cohorts import counts_by_users, divided_by, sides_down
from proxy.control.refusal import Refusal
from proxy.control.rollout_ends import Ends
from proxy.control.rollout_keeping import Live
from proxy.control.rollout_stage import Stage
from proxy.control.rollout_steering import Wheel
from proxy.control.rollout_tasks import Tasks
from proxy.flags.spec import FlagOverride
from proxy.rollouts.analysis import Judge
from proxy.rollouts.gathering import Gathered
from proxy.rollouts.run import Sight, given_up, halted, look, noted
from proxy.rollouts.step import Act, Job, MirrorTo, RouteTo, SetFlag, SetSplit

log = logging.getLogger("sluice")

KEEP: Final = 1.0
"""Seconds after which what was seen is kept at the latest."""
_MOST_TURNS: Final = 100  # of one look: a plan of instant steps goes through at once, and no plan for ever


class Looking:
    """Looks at rollouts. `keep` keeps everything for the next controller."""

    def __init__(self, stage: Stage, wheel: Wheel, tasks: Tasks, ends: Ends, keep: Callable[[], None]) -> None:
        self._stage = stage
        self._control = stage.control
        self._wheel = wheel
        self._tasks = tasks
        self._ends = ends
        self._telling = wheel.telling
        self._keep = keep

    async def look(self, live: Live) -> None:
        """One look at a rollout under way, with all that follows from it."""
        now = self._stage.clock.monotonic()
        passed = 0.0 if live.looked_at is None else now - live.looked_at
        live.looked_at = now
        changed = await self._recounted(live)
        began = live.run
        for _ in range(_MOST_TURNS):
            was = live.run
            live.run, acts = look(was, live.plan, self._sight(live, passed))
            passed = 0.0
            for act in acts:
                await self._perform(live, act)
            moved = (was.state, was.step, was.phase) != (live.run.state, live.run.step, live.run.phase)
            changed = changed or moved or bool(acts)
            if was.state != live.run.state:
                live.before = was
                try:
                    await self._ends.settle(live, was, self._telling.name(live), live.run.state)
                finally:
                    live.before = None
            if not moved and not acts:
                break
        self._report(live, began.step)
        if changed or now - live.kept_at >= KEEP:
            live.kept_at = now
            self._keep()

    def _report(self, live: Live, step: int) -> None:
        """Say once what is new: a step, a verdict, traffic that is not divided as it should be."""
        run = live.run
        if run.step > step and run.state == "running":
            self._telling.note(live, "step", f"step {run.step} of {len(live.plan.steps)} done")
        kind = run.verdict.kind
        key = kind if run.harmed else f"{run.stage} {kind} {run.verdict.only_pauses}"  # harm is pinned: told once
        if kind != "not_yet" and key not in run.told:
            live.run = noted(replace(run, told=(*run.told, key)), run.verdict.sentence, self._stage.clock.wall())
            self._telling.note(live, "verdict", f"{kind}: {run.verdict.sentence}")
        now = self._stage.clock.monotonic()
        if now < live.checked_at + KEEP:
            return
        live.checked_at = now
        alarm = live.judge.alarm(live.seen.evidence(now))
        if alarm is None:
            return
        if not run.alarm:
            log.warning("rollout %s: %s", run.name, alarm)
            self._telling.note(live, "alarm", alarm)
        live.run = replace(live.run, alarm=alarm)

    async def _recounted(self, live: Live) -> bool:
        """Where users are told apart otherwise than before, evidence is of another kind: it is counted anew, and waits.

        It is judged on from here, paused or not: what harms is taken back meanwhile, too.
        """
        plan, run = live.plan, live.run
        if run.state not in ("running", "paused") or live.broken or self._wheel.is_gone(live):
            return False
        service = self._control.service(plan.service)
        now, by_users = divided_by(service, plan), counts_by_users(service, plan)
        if run.divided_by in (None, now) and live.seen.is_sticky == by_users:
            live.run = replace(run, divided_by=now)
            return False
        wall = self._stage.clock.wall()
        is_ours = not self._wheel.split_is_foreign(live)
        live.judge = Judge(plan.judge, *plan.sides)
        live.seen = Gathered(f"{run.name}#{run.number}@{wall:.3f}", plan, is_sticky=by_users, since=wall)
        live.run = replace(run, divided_by=now, asked=0 if run.begun else None, alarm="", told=())
        if is_ours:
            await self._wheel.set_share(live, run.share, self._telling.name(live))
        if run.divided_by not in (None, now):
            text = f"what gives requests out was changed from {run.divided_by} to {now}; all is counted anew from here"
            log.warning("rollout %s: %s", run.name, text)
            live.run = halted(live.run, text, wall)
            self._telling.say(live, self._telling.name(live), "paused")
        return True

    def _sight(self, live: Live, passed: float) -> Sight:
        plan, run = live.plan, live.run
        now = self._stage.clock.monotonic()
        evidence = live.seen.evidence(now)
        foreign = self._wheel.foreign(live)
        there = any(each.name == plan.service for each in self._control.file.services)
        down = sides_down(self._control, plan, self._control.service(plan.service)) if there else (False, False)
        if live.judged is None or live.judged[:2] != (evidence, run.stage):
            live.judged = evidence, run.stage, live.judge.verdict(evidence, run.stage)
        return Sight(
            passed=passed,
            wall=self._stage.clock.wall(),
            verdict=live.judged[2],
            requests=sum(epoch.candidate.requests for epoch in evidence.epochs),
            foreign=foreign,
            candidate_is_down=down[1],
            stable_is_down=down[0] and not self._ends.drains(live, run),
        )

    async def _perform(self, live: Live, act: Act) -> None:
        try:
            match act:
                case SetSplit(share, move):
                    await self._wheel.set_share(live, share, self._telling.name(live), move=move)
                case RouteTo(name, matches):
                    await self._wheel.route(live, name, matches)
                case MirrorTo(share, options):
                    await self._wheel.mirror(live, share, options)
                case SetFlag(key, percent, to):
                    override = FlagOverride(percent=percent, to=to)
                    await self._wheel.set_flag(live, key, override, self._telling.name(live))
                case Job():
                    self._tasks.begin(live, act)
        except Refusal as refusal:
            detail = "; ".join((refusal.detail, *refusal.problems))
            if live.run.state == "running":
                live.run = halted(live.run, detail, self._stage.clock.wall())
            elif live.run.state == "aborting":  # piece by piece does not work, so all at once
                live.run = given_up(live.run, self._stage.clock.wall())
