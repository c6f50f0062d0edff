"""The conductor: carries out what runs of rollouts decide, several times a second, through the control's one road.

What a run is to become is decided in proxy/rollouts (pure); here are its consequences: splits, jobs, what is kept.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
from msgspec.structs import replace

from proxy.control.control import Control, Steering, Who
from proxy.control.refusal import Refusal, unknown
from proxy.control.rollout_views import RolloutView, rollout_view
from proxy.control.state import Course, Shares, same_shares
from proxy.control.views import per_cent
from proxy.core.clock import Clock
from proxy.rollouts.analysis import Judge
from proxy.rollouts.gathering import Gathered
from proxy.rollouts.plan import Plan
from proxy.rollouts.planning import from_data, plan_of, planned_steps, to_data
from proxy.rollouts.run import (
    Run,
    Sight,
    ended,
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
from proxy.rollouts.steps.wave import ROLLBACK, Wave, rollback_of
from proxy.snapshot.document import Plugin
from proxy.telemetry.evidence import CellSeen

log = logging.getLogger("sluice")

_PACE: Final = 0.1  # seconds between looks; whatever happens is looked at at once
_KEEP: Final = 1.0  # seconds after which what was seen is kept at the latest
_MOST_TURNS: Final = 100  # of one look: a plan of instant steps goes through at once, and no plan for ever
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
    pool, `persist` writes a service's split into the file.
    """

    control: Control
    jobs: Jobs
    clock: Clock
    keep: Callable[[bytes], None]
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    later: Callable[[float, Callable[[], None]], Any]
    cut: Callable[[str, str], Awaitable[Any]]
    persist: Callable[[str, Who], Awaitable[None]]


class Kept(msgspec.Struct, frozen=True):
    """One rollout as the next controller finds it."""

    run: Run
    spec: RolloutSpec
    service: str
    stable: str
    candidate: str
    plan: Any
    seen: bytes


@dataclass(slots=True, eq=False)
class Live:
    """One rollout that was started once, with what only this controller has of it."""

    run: Run
    spec: RolloutSpec
    plan: Plan
    judge: Judge
    seen: Gathered
    tasks: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    looked_at: float | None = None
    kept_at: float = 0.0

    @property
    def is_active(self) -> bool:
        """Does it still have its service?"""
        return self.run.state in ACTIVE


