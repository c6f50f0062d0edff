"""The conductor: carries out what runs of rollouts decide, several times a second, through the control's one road.

What a run is to become is decided in proxy/rollouts (pure), from what a look sees (`rollout_looking`). Consequences:
splits and routes (`rollout_steering`), jobs (`rollout_tasks`), ends (`rollout_ends`), what is told (`rollout_telling`)
and kept (`rollout_keeping`). Which rollouts there are is in `rollout_book`.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

import msgspec
from msgspec.structs import replace

from proxy.control.cohorts import counts_by_users, divided_by
from proxy.control.control import Steering, Who
from proxy.control.refusal import Refusal
from proxy.control.rollout_book import Book
from proxy.control.rollout_ends import TUNNEL_PATIENCE, Ends
from proxy.control.rollout_keeping import Live, decoded, encoded, new_live, revived
from proxy.control.rollout_looking import Looking
from proxy.control.rollout_numbers import rollout_now
from proxy.control.rollout_stage import Stage
from proxy.control.rollout_steering import Wheel, shares_at
from proxy.control.rollout_tasks import Tasks, cancel
from proxy.control.rollout_telling import Telling
from proxy.rollouts.gathering import Gathered
from proxy.rollouts.plan import Plan
from proxy.rollouts.planning import refuse_unfit
from proxy.rollouts.run import Run, given_up, halted, signalled, started
from proxy.rollouts.spec import RolloutSpec
from proxy.rollouts.states import NotNowError, Verb
from proxy.rollouts.steps.wave import ROLLBACK, Wave
from proxy.telemetry.evidence import CellSeen
from proxy.telemetry.rollouts import RolloutNow

log = logging.getLogger("sluice")

_PACE: Final = 0.1  # seconds between looks; whatever happens is looked at at once


class Conductor:
    """Runs all rollouts of this proxy. Every verb and every look takes its turn."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._control = stage.control
        self._lock = asyncio.Lock()
        self._news = asyncio.Event()
        self._lost = ""
        self.book = Book(stage)
        self._telling = Telling(stage)
        self._wheel = Wheel(stage, self._telling)
        self._tasks = Tasks(stage, self._keep, self.look_again)
        self._ends = Ends(stage, self._wheel, self._tasks, self.book, self._keep)
        self._looking = Looking(stage, self._wheel, self._tasks, self._ends, self._keep)

    # -- verbs

    async def start(self, name: str, who: Who) -> None:
        """Begin a run; the plan is pinned."""
        async with self._lock:
            spec, live = self.book.find(name)
            if live is not None and live.run.state != "succeeded" and not _is_edited(live, spec):
                self._refuse_start(live)
            self.book.refuse_other(spec.service, live)
            if live is not None:
                _refuse_rolling(live, "start")
            await self._begin(spec, self.book.planned(spec), who, live)

    def _refuse_start(self, live: Live) -> None:
        try:
            signalled(live.run, "start", "", 0.0)
        except NotNowError as error:
            raise Refusal(409, f"rollout {live.run.name}: {error}") from error

    async def signal(self, name: str, verb: Verb, who: Who) -> None:
        """Any other verb; Refusal where it is out of place."""
        async with self._lock:
            spec, live = self.book.find(name)
            if live is None:
                live = self._never_started(spec, verb)
            try:
                run = signalled(live.run, verb, _because(who), self._stage.clock.wall())
            except NotNowError as error:
                raise Refusal(409, f"rollout {name}: {error}") from error
            if live.broken and verb in ("resume", "promote", "promote_full", "retry"):
                raise Refusal(409, f"rollout {name}: {live.broken}; abort it")
            self.book.refuse_other(live.plan.service, live, run)
            _refuse_rolling(live, verb)
            if verb == "retry":
                self._refuse_unfit(live.plan)
                await self._begin(live.spec, live.plan, who, live)
                return
            await self._become(live, run, who, verb)
            self._keep()
        self._news.set()

    def _never_started(self, spec: RolloutSpec, verb: Verb) -> Live:
        """One that is pending: only abort means something for it, and keeps it from being started."""
        if verb != "abort":
            raise Refusal(409, f"rollout {spec.name} was never started; start it first")
        plan = self.book.planned(spec)
        seen = Gathered("", plan, is_sticky=False, since=0.0)
        live = self.book.live[spec.name] = new_live(Run(name=spec.name), spec, plan, seen)
        return live

    def _refuse_unfit(self, plan: Plan) -> None:
        """409 where a pinned plan cannot be begun as things are now."""
        pools = [pool.name for pool in self._control.service(plan.service).pools]
        try:
            refuse_unfit(plan, pools, self._control.split_of(plan.service))
        except ValueError as error:
            raise Refusal(409, f"rollout {plan.name}: {error}") from error

    async def _become(self, live: Live, run: Run, who: Who, verb: Verb) -> None:
        was, live.run = live.run, run
        if verb == "promote":
            await self._ends.leave(live, was)
        if verb in ("resume", "promote"):
            await self._wheel.take_wheel(live, who)
        live.before = was
        try:
            await self._ends.settle(live, was, who, verb)
        except Refusal:
            live.run = was
            raise
        finally:
            live.before = None

    async def _begin(self, spec: RolloutSpec, plan: Plan, who: Who, live: Live | None) -> None:
        self.book.refuse_other(plan.service, live)
        wall = self._stage.clock.wall()
        before = self._control.split_of(plan.service)
        number = live.run.number + 1 if live is not None else 1
        service = self._control.service(plan.service)
        run = replace(started(spec.name, number, before, wall), divided_by=divided_by(service, plan))
        taken = before.get(plan.candidate, 0.0)
        share = 1.0 if plan.is_rolling else taken / (before[plan.stable] + taken)
        by_users = counts_by_users(service, plan)
        seen = Gathered(f"{spec.name}#{number}@{wall:.3f}", plan, is_sticky=by_users, since=wall)
        new = new_live(run, spec, plan, seen)
        await self._wheel.set_share(new, share, who)
        self.book.live.pop(spec.name, None)
        self.book.live[spec.name] = new  # the newest is the last
        self.book.forget()
        self._telling.say(new, who, "start")
        self._keep()
        self._news.set()

    async def add(self, spec: RolloutSpec, who: Who) -> None:
        """A rollout that the file does not have; one of the same name that is not under way is replaced."""
        async with self._lock:
            live = self.book.live.get(spec.name)
            if live is not None and live.is_active:
                raise Refusal(409, f"rollout {spec.name} is {live.run.state}; abort it first")
            if any(each.name == spec.name for each in self._control.file.rollouts):
                raise Refusal(409, f"the file has a rollout {spec.name}; give this one another name")
            self.book.planned(spec)
            self.book.make_room(spec.name)
            self.book.added[spec.name] = spec
            self.book.live.pop(spec.name, None)
            self._control.note("rollout_added", who, service=spec.service, text=spec.name)
            self._keep()

    # -- what happens by itself

    async def conduct(self) -> None:
        """Look at everything under way, until cancelled."""
        async with self._lock:
            await self._tidy_up()
            for live in self.book.live.values():
                if live.run.state == "aborted" and live.run.started is not None:
                    self._tasks.roll_back(live)  # where an earlier controller has not come to its end
                self._ends.go_on_persisting(live, self._telling.name(live))
        while True:
            is_idle = not any(live.is_active for live in self.book.live.values())
            # Not wait_for: before Python 3.12 it can lose a cancellation to news that comes at the same time.
            with suppress(TimeoutError):
                async with asyncio.timeout(None if is_idle else _PACE):
                    await self._news.wait()
            self._news.clear()
            async with self._lock:
                for live in tuple(self.book.live.values()):
                    if live.is_active:
                        await self._guarded(live)

    async def _guarded(self, live: Live) -> None:
        """A look; whatever goes wrong in it stops this rollout, and none of the others."""
        try:
            await self._looking.look(live)
        except Exception as error:
            said = error.detail if isinstance(error, Refusal) else f"{type(error).__name__}, see the log"
            reason = f"it could not be looked after: {said}"
            if live.run.state == "aborting":  # piece by piece does not work, so all at once
                was, live.run = live.run, given_up(live.run, self._stage.clock.wall())
                await self._ends.settle(live, was, self._telling.name(live), "aborted")
            elif live.run.reason != reason:
                log.exception("rollout %s could not be looked after", live.run.name)
                live.run = halted(live.run, reason, self._stage.clock.wall())
                self._telling.say(live, self._telling.name(live), "paused")
                self._keep()

    async def _tidy_up(self) -> None:
        """What an earlier controller has left between two steps of ours is brought to its end."""
        for live in self.book.live.values():
            course = self._control.state.courses.get(live.plan.service)
            if course is not None and course.rollout == live.run.name:
                if live.is_active:
                    self._wheel.caught_up(live, course)
                else:
                    is_back = live.run.state == "aborted"
                    shares = {live.plan.stable: 1.0} if is_back else shares_at(live.plan, live.run.share)
                    steering = self._wheel.back(live, shares) if is_back else Steering(None, shares, overrules=True)
                    await self._wheel.let_go(live, steering, self._telling.name(live))
        active = {live.plan.service: live.run.name for live in self.book.live.values() if live.is_active}
        for service, course in tuple(self._control.state.courses.items()):
            if active.get(service) != course.rollout:
                await self._wheel.orphaned(service, course)
        self._keep()

    def seen(self, worker: int, cells: list[CellSeen]) -> None:
        """A worker has seen something."""
        now = self._stage.clock.monotonic()
        for live in self.book.live.values():
            if live.is_active:
                news = [live.seen.add(worker, cell, now) for cell in cells]
                if any(news):
                    self._news.set()

    def now(self) -> tuple[RolloutNow, ...]:
        """All rollouts, for /metrics."""
        now, specs = self._stage.clock.monotonic(), self.book.specs()
        return (
            *(RolloutNow(name, spec.service, "pending") for name, spec in specs.items() if name not in self.book.live),
            *(rollout_now(live, now, self.book.ended.get(live.run.name, {})) for live in self.book.live.values()),
        )

    def look_again(self) -> None:
        """Something has happened: look now."""
        self._news.set()

    def close(self) -> None:
        """Leave everything as it is, for the next controller."""
        self._keep()
        for live in self.book.live.values():
            cancel(live)

    # -- what is kept

    def _keep(self) -> None:
        self._stage.keep(encoded(self.book.live.values(), self.book.added.values()))
        now = self._stage.clock.monotonic()
        for live in self.book.live.values():
            live.kept_at = now

    def go_on(self, kept: bytes | None) -> None:
        """Go on with what an earlier controller has left."""
        if not kept:
            return
        wall = self._stage.clock.wall()
        try:
            found, added = decoded(kept)
        except msgspec.DecodeError as error:
            self._lost = f"what was kept of rollouts cannot be read: {error}"
            log.error("%s", self._lost)  # noqa: TRY400 - the sentence says it
            return
        self.book.added = {spec.name: spec for spec in added}
        for each in found:
            live = self.book.live[each.run.name] = revived(each, wall)
            ended_at = live.run.ended
            if live.run.state == "aborted" and ended_at is not None and ended_at <= wall < ended_at + TUNNEL_PATIENCE:
                self._ends.cut_later(live, ended_at + TUNNEL_PATIENCE - wall)
        self._news.set()

    def problems(self) -> tuple[str, ...]:
        """What is wrong now, one sentence each."""
        lost = (self._lost,) if self._lost else ()
        runs = [live.run for live in self.book.live.values() if live.is_active]
        return (*lost, *(f"rollout {run.name}: {run.alarm}" for run in runs if run.alarm))


def _is_edited(live: Live, spec: RolloutSpec) -> bool:
    """Is it aborted, and was it written anew since? That is another release, which start may begin; retry cannot."""
    as_written = [msgspec.msgpack.encode(each, order="deterministic") for each in (live.spec, spec)]
    return live.run.state == "aborted" and as_written[0] != as_written[1]


def _refuse_rolling(live: Live, verb: Verb) -> None:
    """409 for what would leave endpoints of a wave where they are, neither old nor new."""
    name, run, steps = live.run.name, live.run, live.plan.steps
    if ROLLBACK in live.tasks:
        if verb in ("start", "retry"):
            raise Refusal(409, f"rollout {name} is being rolled back; {verb} when that is done")
    elif verb == "promote_full" and live.plan.is_rolling:
        raise Refusal(409, f"rollout {name} is a rolling update, which has no short cut; promote goes past a bake")
    elif verb == "promote" and run.step < len(steps) and isinstance(steps[run.step], Wave):
        raise Refusal(409, f"rollout {name} is in a wave, which cannot be left out; resume or abort it")


def _because(who: Who) -> str:
    return f"by {who.name}{f', {who.reason}' if who.reason else ''}"
