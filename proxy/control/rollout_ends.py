"""The ends of rollouts and of their steps: what a new state brings with it, and what is put back."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from proxy.control.control import Steering, Who
from proxy.control.refusal import Refusal
from proxy.control.rollout_book import Book
from proxy.control.rollout_keeping import Live
from proxy.control.rollout_stage import Stage, replace_who
from proxy.control.rollout_steering import Wheel, shares_at
from proxy.control.rollout_tasks import Tasks, cancel
from proxy.control.state import Shares, same_shares
from proxy.flags.spec import FlagOverride
from proxy.rollouts.plan import Plan
from proxy.rollouts.run import Run, ended, noted
from proxy.rollouts.step import SetFlag
from proxy.rollouts.steps.drain import Drain
from proxy.rollouts.steps.holdback import Holdback
from proxy.rollouts.steps.mirror import Mirror

TUNNEL_PATIENCE: Final = 30.0
"""Seconds that the candidate's tunnels have after an abort."""
_PROOFS: Final = 20  # looks at whether stable is proven again, after it was drained
_PACE: Final = 0.1  # seconds between them


class Ends:
    """Carries out ends. `book` counts them; `keep` keeps everything for the next controller."""

    def __init__(self, stage: Stage, wheel: Wheel, tasks: Tasks, book: Book, keep: Callable[[], None]) -> None:
        self._stage = stage
        self._control = stage.control
        self._wheel = wheel
        self._tasks = tasks
        self._telling = wheel.telling
        self._book = book
        self._keep = keep

    async def settle(self, live: Live, was: Run, who: Who, said: str) -> None:
        """What a new state brings with it. Refusal where somebody takes back what is over, and that cannot be done."""
        if live.run.state == "aborted" and was.state not in ("aborted", "pending"):
            await self._take_back(live, was, who, said)
            self._telling.tell(live.plan.hooks.on_abort, live, "aborted")
        elif live.run.state == "succeeded":
            await self.stop_jobs(live, was)
            full = said == "promote_full"
            persists = live.plan.on_success == "persist"
            if full:
                await self._set_last_flags(live, who)
            live.flags = dict(self._wheel.flags(live))
            live.run = replace(live.run, share=1.0 if full else live.run.share, persists=persists)
            self._keep()  # first: should this process die now, the next one does the rest
            await self._wheel.let_go(live, Steering(None, shares_at(live.plan, live.run.share), overrules=True), who)
            self.go_on_persisting(live, who)
        if live.run.state != was.state and live.run.state in ("aborted", "succeeded"):
            ends = self._book.ended.setdefault(live.run.name, {})
            ends[live.run.state] = ends.get(live.run.state, 0) + 1
        self._telling.say(live, who, said)

    async def _take_back(self, live: Live, was: Run, who: Who, said: str) -> None:
        plan = live.plan
        back: Shares = live.run.before if said == "undo" else {plan.stable: 1.0}
        if was.state == "succeeded":
            self._refuse_gone(plan, back)
            steering = self._wheel.back(live, back)
            await self._control.steer(plan.service, steering, replace_who(who, force=True))
            self._wheel.tell_flags(live, steering.flags)
            live.run = ended(live.run, self._stage.clock.wall())
        else:
            self._keep()  # first: should this process die now, the next one does the rest
            await self.stop_jobs(live, was)
            await self._wheel.let_go(live, self._wheel.back(live, back), who)
        self._tasks.roll_back(live)
        self.cut_later(live, TUNNEL_PATIENCE)

    async def _set_last_flags(self, live: Live, who: Who) -> None:
        """All the way: each flag as the last step that sets it wants it; one that is killed stays so."""
        acts = (act for step in live.plan.steps for act in step.begin() if isinstance(act, SetFlag))
        for key, act in {act.key: act for act in acts}.items():
            try:
                await self._wheel.set_flag(live, key, FlagOverride(percent=act.percent, to=act.to), who)
            except Refusal as refusal:
                live.run = noted(live.run, refusal.detail, self._stage.clock.wall())

    def _refuse_gone(self, plan: Plan, shares: Shares) -> None:
        """409 where a pool is gone that is to have traffic again."""
        there = {pool.name for pool in self._control.service(plan.service).pools}
        gone = sorted(pool for pool, share in shares.items() if share and pool not in there)
        if gone:
            raise Refusal(409, f"rollout {plan.name}: pool {gone[0]} is gone; set the split instead")

    async def leave(self, live: Live, was: Run) -> None:
        """What the step that a person goes past has set up for its own time."""
        await self.stop_jobs(live, was)
        step = live.plan.steps[was.step] if was.phase == "step" and was.step < len(live.plan.steps) else None
        if isinstance(step, Mirror) and self._wheel.course(live).mirror is not None:
            await self._wheel.mirror(live, 0.0, {})
        if isinstance(step, Holdback):
            await self._wheel.set_share(live, 1.0, self._telling.name(live))

    async def stop_jobs(self, live: Live, was: Run) -> None:
        """End what is done for a step, and what a drain of stable had set up: nobody can go back to a drained pool."""
        cancel(live)
        if not self.drains(live, was):
            return
        plan, who = live.plan, self._telling.name(live)
        with suppress(Refusal):
            await self._control.restore(plan.service, plan.stable, None, who)
            service = self._control.service(plan.service)
            for _ in range(_PROOFS):
                if plan.stable in self._control.usable_pools(service):
                    return
                await asyncio.sleep(_PACE)

    def drains(self, live: Live, run: Run) -> bool:
        """Is stable out of service because this step has drained it?"""
        plan = live.plan
        step = plan.steps[run.step] if run.step < len(plan.steps) else None
        return isinstance(step, Drain) and any(
            (each.service, each.pool, each.address) == (plan.service, plan.stable, None)
            for each in self._control.state.drains
        )

    def cut_later(self, live: Live, seconds: float) -> None:
        number = live.run.number
        self._stage.later(seconds, lambda: self._cut_tunnels(live, number))

    def _cut_tunnels(self, live: Live, number: int) -> None:
        """What an abort leaves on the candidate is cut, unless it was begun again or has traffic otherwise."""
        plan = live.plan
        if live.run.number == number and live.run.state == "aborted":
            with suppress(Refusal):
                if not self._control.split_of(plan.service).get(plan.candidate):
                    self._stage.spawn(self._cut(plan))

    async def _cut(self, plan: Plan) -> None:
        await self._stage.cut(plan.service, plan.candidate)

    def go_on_persisting(self, live: Live, who: Who) -> None:
        """Write the split into the file where that was asked for, and not done yet: it outlives a controller."""
        if live.run.persists and live.run.state == "succeeded":
            self._stage.spawn(self._persist(live, live.run.number, who))

    async def _persist(self, live: Live, number: int, who: Who) -> None:
        wanted = shares_at(live.plan, live.run.share)
        why = "it was changed meanwhile"
        try:
            if same_shares(self._control.split_of(live.plan.service), wanted):
                await self._stage.persist(live.plan.service, who)
                why = ""
        except Refusal as refusal:
            why = refusal.detail
        if why:
            text = f"{live.run.name}: the split could not be written into the file: {why}"
            self._control.note("rollout_not_persisted", who, service=live.plan.service, text=text)
        if live.run.number == number:
            live.run = replace(live.run, persists=False)
            self._keep()