class Conductor:
    """All rollouts of this proxy. Every verb and every look takes its turn."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._control = stage.control
        self._lock = asyncio.Lock()
        self._news = asyncio.Event()
        self._live: dict[str, Live] = {}
        self._added: dict[str, RolloutSpec] = {}

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

    def view(self, name: str) -> RolloutView:
        """A rollout as it is shown."""
        spec, live = self.find(name)
        if live is not None:
            alarm = live.judge.alarm(live.seen.evidence(self._stage.clock.monotonic())) if live.is_active else None
            return rollout_view(live.run, live.plan, self._split(live.plan.service), alarm)
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
            self._refuse_other(spec, live)
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
                raise Refusal(409, f"rollout {name} was never started; start it first")
            try:
                run = signalled(live.run, verb, _because(who), self._stage.clock.wall())
            except NotNowError as error:
                raise Refusal(409, f"rollout {name}: {error}") from error
            self._refuse_other(spec, live, run)
            _refuse_rolling(live, verb)
            if verb == "retry":
                await self._begin(live.spec, live.plan, who, live)
                return
            was, live.run = live.run, run
            if verb in ("resume", "promote"):
                await self._take_wheel(live, who)
            await self._settle(live, was, who, verb)
            self._keep()
        self._news.set()

    async def add(self, spec: RolloutSpec, who: Who) -> None:
        """A rollout that the file does not have; one of the same name that is not under way is replaced."""
        async with self._lock:
            live = self._live.get(spec.name)
            if live is not None and live.is_active:
                raise Refusal(409, f"rollout {spec.name} is {live.run.state}; abort it first")
            if any(each.name == spec.name for each in self._control.file.rollouts):
                raise Refusal(409, f"the file has a rollout {spec.name}; give this one another name")
            self._planned(spec)
            self._added[spec.name] = spec
            self._live.pop(spec.name, None)
            self._control.note("rollout_added", who, service=spec.service, text=spec.name)
            self._keep()

    # -- what happens by itself

    async def conduct(self) -> None:
        """Look at everything under way, until cancelled."""
        for live in self._live.values():
            if live.run.state == "aborted" and live.run.started is not None:
                self._roll_back(live)  # where an earlier controller has not come to its end
        while True:
            is_idle = not any(live.is_active for live in self._live.values())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), None if is_idle else _PACE)
            self._news.clear()
            async with self._lock:
                for live in tuple(self._live.values()):
                    if live.is_active:
                        await self._look(live)

    def seen(self, worker: int, cells: list[CellSeen]) -> None:
        """A worker has seen something."""
        now = self._stage.clock.monotonic()
        for live in self._live.values():
            if live.is_active:
                news = [live.seen.add(worker, cell, now) for cell in cells]
                if any(news):
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
        for _ in range(_MOST_TURNS):
            was = live.run
            live.run, acts = look(was, live.plan, self._sight(live, passed))
            passed = 0.0
            for act in acts:
                await self._perform(live, act)
            moved = (was.state, was.step, was.phase) != (live.run.state, live.run.step, live.run.phase)
            changed = changed or moved or bool(acts)
            if was.state != live.run.state:
                await self._settle(live, was, self._name(live), live.run.state)
            if not moved and not acts:
                break
        if changed or now - live.kept_at >= _KEEP:
            live.kept_at = now
            self._keep()

    def _sight(self, live: Live, passed: float) -> Sight:
        plan, run = live.plan, live.run
        now = self._stage.clock.monotonic()
        evidence = live.seen.evidence(now)
        service = self._control.service(plan.service)
        usable = self._control.usable_pools(service)
        return Sight(
            passed=passed,
            wall=self._stage.clock.wall(),
            verdict=live.judge.verdict(evidence, run.stage),
            requests=sum(epoch.candidate.requests for epoch in evidence.epochs),
            foreign=self._foreign(live),
            candidate_is_down=plan.candidate not in usable,
            stable_is_down=plan.stable not in usable,
        )

    def _foreign(self, live: Live) -> str:
        """Why the split is not what the run has set; empty where it is."""
        plan = live.plan
        control = self._control
        if plan.service not in control.state.courses:
            return "a pool of it is gone from the file"
        override = control.state.splits.get(plan.service)
        file = next(each.split for each in control.file.services if each.name == plan.service)
        if override is not None and not same_shares(override.file, file):
            return "the split was edited in the file; that takes effect when this is resumed or aborted"
        if not same_shares(control.split_of(plan.service), _shares(plan, live.run.share)):
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
            if live.run.state == "running":
                detail = "; ".join((refusal.detail, *refusal.problems))
                live.run = halted(live.run, detail, self._stage.clock.wall())

    async def _set_share(self, live: Live, share: float, who: Who, *, move: bool = False) -> None:
        plan, run = live.plan, live.run
        epoch = run.epoch + 1
        watch = live.seen.watch(epoch=epoch, step=run.step, share=share)
        steering = Steering(replace(self._course(live), watch=watch), _shares(plan, share), move=move)
        await self._control.steer(plan.service, steering, who)
        live.run = replace(run, share=share, epoch=epoch, stage=run.step)

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
            pools = {pool.name: [each.address for each in pool.endpoints] for pool in service.pools}
            return plan_of(spec, pools, self._control.split_of(spec.service))
        except ValueError as error:
            raise Refusal(409, f"rollout {spec.name}: {error}") from error

    def _refuse_other(self, spec: RolloutSpec, live: Live | None, run: Run | None = None) -> None:
        """409 where another rollout has the service."""
        others = (each for each in self._live.values() if each is not live and each.is_active)
        other = next((each for each in others if each.plan.service == spec.service), None)
        if other is not None and (run is None or run.state in ACTIVE or (live and live.run.state == "succeeded")):
            raise Refusal(409, f"service {spec.service} is with rollout {other.run.name} ({other.run.state}); end that")

    async def _begin(self, spec: RolloutSpec, plan: Plan, who: Who, live: Live | None) -> None:
        self._refuse_other(spec, live)
        wall = self._stage.clock.wall()
        before = self._control.split_of(plan.service)
        number = live.run.number + 1 if live is not None else 1
        run = started(spec.name, number, before, wall)
        taken = before.get(plan.candidate, 0.0)
        share = 1.0 if plan.is_rolling else taken / (before[plan.stable] + taken)
        is_sticky = self._control.service(plan.service).sticky is not None
        seen = Gathered(f"{spec.name}#{number}", plan, is_sticky=is_sticky, since=wall)
        new = Live(run, spec, plan, Judge(plan.judge, plan.stable, plan.candidate), seen)
        await self._set_share(new, share, who)
        self._live[spec.name] = new
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
        """What a new state brings with it."""
        plan, run = live.plan, live.run
        if run.state == "aborted" and was.state != "aborted":
            _cancel(live)
            if was.state != "pending":
                back: Shares = run.before if said == "undo" else {plan.stable: 1.0}
                await self._let_go(live, Steering(None, back, move=True), who)
                self._roll_back(live)
                self._stage.later(TUNNEL_PATIENCE, lambda: self._cut_tunnels(live, run.number))
            self._tell(plan.hooks.on_abort, live, "aborted")
        elif run.state == "succeeded":
            _cancel(live)
            shares = {plan.candidate: 1.0} if said == "promote_full" else None
            await self._let_go(live, Steering(None, shares), who)
            if plan.on_success == "persist":
                self._stage.spawn(self._persist(live, who))
        elif said == "promote":
            _cancel(live)
        self._say(live, who, said)

    async def _let_go(self, live: Live, steering: Steering, who: Who) -> None:
        forced = replace_who(who, force=True)
        try:
            await self._control.steer(live.plan.service, steering, forced)
        except Refusal as refusal:
            log.error("rollout %s lets go: %s", live.run.name, refusal.detail)  # noqa: TRY400 - the service is gone
        live.run = ended(live.run, self._stage.clock.wall())

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
        return Who(f"rollout {live.run.name}", reason=live.run.reason or None)

    def _say(self, live: Live, who: Who, said: str) -> None:
        run = live.run
        text = f"{run.name} {run.state}{f': {run.reason}' if run.reason else ''}"
        self._control.note(f"rollout_{said}", who, service=live.plan.service, text=text)
        self._tell(live.plan.hooks.events, live, said)

    def _tell(self, url: str | None, live: Live, said: str) -> None:
        if url is None:
            return
        run, plan = live.run, live.plan
        event = {
            "text": f"{run.name}: {said.replace('_', ' ')}{f' ({run.reason})' if run.reason else ''}",
            "rollout": run.name,
            "service": plan.service,
            "event": said,
            "state": run.state,
            "reason": run.reason,
            "step": run.step,
            "verdict": {"kind": run.verdict.kind, "sentence": run.verdict.sentence},
        }
        self._stage.jobs.tell(url, event)

    # -- what is kept

    def _keep(self) -> None:
        kept = [
            Kept(
                live.run,
                live.spec,
                live.plan.service,
                live.plan.stable,
                live.plan.candidate,
                to_data(live.plan),
                live.seen.encode() if live.is_active else b"",
            )
            for live in self._live.values()
        ]
        self._stage.keep(msgspec.msgpack.encode((kept, tuple(self._added.values()))))
        now = self._stage.clock.monotonic()
        for live in self._live.values():
            live.kept_at = now

    def go_on(self, kept: bytes | None) -> None:
        """Go on with what an earlier controller has left."""
        if not kept:
            return
        found, added = msgspec.msgpack.decode(kept, type=tuple[list[Kept], tuple[RolloutSpec, ...]])
        self._added = {spec.name: spec for spec in added}
        for each in found:
            self._live[each.run.name] = self._revived(each)
        self._news.set()

    def _revived(self, kept: Kept) -> Live:
        run = replace(kept.run, begun=False, performed=())
        why = ""
        plan: Plan
        try:
            plan = from_data(kept.plan)
        except ValueError as error:
            why = f"its plan cannot be gone on with: {error}"
            plan = Plan(name=run.name, service=kept.service, stable=kept.stable, candidate=kept.candidate, steps=())
        seen = Gathered.decode(kept.seen, plan) if kept.seen else Gathered("", plan, is_sticky=False, since=0.0)
        if why and run.state == "running":
            run = halted(run, why, self._stage.clock.wall())
        return Live(run, kept.spec, plan, Judge(plan.judge, plan.stable, plan.candidate), seen)


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
