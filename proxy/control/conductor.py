"""The conductor: carries out what runs of rollouts decide, several times a second, through the control's one road.

What a run is to become is decided in proxy/rollouts (pure); here are its consequences: splits, jobs, what is kept.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
from msgspec.structs import replace

from proxy.control.cohorts import counts_by_users, sides_down, written
from proxy.control.control import Control, Steering, Who
from proxy.control.refusal import Refusal, unknown
from proxy.control.rollout_keeping import Live, decoded, encoded, new_live, revived
from proxy.control.rollout_numbers import rollout_now
from proxy.control.rollout_views import PlanView, RolloutView, discreet_plan, discreet_rollout, plan_view, rollout_view
from proxy.control.state import Course, Shares, same_shares
from proxy.control.views import per_cent
from proxy.core.clock import Clock
from proxy.rollouts.gathering import Gathered
from proxy.rollouts.plan import Plan
from proxy.rollouts.planning import plan_of, planned_steps, resolved
from proxy.rollouts.run import (
    Run,
    Sight,
    ended,
    given_up,
    halted,
    look,
    noted,
    signalled,
    started,
    with_result,
)
from proxy.rollouts.spec import RolloutSpec
from proxy.rollouts.states import ACTIVE, NotNowError, Verb
from proxy.rollouts.step import Act, Job, MirrorTo, Result, RouteTo, SetSplit
from proxy.rollouts.steps.drain import Drain
from proxy.rollouts.steps.holdback import Holdback
from proxy.rollouts.steps.mirror import Mirror
from proxy.rollouts.steps.wave import ROLLBACK, Wave, rollback_of
from proxy.snapshot.document import Plugin
from proxy.telemetry.evidence import CellSeen
from proxy.telemetry.rollouts import RolloutNow

log = logging.getLogger("sluice")

_PACE: Final = 0.1  # seconds between looks; whatever happens is looked at at once
_KEEP: Final = 1.0  # seconds after which what was seen is kept at the latest
_MOST_TURNS: Final = 100  # of one look: a plan of instant steps goes through at once, and no plan for ever
_PROOFS: Final = 20  # looks at whether stable is proven again, after it was drained
_MOST_GONE: Final = 20  # rollouts that are over, and that neither the file nor anybody else has any more
MOST_POSTED: Final = 100
"""Rollouts that were posted, at most; the oldest that is not under way makes room."""
TUNNEL_PATIENCE: Final = 30.0
"""Seconds that the candidate's tunnels have after an abort."""


class Jobs(Protocol):
    """Who does what takes time outside."""

    async def do(self, job: Job, plan: Plan) -> Result:
        """Do it; what goes wrong is a result, too."""
        ...

    def tell(self, url: str, event: Mapping[str, Any]) -> None:
        """Tell a webhook, without anybody waiting for it."""
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """What the conductor needs around it.

    `keep` keeps bytes for the next controller, `later` calls back after so many seconds, `cut` closes the tunnels of a
    pool, `persist` writes a service's split into the file, `discreet` takes out of a
    sentence what is secret.
    """

    control: Control
    jobs: Jobs
    clock: Clock
    keep: Callable[[bytes], None]
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    later: Callable[[float, Callable[[], None]], Any]
    cut: Callable[[str, str], Awaitable[Any]]
    persist: Callable[[str, Who], Awaitable[None]]
    discreet: Callable[[str], str] = lambda text: text


