"""The workers over the channel: prepare everywhere, then keep, then commit; and who does not answer is replaced."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from proxy.channel import messages as say
from proxy.channel.frames import MASTER
from proxy.channel.link import Link
from proxy.control.fleet import BindError, Change, Outcome, WorkerView
from proxy.controller.answers import Answers
from proxy.snapshot.document import Document
from proxy.telemetry import report as telemetry
from proxy.telemetry.report import WorkerReport
from proxy.telemetry.totals import Ledger

log = logging.getLogger("sluice")

PATIENCE: Final = 2.0  # seconds without an answer after which a worker is replaced; see `_wait`
PLUGIN_PATIENCE: Final = 10.0  # where plug-ins may hold it and no change waits for it; longer for imports and open()
_LOOK: Final = 0.1  # seconds between looks at whether the master passes on what is said
_HELD_UP: Final = 0.5  # seconds; a master that takes longer to say something back has passed on nothing meanwhile


class ChannelFleet:
    """All workers, as the master tells of them. `opened` is called with our own listening sockets that are new."""

    def __init__(self, link: Link, opened: Callable[[dict[str, int]], None]) -> None:
        self._link = link
        self._opened = opened
        self._children: dict[int, say.Child] = {}
        self._listening: tuple[tuple[str, ...], tuple[str, ...], int] | None = None
        self._current: Change | None = None
        self._applying = False
        self._answers: dict[tuple[str, int], Answers] = {}
        self._replies: dict[str, asyncio.Future[say.Message]] = {}
        self._number = 0
        self._told = 0
        self._health = b""
        self._sent: dict[int, tuple[int, str]] = {}
        self._informed: dict[int, int] = {}
        self._settled: dict[int, int] = {}
        self._silent: dict[int, float] = {}
        self._changed = asyncio.Event()
        self.restarts = 0
        self.ledger = Ledger()

    # -- what is known

    @property
    def workers(self) -> tuple[WorkerView, ...]:
        """Those there are, draining ones included."""
        return tuple(
            WorkerView(child.id, child.pid, child.slot, child.state, child.generation)
            for child in self._children.values()
            if child.role == "worker"
        )

    def is_ready(self) -> bool:
        """Does every worker that there is to be serve the generation in force, and know who is alive?"""
        current = self._current
        if current is None or self._applying:
            return False
        if any(self._informed.get(child.id, 0) != self._told for child in self._workers("ready")):
            return False
        ready = [child for child in self._workers("ready") if child.generation == current.generation]
        return len(ready) >= worker_count(current.document)

    async def wait_ready(self) -> None:
        """Until that is so."""
        while not self.is_ready():
            self._changed.clear()
            await self._changed.wait()

    def adopt(self, children: tuple[say.Child, ...], own: tuple[str, ...]) -> None:
        """Begin with what there was before this controller."""
        self._children = {child.id: child for child in children}
        if own:
            self._listening = (), own, 0

    def take_over(self, generation: int, document: Document, parts: Mapping[str, bytes]) -> None:
        """This is in force already, brought there by an earlier controller."""
        if self._current is None:
            self._current = Change(generation, document, parts, {}, (), is_small=True)
            self._catch_up()
            self._settle()
            self._changed.set()

    # -- what comes

    def received(self, child: int, message: say.Message, descriptors: tuple[int, ...]) -> None:
        """A message for this fleet."""
        match message:
            case say.Children():
                self._take_children(message.children)
                self.restarts = message.restarts
            case say.Bound():
                self._opened(dict(zip(message.passed, descriptors, strict=True)))
                self._reply("bound", message)
            case say.Kept():
                self._take_children(message.children)
                self._reply("kept", message)
            case say.Prepared() | say.Refused():
                self._take("prepare", message.generation, child, message)
                self._take("apply", message.generation, child, message)
            case say.Applied():
                self._applied(child, message.generation)
                self._take("apply", message.generation, child, message)
            case say.Informed():
                self._informed[child] = message.number
                self._changed.set()
            case say.Counted():
                self._take("count", message.number, child, message)
            case say.Cut():
                self._take("cut", message.number, child, message)
            case say.Echo():
                self._reply(f"echo {message.number}", message)
            case say.Spent():
                self._pass_on(child, message)
            case _:
                log.warning("a message nobody waits for: %s", type(message).__name__)

    def _take(self, kind: str, number: int, child: int, message: say.Message) -> None:
        answers = self._answers.get((kind, number))
        if answers is not None:
            answers.take(child, message)

    def _pass_on(self, sender: int, spent: say.Spent) -> None:
        """Let all other workers know, those of an earlier era that finish included."""
        for child in self._workers("ready", "draining"):
            if child.id != sender:
                self._link.send(child.id, spent)

    def _reply(self, kind: str, message: say.Message) -> None:
        future = self._replies.pop(kind, None)
        if future is not None and not future.done():
            future.set_result(message)

    def _applied(self, child: int, generation: int) -> None:
        known = self._children.get(child)
        if known is not None:
            self._children[child] = msgspec.structs.replace(known, generation=generation)
            self._settle()
        self._changed.set()

    def _take_children(self, children: tuple[say.Child, ...]) -> None:
        known = self._children
        self._children = {
            child.id: child
            if child.id not in known or child.generation >= known[child.id].generation
            else msgspec.structs.replace(child, generation=known[child.id].generation)
            for child in children
        }
        there = set(self._children)
        for answers in self._answers.values():
            answers.gone(there)
        self._sent = {child: sent for child, sent in self._sent.items() if child in there}
        self._informed = {child: number for child, number in self._informed.items() if child in there}
        self._settled = {child: number for child, number in self._settled.items() if child in there}
        self._catch_up()
        self._inform()
        self._changed.set()

    def _workers(self, *states: str) -> list[say.Child]:
        return [
            child
            for child in self._children.values()
            if child.role == "worker" and child.state in states and child.protocol == say.PROTOCOL
        ]

    def _catch_up(self) -> None:
        """Workers that became ready with an older generation while nobody looked."""
        current = self._current
        if self._applying or current is None:
            return
        for child in self._workers("ready", "draining"):
            if child.generation < current.generation:
                self._send_all(child, current)

    def _settle(self) -> None:
        """Tell every worker that has what is in force that all others have it, too, but for those that are replaced.

        It is for clients that follow the flags; where there are none, nobody needs to know.
        """
        current = self._current
        if self._applying or current is None or current.document.flags is None:
            return
        for child in self._workers("ready", "draining"):
            if child.generation == current.generation and self._settled.get(child.id) != current.generation:
                self._settled[child.id] = current.generation
                self._link.send(child.id, say.Settled(current.generation))

    # -- changes

    async def apply(self, change: Change) -> Outcome:
        """Bring a change into force everywhere; returns when it is. BindError where an address can't be had."""
        self._applying = True
        try:
            await self._listen(change.document)
            outcome = await (self._in_one_step(change) if change.is_small else self._in_two_steps(change))
            if not outcome.problems:
                self._current = change
            elif self._current is not None:
                await self._listen(self._current.document)  # and let go of what was bound for the other
        finally:
            self._applying = False
            self._changed.set()
        self._catch_up()
        self._settle()
        return outcome

    async def _listen(self, document: Document) -> None:
        wanted = binds(document), own_binds(document), worker_count(document)
        if wanted == self._listening:
            return
        bound = await self._asked("bound", say.Bind(*wanted))
        if isinstance(bound, say.Bound) and bound.failed:
            raise BindError(bound.failed)
        self._listening = wanted

    async def _in_one_step(self, change: Change) -> Outcome:
        await self._keep(change)
        return await self._apply_to_all(change)

    async def _in_two_steps(self, change: Change) -> Outcome:
        generation = change.generation
        prepare = say.Prepare(generation, generation - 1, dict(change.changed), change.dropped)
        asked = [child for child in self._workers("ready", "draining") if child.generation == generation - 1]
        patience = PATIENCE + 2 * PLUGIN_PATIENCE if change.document.uses else PATIENCE
        answers = await self._ask("prepare", generation, asked, prepare, patience)
        problems = [each for said in answers.said.values() if isinstance(said, say.Refused) for each in said.problems]
        if problems:
            for child in asked:
                self._link.send(child.id, say.Abandon(generation))
            return Outcome(tuple(dict.fromkeys(problems)))
        self._replace(answers)
        await self._keep(change)
        return await self._apply_to_all(change, prepared=set(answers.said))

    async def _keep(self, change: Change) -> None:
        document = change.document
        shutdown = document.shutdown
        keep = say.Keep(
            generation=change.generation,
            parts=dict(change.changed),
            dropped=change.dropped,
            notes={},
            binds=binds(document),
            own=own_binds(document),
            workers=worker_count(document),
            restart_grace=document.restart_grace,
            shutdown=shutdown.delay + shutdown.grace,
        )
        await self._asked("kept", keep)

    async def _apply_to_all(self, change: Change, prepared: frozenset[int] | set[int] = frozenset()) -> Outcome:
        generation = change.generation
        asked = self._workers("ready", "draining")
        answers = Answers(child.id for child in asked)
        self._answers["apply", generation] = answers
        for child in asked:
            if child.id in prepared:
                self._link.send(child.id, say.Commit(generation))
            elif child.generation == generation - 1:
                small = say.Apply(generation, generation - 1, dict(change.changed), change.dropped)
                self._link.send(child.id, small)
            else:
                self._send_all(child, change)
        await self._wait(answers, PATIENCE)
        del self._answers["apply", generation]
        return Outcome(silent=self._replace(answers))

    def _send_all(self, child: say.Child, change: Change) -> None:
        self._link.send(child.id, say.Apply(change.generation, -1, dict(change.parts)))

    def _replace(self, answers: Answers) -> tuple[int, ...]:
        """Put others in the place of who refused at the last moment, or says nothing."""
        wrong = [child for child, said in answers.said.items() if isinstance(said, say.Refused)]
        pids = []
        for child in (*answers.missing, *wrong):
            known = self._children.get(child)
            if known is not None:
                pids.append(known.pid)
                self._link.send(MASTER, say.Replace(child))
        return tuple(pids)

    async def _ask(
        self, kind: str, number: int, children: list[say.Child], message: say.Message, patience: float = PATIENCE
    ) -> Answers:
        answers = self._answers[kind, number] = Answers(child.id for child in children)
        for child in children:
            self._link.send(child.id, message)
        await self._wait(answers, patience)
        del self._answers[kind, number]
        return answers

    async def _wait(self, answers: Answers, patience: float) -> None:
        """Wait until all have answered or gone, or for so many seconds in which they could have.

        The master, who passes everything on, stands still while it restarts itself, and all of us do while the machine
        does: then nobody can answer, and who is replaced loses its connections. So looks are counted, not time, and
        from the start again once the master was held up.
        """
        clock = asyncio.get_running_loop().time
        looks = 0
        while looks * _LOOK < patience and not await answers.wait(_LOOK):
            began = clock()
            self._number += 1
            await self._asked(f"echo {self._number}", say.Echo(self._number))
            looks = looks + 1 if clock() - began < _HELD_UP else 0

    async def _asked(self, kind: str, message: say.Message) -> say.Message:
        future: asyncio.Future[say.Message] = asyncio.get_running_loop().create_future()
        self._replies[kind] = future
        self._link.send(MASTER, message)
        return await future

    # -- the rest

    async def ask(self) -> list[WorkerReport]:
        """What every worker has counted; who does not say it in time is replaced."""
        self._number += 1
        answers = await self._ask("count", self._number, self._workers("ready", "draining"), say.Ask(self._number))
        if self._is_silent_for_good(answers):
            self._replace(answers)
        found = {
            child: telemetry.decode(said.report)
            for child, said in answers.said.items()
            if isinstance(said, say.Counted) and said.report
        }
        self.ledger.take(found, [worker.id for worker in self.workers])
        return list(found.values())

    def _is_silent_for_good(self, answers: Answers) -> bool:
        """Has somebody said nothing for so long that no plug-in may hold it any longer?"""
        if self._current is None or not self._current.document.uses:
            return True
        now = asyncio.get_running_loop().time()
        self._silent = {child: self._silent.get(child, now) for child in answers.missing}
        return any(now - since >= PLUGIN_PATIENCE for since in self._silent.values())

    async def cut(self, service: str, pool: str, address: str | None, *, exchanges: bool) -> tuple[int, int]:
        """Close tunnels and, if asked to, exchanges; how many."""
        self._number += 1
        order = say.CutDrained(self._number, service, pool, address, exchanges)
        answers = await self._ask("cut", self._number, self._workers("ready", "draining"), order)
        cuts = [said for said in answers.said.values() if isinstance(said, say.Cut)]
        return sum(cut.tunnels for cut in cuts), sum(cut.exchanges for cut in cuts)

    def tell_health(self, report: bytes) -> None:
        """Tell all workers, and those to come, what is known of the endpoints."""
        self._link.send(MASTER, say.Note({"health": report}))
        self._told += 1
        self._health = report
        self._inform()

    def _inform(self) -> None:
        """Tell those that have not been told the latest; one that starts just now may have been given an older one."""
        for child in self._workers("starting", "ready", "draining"):
            if self._health and self._sent.get(child.id) != (self._told, child.state):
                self._sent[child.id] = self._told, child.state
                self._link.send(child.id, say.Health(self._told, self._health))

    def keep_note(self, name: str, data: bytes) -> None:
        """Let the master keep this for the next controller."""
        self._link.send(MASTER, say.Note({name: data}))

    def restart(self) -> None:
        """Restart everything with the code on disk."""
        self._link.send(MASTER, say.Restart())


def worker_count(document: Document) -> int:
    """How many workers there are to be."""
    return document.workers if isinstance(document.workers, int) else len(os.sched_getaffinity(0))


def binds(document: Document) -> tuple[str, ...]:
    """Where the workers listen."""
    return tuple(part.bind for part in document.listeners)


def own_binds(document: Document) -> tuple[str, ...]:
    """Where the controller listens."""
    return (document.admin.bind, *((document.status,) if document.status else ()))
