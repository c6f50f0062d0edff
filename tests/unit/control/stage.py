"""A conductor on a stage of its own: the real control, with workers that take everything and a clock that is set."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from proxy.config.load import load_text
from proxy.control.conductor import Conductor
from proxy.control.control import Control, Who, World
from proxy.control.fleet import Change, Outcome, WorkerView
from proxy.control.journal import Event, Journal
from proxy.control.rollout_stage import Stage
from proxy.control.state import State
from proxy.rollouts.plan import Plan
from proxy.rollouts.step import Job, Result
from proxy.snapshot.document import Document
from proxy.telemetry.evidence import CellSeen
from proxy.telemetry.report import WorkerReport

WHO = Who("alice")


def document(
    rollouts: str, service: str = "", split: str = "{blue: 100, canary: 0}", pools: str = "", top: str = ""
) -> Document:
    """A service `shop` of blue and canary, and these rollouts; `top` is further sections."""
    text = (
        "listeners: [{bind: 127.0.0.1:1}]\nservices:\n  shop:\n    pools:\n"
        f"      blue: {{endpoints: [127.0.0.1:2]}}\n      canary: {{endpoints: [127.0.0.1:3]}}\n{pools}"
        f"    split: {split}\n{service}routes: [{{service: shop}}]\n{top}rollouts:\n{rollouts}"
    )
    loaded = load_text(text, "sluice.yaml", {})
    assert loaded.document is not None, loaded.problems
    return loaded.document


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        """The same as the time of day."""
        return self.now

    def wall(self) -> float:
        """The time of day."""
        return self.now


class Workers:
    """Workers that bring everything into force, unless told to refuse."""

    workers: tuple[WorkerView, ...] = ()
    restarts = 0

    def __init__(self) -> None:
        self.refuses: tuple[str, ...] = ()
        self.applied = 0

    async def apply(self, change: Change) -> Outcome:
        """Take it, or not."""
        assert change.generation
        self.applied += 1
        await asyncio.sleep(0)
        return Outcome(problems=self.refuses)

    async def ask(self) -> list[WorkerReport]:
        """Nothing was counted."""
        return []

    async def cut(self, service: str, pool: str, address: str | None, *, exchanges: bool) -> tuple[int, int]:
        """There is nothing to cut."""
        assert service
        assert pool
        return (0 if address is None else 1), int(exchanges)

    def tell_health(self, report: bytes) -> None:
        """Not of interest."""

    def restart(self) -> None:
        """Not of interest."""


class Kept:
    """Where everything is kept: the state, the journal, what the conductor leaves."""

    def __init__(self) -> None:
        self.state = State()
        self.rollouts: bytes | None = None
        self.journal: list[Event] = []

    def save(self, state: State) -> None:
        """Keep the state."""
        self.state = state

    def keep(self, data: bytes) -> None:
        """Keep what the conductor leaves."""
        self.rollouts = data

    def events(self, after: int = 0) -> list[Event]:
        """The journal so far."""
        return self.journal[after:]

    def add(self, event: Event) -> None:
        """One more event."""
        self.journal.append(event)


class Doers:
    """Jobs that end when the test says so, and webhooks that were told."""

    def __init__(self) -> None:
        self.begun: list[Job] = []
        self.ends: dict[str, asyncio.Future[Result]] = {}
        self.told: list[Mapping[str, Any]] = []

    async def do(self, job: Job, plan: Plan) -> Result:
        """Wait for the test."""
        assert plan.name
        self.begun.append(job)
        self.ends[job.name] = asyncio.get_running_loop().create_future()
        return await self.ends[job.name]

    def tell(self, url: str, event: Mapping[str, Any]) -> None:
        """Remember it."""
        assert url
        self.told.append(event)


class Theatre:
    """A control and a conductor. `unusable` has endpoints that take no requests, `secret` is told nowhere."""

    def __init__(self, file: Document, before: "Theatre | None" = None) -> None:
        self.time = before.time if before else Time()
        self.kept = before.kept if before else Kept()
        self.workers = Workers()
        self.jobs = Doers()
        self.unusable: set[tuple[str, str]] = before.unusable if before else set()
        self.tasks: list[asyncio.Task[Any]] = []
        self.callbacks: list[tuple[float, Callable[[], None]]] = []
        self.cut: list[tuple[str, str]] = []
        self.persisted: list[str] = []
        self.persist_waits = False
        self.problems: list[str] = []
        self.secret = "no such text"
        self.file = file
        world = World(
            fleet=self.workers,
            journal=Journal(self.kept, self.time.wall),
            keeper=self.kept,
            cookie_key="k",
            resolve=_as_it_is,
            look_after=lambda *_: None,
            is_usable=lambda service, pool, _: (service, pool) not in self.unusable,
            later=self._later,
            spawn=self._spawn,
            wall=self.time.wall,
        )
        self.control = Control(world, file, self.kept.state, 0, {})
        self.conductor = Conductor(
            Stage(
                control=self.control,
                jobs=self.jobs,
                clock=self.time,
                keep=self.kept.keep,
                spawn=self._spawn,
                later=self._later,
                cut=self._cut,
                persist=self._persist,
                discreet=lambda text: text.replace(self.secret, "***"),
            )
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self.callbacks.append((seconds, call))

    async def _cut(self, service: str, pool: str) -> None:
        self.cut.append((service, pool))

    async def _persist(self, service: str, who: Who) -> None:
        assert who
        if self.persist_waits:
            await asyncio.Event().wait()
        self.persisted.append(service)

    async def begin(self) -> None:
        """As a controller begins."""
        await self.control.take_file(self.file, by="start")
        self.conductor.go_on(self.kept.rollouts)
        self._spawn(self.conductor.conduct())

    async def end(self) -> None:
        """As a controller that is killed: nothing more is kept."""
        kept = self.kept.rollouts
        self.conductor.close()
        self.kept.rollouts = kept
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def go_by(self, seconds: float = 0.0) -> None:
        """Let time pass in seconds, with looks in between."""
        for _ in range(int(seconds)):
            self.time.now += 1.0
            await self.looks()
        await self.looks()

    async def looks(self) -> None:
        """Let everybody look until nothing moves."""
        self.conductor.look_again()
        for _ in range(100):
            await asyncio.sleep(0)

    def traffic(self, candidate: tuple[int, int], stable: tuple[int, int], name: str = "r") -> None:
        """Requests and bad ones of both, in the epoch that workers count for now."""
        watch = self.control.state.courses["shop"].watch
        assert watch is not None, name
        for pool, (requests, bad) in ((watch.candidate, candidate), (watch.stable, stable)):
            slow = (0,) * len(watch.slower_than)
            cell = CellSeen(
                watch.run, watch.epoch, pool, requests, requests, bad, slow, (bad, *slow), ((),) * (len(slow) + 1)
            )
            self.conductor.seen(1, [cell])

    def split(self) -> dict[str, float]:
        """The split in force, in per cent."""
        return {pool: round(share * 100, 6) for pool, share in self.control.split_of("shop").items() if share}

    def kinds(self) -> list[str]:
        """What the journal has, by kind."""
        return [event.kind for event in self.kept.journal]


async def _as_it_is(_in_force: Document, wanted: Document) -> Document:
    return wanted