class Conductor:
    """All rollouts of this proxy. Every verb and every look takes its turn."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._control = stage.control
        self._lock = asyncio.Lock()
        self._news = asyncio.Event()
        self._live: dict[str, Live] = {}
        self._added: dict[str, RolloutSpec] = {}
        self._lost = ""
        self._ends: dict[str, dict[str, int]] = {}

    # -- what there is

    def specs(self) -> dict[str, RolloutSpec]:
        """Every rollout that can be started: the file's, and those that were posted."""
        return {**self._added, **{spec.name: spec for spec in self._control.file.rollouts}}

    def names(self) -> list[str]:
        """Every rollout there is or was."""
        return list({**self.specs(), **self._live})

    def find(self, name: str) -> tuple[RolloutSpec, Live | None]:
        """A rollout, with its run if there is one; Refusal where there is none."""
        live = self._live.get(name)
        spec = self.specs().get(name) or (live.spec if live else None)
        if spec is None:
            raise unknown("rollout", name, self.names())
        return spec, live

    def plan(self, name: str) -> Plan:
        """The pinned plan of a rollout under way, or what a start would make of it now."""
        spec, live = self.find(name)
        return live.plan if live is not None and live.is_active else self._planned(spec)

    def plan_view(self, name: str) -> PlanView:
        """The plan of a rollout as it is shown."""
        return discreet_plan(plan_view(self.plan(name)), self._stage.discreet)

    def view(self, name: str) -> RolloutView:
        """A rollout as it is shown."""
        return discreet_rollout(self._view(name), self._stage.discreet)

    def _view(self, name: str) -> RolloutView:
        spec, live = self.find(name)
        if live is not None:
            shown = live.before or live.run
            return rollout_view(shown, live.plan, self._split(live.plan.service), shown.alarm or None)
        run = Run(name=name)
        try:
            return rollout_view(run, self._planned(spec), self._split(spec.service))
        except Refusal as refusal:
            steps = Plan(
                name=name, service=spec.service, stable=spec.stable, candidate=spec.candidate,
                steps=planned_steps(spec),
            )  # fmt: skip
            return replace(rollout_view(run, steps, self._split(spec.service)), problem=refusal.detail)

    def _split(self, service: str) -> dict[str, float]:
        try:
            return per_cent(self._control.split_of(service))
        except Refusal:  # it is gone from the file
            return {}

    # -- verbs

    async def start(self, name: str, who: Who) -> None:
        """Begin a run; the plan is pinned."""
        async with self._lock:
            spec, live = self.find(name)
            if live is not None and live.run.state != "succeeded":
                self._refuse_start(live)
            self._refuse_other(spec.service, live)
            await self._begin(spec, self._planned(spec), who, live)

    def _refuse_start(self, live: Live) -> None:
        try:
            signalled(live.run, "start", "", 0.0)
        except NotNowError as error:
            raise Refusal(409, f"rollout {live.run.name}: {error}") from error

    async def signal(self, name: str, verb: Verb, who: Who) -> None:
        """Any other verb; Refusal where it is out of place."""
        async with self._lock:
            spec, live = self.find(name)
            if live is None:
                live = self._never_started(spec, verb)
            try:
                run = signalled(live.run, verb, _because(who), self._stage.clock.wall())
            except NotNowError as error:
                raise Refusal(409, f"rollout {name}: {error}") from error
            if live.broken and verb in ("resume", "promote", "promote_full", "retry"):
                raise Refusal(409, f"rollout {name}: {live.broken}; abort it")
            self._refuse_other(live.plan.service, live, run)
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
        plan = self._planned(spec)
        seen = Gathered("", plan, is_sticky=False, since=0.0)
        live = self._live[spec.name] = new_live(Run(name=spec.name), spec, plan, seen)
        return live

    def _refuse_unfit(self, plan: Plan) -> None:
        """409 where a pinned plan cannot be begun as things are now."""
        pools = [pool.name for pool in self._control.service(plan.service).pools]
        try:
            resolved(plan.stable, plan.candidate, pools, self._control.split_of(plan.service))
        except ValueError as error:
            raise Refusal(409, f"rollout {plan.name}: {error}") from error

    async def _become(self, live: Live, run: Run, who: Who, verb: Verb) -> None:
        was, live.run = live.run, run
        if verb == "promote":
            await self._leave(live, was)
        if verb in ("resume", "promote"):
            await self._take_wheel(live, who)
        live.before = was
        try:
            await self._settle(live, was, who, verb)
        except Refusal:
            live.run = was
            raise
        finally:
            live.before = None

    async def _leave(self, live: Live, was: Run) -> None:
        """What the step that a person goes past has set up for its own time."""
        await self._stop_jobs(live, was)
        step = live.plan.steps[was.step] if was.phase == "step" and was.step < len(live.plan.steps) else None
        if isinstance(step, Mirror) and self._course(live).mirror is not None:
            await self._mirror(live, 0.0, {})
        if isinstance(step, Holdback):
            await self._set_share(live, 1.0, self._name(live))

    async def add(self, spec: RolloutSpec, who: Who) -> None:
        """A rollout that the file does not have; one of the same name that is not under way is replaced."""
        async with self._lock:
            live = self._live.get(spec.name)
            if live is not None and live.is_active:
                raise Refusal(409, f"rollout {spec.name} is {live.run.state}; abort it first")
            if any(each.name == spec.name for each in self._control.file.rollouts):
                raise Refusal(409, f"the file has a rollout {spec.name}; give this one another name")
            self._planned(spec)
            self._make_room(spec.name)
            self._added[spec.name] = spec
            self._live.pop(spec.name, None)
            self._control.note("rollout_added", who, service=spec.service, text=spec.name)
            self._keep()

    def _make_room(self, name: str) -> None:
        """The oldest posted rollout that is not under way goes, once there are too many; 409 where all are."""
        if name in self._added or len(self._added) < MOST_POSTED:
            return
        idle = (each for each in self._added if each not in self._live or not self._live[each].is_active)
        oldest = next(idle, None)
        if oldest is None:
            raise Refusal(409, f"{MOST_POSTED} posted rollouts are under way; end one of them first")
        del self._added[oldest]
        self._live.pop(oldest, None)

    def _forget(self) -> None:
        """The oldest of those that are over and stand nowhere any more go, once there are too many."""
        specs = self.specs()
        gone = [name for name, live in self._live.items() if not live.is_active and name not in specs]
        for name in gone[: max(len(gone) - _MOST_GONE, 0)]:
            del self._live[name]
            self._ends.pop(name, None)

    # -- what happens by itself

    async def conduct(self) -> None:
        """Look at everything under way, until cancelled."""
        async with self._lock:
            await self._tidy_up()
            for live in self._live.values():
                if live.run.state == "aborted" and live.run.started is not None:
                    self._roll_back(live)  # where an earlier controller has not come to its end
        while True:
            is_idle = not any(live.is_active for live in self._live.values())
            # Not wait_for: before Python 3.12 it can lose a cancellation to news that comes at the same time.
            with suppress(TimeoutError):
                async with asyncio.timeout(None if is_idle else _PACE):
                    await self._news.wait()
            self._news.clear()
            async with self._lock:
                for live in tuple(self._live.values()):
                    if live.is_active:
                        await self._guarded(live)

    async def _guarded(self, live: Live) -> None:
        """A look; whatever goes wrong in it stops this rollout, and none of the others."""
        try:
            await self._look(live)
        except Exception as error:
            said = error.detail if isinstance(error, Refusal) else f"{type(error).__name__}, see the log"
            reason = f"it could not be looked after: {said}"
            if live.run.state == "aborting":  # piece by piece does not work, so all at once
                was, live.run = live.run, given_up(live.run, self._stage.clock.wall())
                await self._settle(live, was, self._name(live), "aborted")
            elif live.run.reason != reason:
                log.exception("rollout %s could not be looked after", live.run.name)
                live.run = halted(live.run, reason, self._stage.clock.wall())
                self._say(live, self._name(live), "paused")
                self._keep()

    async def _tidy_up(self) -> None:
        """What an earlier controller has left between two steps of ours is brought to its end."""
        for live in self._live.values():
            course = self._control.state.courses.get(live.plan.service)
            if course is not None and course.rollout == live.run.name:
                if live.is_active:
                    self._caught_up(live, course)
                else:
                    back = (
                        {live.plan.stable: 1.0} if live.run.state == "aborted" else _shares(live.plan, live.run.share)
                    )
                    await self._let_go(live, Steering(None, back, move=live.run.state == "aborted"), self._name(live))
        active = {live.plan.service: live.run.name for live in self._live.values() if live.is_active}
        for service, course in tuple(self._control.state.courses.items()):
            if active.get(service) != course.rollout:
                await self._orphaned(service, course)
        self._keep()

    def _caught_up(self, live: Live, course: Course) -> None:
        """A split that was set, and then there was no time to keep that it was."""
        watch, run = course.watch, live.run
        if watch is None or watch.run != live.seen.name or watch.epoch <= run.epoch:
            return
        shares = self._control.split_of(live.plan.service)
        share = shares.get(live.plan.candidate, 0.0)
        live.seen.watch(epoch=watch.epoch, step=watch.step, share=share)
        live.run = replace(run, share=share, epoch=watch.epoch, stage=watch.step)

    async def _orphaned(self, service: str, course: Course) -> None:
        """A rollout has this service that nothing is known of any more: it keeps its split, and is free."""
        who = Who("sluice", force=True)
        text = f"nothing is known of rollout {course.rollout} any more; its split stays as it is"
        with suppress(Refusal):
            await self._control.steer(service, Steering(None), who)
        log.error("%s: %s", service, text)
        self._control.note("rollout_lost", who, service=service, text=text)

    def seen(self, worker: int, cells: list[CellSeen]) -> None:
        """A worker has seen something."""
        now = self._stage.clock.monotonic()
        for live in self._live.values():
            if live.is_active:
                news = [live.seen.add(worker, cell, now) for cell in cells]
                if any(news):
                    self._news.set()

    def now(self) -> tuple[RolloutNow, ...]:
        """All rollouts, for /metrics."""
        now, specs = self._stage.clock.monotonic(), self.specs()
        return (
            *(RolloutNow(name, spec.service, "pending") for name, spec in specs.items() if name not in self._live),
            *(rollout_now(live, now, self._ends.get(live.run.name, {})) for live in self._live.values()),
        )

    def look_again(self) -> None:
        """Something has happened: look now."""
        self._news.set()

    def close(self) -> None:
        """Leave everything as it is, for the next controller."""
        self._keep()
        for live in self._live.values():
            _cancel(live)

    # -- one look

    async def _look(self, live: Live) -> None:
        now = self._stage.clock.monotonic()
        passed = 0.0 if live.looked_at is None else now - live.looked_at
        live.looked_at = now
        changed = False
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
                    await self._settle(live, was, self._name(live), live.run.state)
                finally:
                    live.before = None
            if not moved and not acts:
                break
        self._report(live, began.step)
        if changed or now - live.kept_at >= _KEEP:
            live.kept_at = now
            self._keep()

    def _report(self, live: Live, step: int) -> None:
        """Say once what is new: a step, a verdict, traffic that is not divided as it should be."""
        run = live.run
        if run.step > step and run.state == "running":
            self._note(live, "step", f"step {run.step} of {len(live.plan.steps)} done")
        kind, key = run.verdict.kind, f"{run.stage} {run.verdict.kind} {run.verdict.only_pauses}"
        if kind != "not_yet" and key not in run.told:
            live.run = noted(replace(run, told=(*run.told, key)), run.verdict.sentence, self._stage.clock.wall())
            self._note(live, "verdict", f"{kind}: {run.verdict.sentence}")
        now = self._stage.clock.monotonic()
        if now < live.checked_at + _KEEP:
            return
        live.checked_at = now
        alarm = live.judge.alarm(live.seen.evidence(now))
        if alarm is None:
            return
        if not run.alarm:
            log.warning("rollout %s: %s", run.name, alarm)
            self._note(live, "alarm", alarm)
        live.run = replace(live.run, alarm=alarm)

    def _note(self, live: Live, said: str, text: str) -> None:
        text = self._stage.discreet(text)
        who = self._name(live)
        self._control.note(f"rollout_{said}", who, service=live.plan.service, text=f"{live.run.name}: {text}")
        self._tell(live.plan.hooks.events, live, said, text)

    def _sight(self, live: Live, passed: float) -> Sight:
        plan, run = live.plan, live.run
        now = self._stage.clock.monotonic()
        evidence = live.seen.evidence(now)
        foreign = self._foreign(live)
        there = any(each.name == plan.service for each in self._control.file.services)
        down = sides_down(self._control, plan, self._control.service(plan.service)) if there else (False, False)
        return Sight(
            passed=passed,
            wall=self._stage.clock.wall(),
            verdict=live.judge.verdict(evidence, run.stage),
            requests=sum(epoch.candidate.requests for epoch in evidence.epochs),
            foreign=foreign,
            candidate_is_down=down[1],
            stable_is_down=down[0] and not self._drains(live, run),
        )

    def _foreign(self, live: Live) -> str:
        """Why the split is not what the run has set; empty where it is."""
        plan = live.plan
        control = self._control
        course = control.state.courses.get(plan.service)
        if course is None:
            return f"the service {plan.service}, or a pool of it, is gone from the file"
        override = control.state.splits.get(plan.service)
        file = next(each.split for each in control.file.services if each.name == plan.service)
        if override is not None and not same_shares(override.file, file):
            return "the split was edited in the file; that takes effect when this is resumed or aborted"
        is_ours = same_shares(control.split_of(plan.service), _shares(plan, live.run.share))
        if course.watch is None or not is_ours:  # also the same split: whoever set it, nothing is counted any more
            return "the split was changed by hand"
        return ""

    # -- acts

    async def _perform(self, live: Live, act: Act) -> None:
        try:
            match act:
                case SetSplit(share, move):
                    await self._set_share(live, share, self._name(live), move=move)
                case RouteTo(name, matches):
                    await self._route(live, name, matches)
                case MirrorTo(share, options):
                    await self._mirror(live, share, options)
                case Job():
                    self._begin_job(live, act)
        except Refusal as refusal:
            detail = "; ".join((refusal.detail, *refusal.problems))
            if live.run.state == "running":
                live.run = halted(live.run, detail, self._stage.clock.wall())
            elif live.run.state == "aborting":  # piece by piece does not work, so all at once
                live.run = given_up(live.run, self._stage.clock.wall())

    async def _set_share(self, live: Live, share: float, who: Who, *, move: bool = False) -> None:
        plan, epoch, step = live.plan, live.run.epoch + 1, live.run.step
        watch = live.seen.watch(epoch=epoch, step=step, share=share, since=self._stage.clock.wall())
        steering = Steering(replace(self._course(live), watch=watch), _shares(plan, share), move=move)
        await self._control.steer(plan.service, steering, who)
        # Not of the run as it was before: a job may have ended meanwhile.
        live.run = replace(live.run, share=share, epoch=epoch, stage=step)

    async def _route(self, live: Live, name: str, matches: Mapping[str, Any]) -> None:
        course = self._course(live)
        routes = {each: plugins for each, plugins in course.routes.items() if each != name}
        if matches:
            routes[name] = tuple(Plugin(kind, {"value": value}) for kind, value in matches.items())
        await self._steer(live, replace(course, routes=routes))

    async def _mirror(self, live: Live, share: float, options: Mapping[str, Any]) -> None:
        mirror = Plugin("mirror", {"pool": live.plan.candidate, "share": share, **options}) if share else None
        await self._steer(live, replace(self._course(live), mirror=mirror))

    async def _steer(self, live: Live, course: Course) -> None:
        await self._control.steer(live.plan.service, Steering(course), self._name(live))

    def _course(self, live: Live) -> Course:
        plan = live.plan
        found = self._control.state.courses.get(plan.service)
        return found or Course(plan.name, plan.stable, plan.candidate)

    # -- jobs

    def _begin_job(self, live: Live, job: Job) -> None:
        if job.name in live.tasks:
            return
        task = asyncio.ensure_future(self._job(live, live.run.number, live.run.step, job))
        live.tasks[job.name] = task

    async def _job(self, live: Live, number: int, step: int, job: Job) -> None:
        try:
            result = await self._stage.jobs.do(job, live.plan)
        except Refusal as refusal:
            result = Result(ok=False, text="; ".join((refusal.detail, *refusal.problems)))
        except Exception as error:
            log.exception("the job %s of rollout %s failed", job.name, live.run.name)
            result = Result(ok=False, text=f"{type(error).__name__}: {error}")
        live.tasks.pop(job.name, None)
        if (live.run.number, live.run.step) == (number, step):
            live.run = with_result(live.run, job.name, result)
            live.run = noted(live.run, f"{job.kind}: {result.text}", self._stage.clock.wall())
            if not live.is_active:
                live.run = replace(live.run, doing="")
                self._keep()
            self._news.set()

    def _roll_back(self, live: Live) -> None:
        """What waves have updated is taken back, endpoint by endpoint."""
        job = rollback_of(live.plan.steps, live.run.step, live.run.results)
        if job is not None:
            live.run = replace(live.run, doing="the waves are rolled back")
            self._begin_job(live, job)

    # -- beginnings and ends

    def _planned(self, spec: RolloutSpec) -> Plan:
        service = self._control.service(spec.service)
        try:
            pools = {pool.name: written(pool) for pool in self._control.wanted_service(service.name).pools}
            return plan_of(spec, pools, self._control.split_of(spec.service))
        except ValueError as error:
            raise Refusal(409, f"rollout {spec.name}: {error}") from error

    def _refuse_other(self, service: str, live: Live | None, run: Run | None = None) -> None:
        """409 where another rollout has the service."""
        others = (each for each in self._live.values() if each is not live and each.is_active)
        other = next((each for each in others if each.plan.service == service), None)
        if other is not None and (run is None or run.state in ACTIVE or (live and live.run.state == "succeeded")):
            raise Refusal(409, f"service {service} is with rollout {other.run.name} ({other.run.state}); end that")

    async def _begin(self, spec: RolloutSpec, plan: Plan, who: Who, live: Live | None) -> None:
        self._refuse_other(plan.service, live)
        wall = self._stage.clock.wall()
        before = self._control.split_of(plan.service)
        number = live.run.number + 1 if live is not None else 1
        run = started(spec.name, number, before, wall)
        taken = before.get(plan.candidate, 0.0)
        share = 1.0 if plan.is_rolling else taken / (before[plan.stable] + taken)
        by_users = counts_by_users(self._control.service(plan.service), plan)
        seen = Gathered(f"{spec.name}#{number}@{wall:.3f}", plan, is_sticky=by_users, since=wall)
        new = new_live(run, spec, plan, seen)
        await self._set_share(new, share, who)
        self._live.pop(spec.name, None)
        self._live[spec.name] = new  # the newest is the last
        self._forget()
        self._say(new, who, "start")
        self._keep()
        self._news.set()

    async def _take_wheel(self, live: Live, who: Who) -> None:
        """The split is the run's again, whatever was done to it meanwhile."""
        if self._foreign(live) or self._course(live).watch is None:
            try:
                await self._set_share(live, live.run.share, who)
            except Refusal as refusal:
                live.run = halted(live.run, refusal.detail, self._stage.clock.wall())

    async def _settle(self, live: Live, was: Run, who: Who, said: str) -> None:
        """What a new state brings with it. Refusal where somebody takes back what is over, and that cannot be done."""
        if live.run.state == "aborted" and was.state not in ("aborted", "pending"):
            await self._take_back(live, was, who, said)
            self._tell(live.plan.hooks.on_abort, live, "aborted")
        elif live.run.state == "succeeded":
            await self._stop_jobs(live, was)
            full = said == "promote_full"
            live.run = replace(live.run, share=1.0 if full else live.run.share)
            self._keep()  # first: should this process die now, the next one does the rest
            await self._let_go(live, Steering(None, _shares(live.plan, 1.0) if full else None), who)
            if live.plan.on_success == "persist":
                self._stage.spawn(self._persist(live, who))
        if live.run.state != was.state and live.run.state in ("aborted", "succeeded"):
            ends = self._ends.setdefault(live.run.name, {})
            ends[live.run.state] = ends.get(live.run.state, 0) + 1
        self._say(live, who, said)

    async def _take_back(self, live: Live, was: Run, who: Who, said: str) -> None:
        plan = live.plan
        back: Shares = live.run.before if said == "undo" else {plan.stable: 1.0}
        if was.state == "succeeded":
            self._refuse_gone(plan, back)
            await self._control.steer(plan.service, Steering(None, back, move=True), replace_who(who, force=True))
            live.run = ended(live.run, self._stage.clock.wall())
        else:
            self._keep()  # first: should this process die now, the next one does the rest
            await self._stop_jobs(live, was)
            await self._let_go(live, Steering(None, back, move=True), who)
        self._roll_back(live)
        self._cut_later(live, TUNNEL_PATIENCE)

    def _refuse_gone(self, plan: Plan, shares: Shares) -> None:
        """409 where a pool is gone that is to have traffic again."""
        there = {pool.name for pool in self._control.service(plan.service).pools}
        gone = sorted(pool for pool, share in shares.items() if share and pool not in there)
        if gone:
            raise Refusal(409, f"rollout {plan.name}: pool {gone[0]} is gone; set the split instead")

    async def _stop_jobs(self, live: Live, was: Run) -> None:
        """End what is done for a step, and what a drain of stable had set up: nobody can go back to a drained pool."""
        _cancel(live)
        if not self._drains(live, was):
            return
        plan, who = live.plan, self._name(live)
        with suppress(Refusal):
            await self._control.restore(plan.service, plan.stable, None, who)
            service = self._control.service(plan.service)
            for _ in range(_PROOFS):
                if plan.stable in self._control.usable_pools(service):
                    return
                await asyncio.sleep(_PACE)

    def _drains(self, live: Live, run: Run) -> bool:
        """Is stable out of service because this step has drained it?"""
        plan = live.plan
        step = plan.steps[run.step] if run.step < len(plan.steps) else None
        return isinstance(step, Drain) and any(
            (each.service, each.pool, each.address) == (plan.service, plan.stable, None)
            for each in self._control.state.drains
        )

    async def _let_go(self, live: Live, steering: Steering, who: Who) -> None:
        try:
            await self._control.steer(live.plan.service, steering, replace_who(who, force=True))
        except Refusal as refusal:
            detail = "; ".join((refusal.detail, *refusal.problems))
            log.error("rollout %s lets go: %s", live.run.name, detail)  # noqa: TRY400 - the service is gone
        live.run = ended(live.run, self._stage.clock.wall())

    def _cut_later(self, live: Live, seconds: float) -> None:
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

    async def _persist(self, live: Live, who: Who) -> None:
        try:
            await self._stage.persist(live.plan.service, who)
        except Refusal as refusal:
            text = f"{live.run.name}: the split could not be written into the file: {refusal.detail}"
            self._control.note("rollout_not_persisted", who, service=live.plan.service, text=text)

    # -- what others hear of it

    def _name(self, live: Live) -> Who:
        return Who(f"rollout {live.run.name}", reason=self._stage.discreet(live.run.reason) or None)

    def _say(self, live: Live, who: Who, said: str) -> None:
        run = live.run
        text = self._stage.discreet(f"{run.name} {run.state}{f': {run.reason}' if run.reason else ''}")
        self._control.note(f"rollout_{said}", who, service=live.plan.service, text=text)
        self._tell(live.plan.hooks.events, live, said)

    def _tell(self, url: str | None, live: Live, said: str, text: str = "") -> None:
        if url is None:
            return
        run, plan = live.run, live.plan
        reason = self._stage.discreet(text or run.reason)
        event = {
            "text": f"{run.name}: {said.replace('_', ' ')}{f' ({reason})' if reason else ''}",
            "rollout": run.name,
            "service": plan.service,
            "event": said,
            "state": run.state,
            "reason": reason,
            "step": run.step,
            "verdict": {"kind": run.verdict.kind, "sentence": run.verdict.sentence},
        }
        self._stage.jobs.tell(url, event)

    # -- what is kept

    def _keep(self) -> None:
        self._stage.keep(encoded(self._live.values(), self._added.values()))
        now = self._stage.clock.monotonic()
        for live in self._live.values():
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
        self._added = {spec.name: spec for spec in added}
        for each in found:
            live = self._live[each.run.name] = revived(each, wall)
            ended_at = live.run.ended
            if live.run.state == "aborted" and ended_at is not None and ended_at <= wall < ended_at + TUNNEL_PATIENCE:
                self._cut_later(live, ended_at + TUNNEL_PATIENCE - wall)
        self._news.set()

    def problems(self) -> tuple[str, ...]:
        """What is wrong now, one sentence each."""
        lost = (self._lost,) if self._lost else ()
        runs = [live.run for live in self._live.values() if live.is_active]
        return (*lost, *(f"rollout {run.name}: {run.alarm}" for run in runs if run.alarm))


def _shares(plan: Plan, share: float) -> Shares:
    return {plan.stable: 1.0 - share, plan.candidate: share}


def _refuse_rolling(live: Live, verb: Verb) -> None:
    """409 for what would leave endpoints of a wave where they are, neither old nor new."""
    name, run, steps = live.run.name, live.run, live.plan.steps
    if ROLLBACK in live.tasks:
        if verb == "retry":
            raise Refusal(409, f"rollout {name} is being rolled back; retry when that is done")
    elif verb == "promote_full" and live.plan.is_rolling:
        raise Refusal(409, f"rollout {name} is a rolling update, which has no short cut; promote goes past a bake")
    elif verb == "promote" and run.step < len(steps) and isinstance(steps[run.step], Wave):
        raise Refusal(409, f"rollout {name} is in a wave, which cannot be left out; resume or abort it")


def _because(who: Who) -> str:
    return f"by {who.name}{f', {who.reason}' if who.reason else ''}"


def _cancel(live: Live) -> None:
    for task in live.tasks.values():
        task.cancel()
    live.tasks.clear()


def replace_who(who: Who, *, force: bool) -> Who:
    """The same, with force."""
    return Who(who.name, who.reason, force=force)
