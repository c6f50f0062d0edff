"""What a controller is once it has started: the file, the control, who is alive, the admin, and how they meet."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from proxy.channel import messages as say
from proxy.config.posted import posted_rollout
from proxy.control.alive import Alive
from proxy.control.conductor import Conductor
from proxy.control.control import Control, Who, World
from proxy.control.elsewhere import homes
from proxy.control.flag_guards import FlagGuards
from proxy.control.fleet import BindError
from proxy.control.jobs import Around, JobRunner
from proxy.control.journal import Journal
from proxy.control.numbers import sight
from proxy.control.persisting import write_split
from proxy.control.refusal import Refusal
from proxy.control.rollout_stage import Stage
from proxy.control.store import Store
from proxy.control.views import CheckView, ReloadCounts, ReloadView, per_cent
from proxy.control.webhooks import Webhooks
from proxy.controller.file import ConfigFile, bind_problems, told, worker_problems
from proxy.controller.fleet import ChannelFleet, worker_count
from proxy.controller.notes import Keeper, Notes
from proxy.core.version import version
from proxy.http1.parser import BUILD
from proxy.pools.registry import EndpointKey
from proxy.rollouts.spec import RolloutSpec
from proxy.snapshot.document import Document
from proxy.telemetry.evidence import decode
from proxy.telemetry.exposition import exposition

log = logging.getLogger("sluice")


@dataclass(frozen=True, slots=True)
class Process:
    """What it needs of the process that it lives in: the workers, calls after so many seconds, and tasks.

    `leave` closes our own addresses that a document does not have.
    """

    fleet: ChannelFleet
    later: Callable[[float, Callable[[], None]], Any]
    spawn: Callable[[Coroutine[Any, Any, Any]], None]
    leave: Callable[[Document], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Before:
    """What there was before this controller: the generation in force, in parts, and what an earlier one has left."""

    generation: int
    parts: Mapping[str, bytes]
    notes: Notes


class Running:
    """A controller that controls. What the admin may ask of it is proxy.admin.operation.Proxy."""

    def __init__(self, process: Process, file: ConfigFile, first: Document, store: Store, before: Before) -> None:
        self._process = process
        self._file = file
        self._store = store
        self._reloading = asyncio.Lock()
        self._started = time.monotonic()
        self._keeper = Keeper(store, process.fleet)
        self.is_stopping = False
        self.restart_problem = ""
        self.alive = Alive(SystemClock(), _Around(self, process), before.notes.health)
        self.journal = Journal(store, time.time)
        world = World(
            fleet=process.fleet,
            journal=self.journal,
            keeper=self._keeper,
            cookie_key=before.notes.cookie_key or store.cookie_key(),
            resolve=self._resolve,
            look_after=self.alive.look_after,
            is_usable=self.alive.is_usable,
            later=process.later,
            spawn=process.spawn,
            wall=time.time,
            is_told=lambda: self.alive.is_told,
        )
        self._keeper.keep_key(world.cookie_key)
        state = before.notes.state
        self.control = Control(world, first, store.state() if state is None else state, before.generation, before.parts)
        self.conductor = self._conductor(process)
        self.guards = FlagGuards(self.control)
        self._rollouts = before.notes.rollouts if before.generation else store.kept("rollouts")

    def _conductor(self, process: Process) -> Conductor:
        around = Around(
            self.control,
            process.fleet.ask,
            lambda service, pool: process.fleet.ledger.totals().mirrors.get((service, pool)),
        )
        return Conductor(
            Stage(
                control=self.control,
                jobs=JobRunner(around, Webhooks(process.spawn, lambda: homes(self.control.document))),
                clock=SystemClock(),
                keep=self._keeper.keep_rollouts,
                spawn=process.spawn,
                later=process.later,
                cut=lambda service, pool: process.fleet.cut(service, pool, None, exchanges=False),
                persist=self.persist,
                discreet=self._file.discreet,
            )
        )

    async def start(self, file: Document) -> None:
        """Bring the file into force. BindError or Refusal where that cannot be."""
        control = self.control
        await control.take_file(file, by="start")
        control.go_on()
        self._process.fleet.take_over(control.generation, control.document, control.parts)
        self._keeper.keep_file(file)
        self.conductor.go_on(self._rollouts)
        self._process.spawn(self.conductor.conduct())
        self._process.spawn(self.guards.guard())

    def try_again(self) -> None:
        """Offer the store what it could not take so far."""
        self._store.try_again()

    async def close(self) -> None:
        """Look after nothing any more."""
        self.conductor.close()
        await self.alive.close()
        self._store.close()

    async def _resolve(self, in_force: Document, wanted: Document) -> Document:
        """Names that are new are looked up before anything depends on them."""
        self.alive.watch_names(in_force, wanted)
        await self.alive.names_settled()
        resolved = self.alive.resolve(wanted)
        # With the number of workers as a number: workers take their part of the limits by it.
        return msgspec.structs.replace(resolved, workers=worker_count(resolved))

    # -- what happens

    def hear(self, peer: int, message: say.Seen | say.Ejected | say.Restarting) -> None:
        """What a worker or the master tells without being asked."""
        match message:
            case say.Seen():
                cells = decode(message.report)
                self.conductor.seen(peer, cells)
                self.guards.seen(cells)
            case say.Ejected():
                self.failing(message)
            case say.Restarting():
                self.restarting(message.problem)

    def failing(self, endpoint: say.Ejected) -> None:
        """A worker says that requests keep failing there."""
        key = endpoint.service, endpoint.pool, endpoint.address
        if self.alive.failed(key):
            text = f"{endpoint.pool} {endpoint.address}: {self.alive.why(key)}"
            self._write("ejected", service=endpoint.service, text=text)
            log.warning("ejected %s/%s", endpoint.service, text)

    def rollout_spec(self, body: dict[str, Any]) -> RolloutSpec:
        """The rollout that somebody has posted; Refusal where it is none."""
        spec, problems = posted_rollout(body)
        if spec is None:
            raise Refusal(400, "that is not a rollout", problems)
        return spec

    def readdressed(self, why: str) -> None:
        """A host name has other addresses."""
        self._process.spawn(self.control.refresh(why))

    def restarting(self, problem: str) -> None:
        """What became of a hot restart: a problem, or none."""
        self.restart_problem = problem
        if problem:
            self._write("restart_refused", text=problem)

    def _write(self, kind: str, *, by: str = "sluice", **fields: Any) -> None:
        self.journal.write(kind, by=by, generation=self.control.generation, **fields)

    # -- the file

    async def reload(self, *, by: str, reason: str | None = None) -> ReloadView:
        """Read the configuration again; Refusal with its problems where it has some."""
        async with self._reloading:
            return await self._reload(by, reason)

    async def _reload(self, by: str, reason: str | None) -> ReloadView:
        file = self._file
        loaded = await file.read()
        if loaded.document is None:
            self.reject(told(loaded.problems))
            raise Refusal(422, "the configuration is not valid, and nothing was changed", file.problems)
        try:
            changed = await self.control.take_file(loaded.document, by=by, reason=reason)
        except BindError as error:
            self.reject(bind_problems(loaded, error))
            raise Refusal(422, "an address cannot be had, and nothing was changed", file.problems) from error
        except Refusal as error:
            if error.problems:
                self.reject(worker_problems(loaded, error.problems))
                raise Refusal(error.status, error.detail, file.problems) from error
            raise
        file.take(loaded, changed=changed)
        self._keeper.keep_file(loaded.document)
        await self._process.leave(self.control.document)
        return ReloadView(self.control.generation, changed, file.warnings)

    def reject(self, problems: tuple[str, ...]) -> None:
        """A file that cannot be taken: it is told, and everything stays as it is."""
        if self._file.reject(problems):
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            self._write("config_rejected", by="file", text=f"{problems[0]}{more}")

    async def persist(self, name: str, who: Who) -> None:
        """Write a service's split into the file, and take the file; the override ends with that."""
        async with self._reloading:
            self.control.service(name, who)
            loaded = await self._file.read()
            if loaded.document is None:
                detail = "the configuration on disk is not valid just now; mend it first"
                raise Refusal(409, detail, told(loaded.problems))
            shares = per_cent(self.control.split_of(name))
            written = await asyncio.to_thread(write_split, self._file.path, name, shares)
            self.control.note("persisted", who, service=name, after=shares, text=str(written))
            await self._reload(who.name, who.reason)

    # -- what the admin asks

    @property
    def fleet(self) -> ChannelFleet:
        """The workers."""
        return self._process.fleet

    @property
    def reloads(self) -> ReloadCounts:
        """How reloads went."""
        return self._file.counts

    @property
    def uptime(self) -> float:
        """Seconds since this controller started."""
        return time.monotonic() - self._started

    @property
    def config(self) -> str:
        """Where the configuration is."""
        return str(self._file.path)

    def why(self, endpoint: EndpointKey) -> str | None:
        """Why an endpoint is in its state."""
        return self.alive.why(endpoint)

    def is_ready(self) -> bool:
        """Does every worker serve the current generation, and is the proxy not ending?"""
        return not self.is_stopping and self.alive.is_told and self.fleet.is_ready()

    async def check(self, text: str | None = None) -> CheckView:
        """What a reload would find; or what is to be said of a text."""
        return await self._file.check(text)

    def effective(self) -> dict[str, Any]:
        """What is in force, in the words of the YAML and without its secrets."""
        return self._file.effective(self.control.document)

    def conceal(self, text: str) -> str:
        """The text, masked where it is secret."""
        return self._file.conceal(text)

    def restart(self, who: Who) -> None:
        """Restart everything with the code on disk."""
        self.control.note("restart_asked", who)
        self.fleet.restart()

    def problems(self) -> tuple[str, ...]:
        """What is wrong now, one sentence each."""
        lost = self.fleet.ledger.totals().log_dropped
        losses = (f"the access log has lost {lost} lines since the start",) if lost else ()
        others = (
            *self._store.problems.values(),
            *self.alive.problems(),
            *self.conductor.problems(),
            *losses,
            *filter(None, (self.restart_problem,)),
        )
        return (*self._file.problems, *others)

    async def metrics(self) -> str:
        """The text of /metrics."""
        fleet = self.fleet
        await fleet.ask()
        text = exposition(
            sight(
                fleet.ledger,
                self.control.document,
                fleet.workers,
                self.reloads,
                generation=self.control.generation,
                worker_restarts=fleet.restarts,
                version=version(),
                build=BUILD,
                rollouts=self.conductor.now(),
                flag_kills=dict(self.guards.kills),
            )
        )
        return text.decode()


class _Around:
    """What Alive may ask."""

    def __init__(self, running: Running, process: Process) -> None:
        self.tell_health = process.fleet.tell_health
        self.readdressed = running.readdressed
        self.later = process.later


class SystemClock:
    """Real time."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return time.time()
