"""The controller: reads the configuration, watches it, answers the admin, and brings every change to the workers."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from proxy.admin.server import AdminServer
from proxy.channel import messages as say
from proxy.channel.frames import MASTER, Frame
from proxy.channel.link import Link, understood
from proxy.config.effective import effective
from proxy.config.load import Loaded, load, load_text
from proxy.config.problems import Problem
from proxy.control.alive import Alive
from proxy.control.control import Control, Who, World
from proxy.control.fleet import BindError
from proxy.control.journal import Journal
from proxy.control.numbers import sight
from proxy.control.persisting import write_split
from proxy.control.refusal import Refusal
from proxy.control.state import State
from proxy.control.store import Store, StoreInUseError, default_path
from proxy.control.views import CheckView, ReloadCounts, ReloadView, per_cent
from proxy.control.watch import Watch
from proxy.controller.fleet import ChannelFleet, own_binds, worker_count
from proxy.core.version import version
from proxy.http1.parser import BUILD
from proxy.pools import report as health
from proxy.pools.registry import EndpointKey
from proxy.snapshot.document import Document
from proxy.snapshot.parts import DocumentReader, parts
from proxy.telemetry.exposition import exposition

log = logging.getLogger("sluice")


class Controller:
    """One controller process. `run` returns when it has been told to end, and has let go of everything."""

    def __init__(self, loop: asyncio.AbstractEventLoop, channel: socket.socket) -> None:
        self._loop = loop
        self._link = Link(loop, channel, self._received, self._orphaned)
        self._fleet = ChannelFleet(self._link, self._opened)
        self._first: asyncio.Future[say.StartController] = loop.create_future()
        self._activated: asyncio.Future[say.Activate] = loop.create_future()
        self._ending = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sockets: dict[str, socket.socket] = {}
        self._reloading = asyncio.Lock()
        self._started = time.monotonic()
        self._path = Path()
        self._seen: bytes | None = None
        self._taken: Loaded | None = None
        self._is_stopping = False
        self.file_problems: tuple[str, ...] = ()
        self.warnings: tuple[str, ...] = ()
        self.restart_problem = ""
        self.reloads = ReloadCounts()
        self.store: Store
        self.control: Control
        self.journal: Journal
        self.alive: Alive

    async def run(self) -> None:
        """Control until told to end."""
        start = await self._first
        self._path = Path(start.config)
        self._fleet.adopt(start.children, start.binds)
        try:
            admin = await self._begin(start)
        except _CannotStartError as error:
            self._link.send(MASTER, say.Failed(error.problems))
            await self._link.drain()
            await self._ending.wait()
            return
        watch = Watch(self._path, lambda: self._later(self._file_changed()))
        self._later(watch.run())
        self._later(self._beat())
        await self._ending.wait()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await admin.close()
        await self.alive.close()
        self.store.close()
        self._link.close()

    # -- the start

    async def _begin(self, start: say.StartController) -> AdminServer:
        loaded = await asyncio.to_thread(load, self._path, os.environ)
        generation, in_force, notes = start.generation, start.parts, start.notes
        if start.passive:
            self._link.send(MASTER, say.Ready(generation))
            active = await self._activated
            generation, in_force, notes = active.generation, active.parts, active.notes
            self._fleet.adopt(active.children, start.binds)
        file = self._first_file(loaded, notes)
        self._open_store(file)
        before = health.decode(notes["health"]) if notes.get("health") else {}
        self.alive = Alive(SystemClock(), _Around(self), before)
        self.journal = Journal(self.store, time.time)
        world = World(
            fleet=self._fleet,
            journal=self.journal,
            keeper=_Keeper(self.store, self._fleet),
            cookie_key=notes["cookie_key"].decode() if "cookie_key" in notes else self.store.cookie_key(),
            resolve=self._resolve,
            look_after=self.alive.look_after,
            is_usable=self.alive.is_usable,
            later=self._loop.call_later,
            spawn=self._later,
            wall=time.time,
        )
        self._fleet.keep_note("cookie_key", world.cookie_key.encode())
        self.control = Control(world, file, self._state(notes), generation, in_force)
        file = await self._take_first(loaded, file, notes)
        self.control.go_on()
        self._fleet.take_over(self.control.generation, self.control.document, self.control.parts)
        self._keep_file(file)
        admin = AdminServer(self, self.metrics)
        for address, sock in self._sockets.items():
            await admin.listen(address, sock)
        self._admin = admin
        if not start.passive:
            self._link.send(MASTER, say.Ready(self.control.generation))
        return admin

    def _state(self, notes: dict[str, bytes]) -> State:
        """As an earlier controller left it or, at the very start, as the store has it."""
        with suppress(KeyError, msgspec.DecodeError):  # of a version that wrote it otherwise
            return msgspec.msgpack.decode(notes["state"], type=State)
        return self.store.state()

    async def _take_first(self, loaded: Loaded, file: Document, notes: dict[str, bytes]) -> Document:
        """Bring the file into force or, where its addresses cannot be had just now, the one before."""
        try:
            await self.control.take_file(file, by="start")
        except BindError as error:
            if "file" not in notes:
                raise _CannotStartError(_bind_problems(loaded, error)) from error
            self._refused_binds(loaded, error)
            self._taken = None
            file = _noted(notes)
            await self.control.take_file(file, by="start")
        except Refusal as error:
            raise _CannotStartError(error.problems or (error.detail,)) from error
        return file

    def _first_file(self, loaded: Loaded, notes: dict[str, bytes]) -> Document:
        """The file as it is or, where it is broken just now, as it was when it was not."""
        self.warnings = tuple(map(str, loaded.warnings))
        for warning in self.warnings:
            log.warning("%s", warning)
        if loaded.document is not None:
            self._taken = loaded
            return loaded.document
        if "file" not in notes:
            raise _CannotStartError(tuple(map(str, loaded.problems)))
        self._reject(loaded.problems)
        return _noted(notes)

    async def _resolve(self, wanted: Document) -> Document:
        """Names that are new are looked up before anything depends on them."""
        in_force = (self.control.wanted,) if hasattr(self, "control") else ()
        self.alive.watch_names(*in_force, wanted)
        await self.alive.names_settled()
        return _counted(self.alive.resolve(wanted))

    def _open_store(self, file: Document) -> None:
        path = Path(file.store) if file.store else default_path(str(self._path), os.environ)
        self.store = Store(path, time.time)
        try:
            self.store.open()
        except StoreInUseError as error:
            raise _CannotStartError((f"sluice: {error}",)) from error
        for problem in self.store.problems.values():
            log.error("%s", problem)

    def _opened(self, sockets: dict[str, int]) -> None:
        """Our own listening sockets, from the master."""
        for address, descriptor in sockets.items():
            sock = socket.socket(fileno=descriptor)
            sock.set_inheritable(False)
            sock.setblocking(False)
            if address in self._sockets:
                sock.close()
                continue
            self._sockets[address] = sock
            if hasattr(self, "_admin"):
                self._later(self._admin.listen(address, sock))

    # -- what the master and the workers say

    def _received(self, frame: Frame) -> None:
        message = understood(frame.body)
        match message:
            case say.StartController():
                self._opened(dict(zip(message.binds, frame.descriptors, strict=True)))
                self._first.set_result(message)
            case say.Activate():
                self._activated.set_result(message)
            case say.Serve() | None:
                pass
            case say.Drain():
                self._ending.set()
            case say.Signalled(what="reload"):
                self._later(self._file_changed(force=True))
            case say.Signalled(what="stop"):
                self._is_stopping = True
            case say.Ejected():
                self._failing(message)
            case say.Restarting():
                self.restart_problem = message.problem
                if message.problem and hasattr(self, "control"):
                    self.journal.write(
                        "restart_refused", by="sluice", generation=self.control.generation, text=message.problem
                    )
            case _:
                self._fleet.received(frame.peer, message, frame.descriptors)

    def _failing(self, endpoint: say.Ejected) -> None:
        key = endpoint.service, endpoint.pool, endpoint.address
        if hasattr(self, "control") and self.alive.failed(key):
            text = f"{endpoint.pool} {endpoint.address}: {self.alive.why(key)}"
            self.journal.write(
                "ejected", by="sluice", generation=self.control.generation, service=endpoint.service, text=text
            )
            log.warning("ejected %s/%s", endpoint.service, text)

    def readdressed(self, why: str) -> None:
        """A host name has other addresses."""
        if hasattr(self, "control"):
            self._later(self.control.refresh(why))

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Call back after so long."""
        self._loop.call_later(seconds, action)

    def _orphaned(self) -> None:
        log.error("the master has gone: the controller ends")
        self._ending.set()

    def _later(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a task of the controller failed", exc_info=task.exception())

    async def _beat(self) -> None:
        """Ask the workers every second: who does not answer is replaced, and the numbers are at hand.

        And what the store could not take so far is offered to it again.
        """
        while True:
            await asyncio.sleep(1.0)
            self.store.try_again()
            await self._fleet.ask()

    # -- the file

    async def _file_changed(self, *, force: bool = False) -> None:
        with suppress(Refusal):  # said already
            await self.reload(by="signal" if force else "file")
        if force:
            self._link.send(MASTER, say.Reloaded())

    async def reload(self, *, by: str, reason: str | None = None) -> ReloadView:
        """Read the configuration again; Refusal with its problems where it has some."""
        async with self._reloading:
            return await self._reload(by, reason)

    async def _reload(self, by: str, reason: str | None) -> ReloadView:
        loaded = await asyncio.to_thread(load, self._path, os.environ)
        if loaded.document is None:
            self._reject(loaded.problems)
            raise Refusal(422, "the configuration is not valid, and nothing was changed", self.file_problems)
        try:
            changed = await self.control.take_file(loaded.document, by=by, reason=reason)
        except BindError as error:
            self._refused_binds(loaded, error)
            raise Refusal(422, "an address cannot be had, and nothing was changed", self.file_problems) from error
        self.file_problems = ()
        self._taken = loaded
        self.warnings = tuple(map(str, loaded.warnings))
        counts = self.reloads
        self.reloads = (
            msgspec.structs.replace(counts, applied=counts.applied + 1)
            if changed
            else msgspec.structs.replace(counts, unchanged=counts.unchanged + 1)
        )
        self._keep_file(loaded.document)
        await self._leave_sockets()
        return ReloadView(self.control.generation, changed, self.warnings)

    async def _leave_sockets(self) -> None:
        """Listen no longer where the document in force does not want us to."""
        for address in self._sockets.keys() - set(own_binds(self.control.document)):
            await self._admin.leave(address)
            self._sockets.pop(address).close()

    async def persist(self, name: str, who: Who) -> None:
        """Write a service's split into the file, and take the file; the override ends with that."""
        async with self._reloading:
            self.control.service(name, who)
            loaded = await asyncio.to_thread(load, self._path, os.environ)
            if loaded.document is None:
                detail = "the configuration on disk is not valid just now; mend it first"
                raise Refusal(409, detail, tuple(map(str, loaded.problems)))
            shares = per_cent(self.control.split_of(name))
            file = await asyncio.to_thread(write_split, self._path, name, shares)
            self.control.note("persisted", who, service=name, after=shares, text=str(file))
            await self._reload(who.name, who.reason)

    async def check(self, text: str | None = None) -> CheckView:
        """What a reload would find; or what is to be said of a text."""
        if text is None:
            loaded = await asyncio.to_thread(load, self._path, os.environ)
        else:
            name = self._path / "posted.yaml" if self._path.is_dir() else self._path
            loaded = await asyncio.to_thread(load_text, text, str(name), os.environ)
        return CheckView(not loaded.problems, tuple(map(str, loaded.problems)), tuple(map(str, loaded.warnings)))

    def effective(self) -> dict[str, Any]:
        """What is in force, in the words of the YAML and without its secrets."""
        taken = self._taken
        if taken is None or taken.tree is None:
            detail = "the file was not valid at the start, so what in it is secret is not known; mend it first"
            raise Refusal(409, detail, self.file_problems)
        return effective(self.control.document, taken.tree)

    def conceal(self, text: str) -> str:
        """The text, masked where the file has it from a variable."""
        return text if self._taken is None else self._taken.conceal(text)

    def restart(self, who: Who) -> None:
        """Restart everything with the code on disk."""
        self.control.note("restart_asked", who)
        self._fleet.restart()

    def _reject(self, problems: list[Problem]) -> None:
        told = tuple(map(str, problems))
        self.reloads = msgspec.structs.replace(self.reloads, rejected=self.reloads.rejected + 1)
        if told != self.file_problems:
            for problem in told:
                log.error("the configuration is not taken: %s", problem)
            if hasattr(self, "control"):
                text = f"{told[0]}{f' (and {len(told) - 1} more)' if len(told) > 1 else ''}"
                self.journal.write("config_rejected", by="file", generation=self.control.generation, text=text)
        self.file_problems = told

    def _refused_binds(self, loaded: Loaded, error: BindError) -> None:
        self.reloads = msgspec.structs.replace(self.reloads, rejected=self.reloads.rejected + 1)
        self.file_problems = _bind_problems(loaded, error)
        for problem in self.file_problems:
            log.error("the configuration is not taken: %s", problem)

    def _keep_file(self, file: Document) -> None:
        encoded = msgspec.msgpack.encode(parts(file))
        if encoded != self._seen:
            self._seen = encoded
            self._fleet.keep_note("file", encoded)

    # -- what the admin asks

    @property
    def fleet(self) -> ChannelFleet:
        """The workers."""
        return self._fleet

    @property
    def uptime(self) -> float:
        """Seconds since this controller started."""
        return time.monotonic() - self._started

    @property
    def config(self) -> str:
        """Where the configuration is."""
        return str(self._path)

    def why(self, endpoint: EndpointKey) -> str | None:
        """Why an endpoint is in its state."""
        return self.alive.why(endpoint)

    def is_ready(self) -> bool:
        """Does every worker serve the current generation, and is the proxy not ending?"""
        return not self._is_stopping and self.alive.is_told and self._fleet.is_ready()

    async def metrics(self) -> str:
        """The text of /metrics."""
        await self._fleet.ask()
        text = exposition(
            sight(
                self._fleet.ledger,
                self.control.document,
                self._fleet.workers,
                self.reloads,
                generation=self.control.generation,
                worker_restarts=self._fleet.restarts,
                version=version(),
                build=BUILD,
            )
        )
        return text.decode()

    def problems(self) -> tuple[str, ...]:
        """What is wrong now, one sentence each."""
        others = (*self.store.problems.values(), *self.alive.problems(), *filter(None, (self.restart_problem,)))
        return (*self.file_problems, *others)


class _Around:
    """What Alive may ask of the controller."""

    def __init__(self, controller: Controller) -> None:
        self.tell_health = controller.fleet.tell_health
        self.readdressed = controller.readdressed
        self.later = controller.later


class _Keeper:
    """Keeps the state in the store, and in the master: the next controller has it whatever becomes of the store."""

    def __init__(self, store: Store, fleet: ChannelFleet) -> None:
        self._store = store
        self._fleet = fleet

    def save(self, state: State) -> None:
        """Keep it."""
        self._store.save(state)
        self._fleet.keep_note("state", msgspec.msgpack.encode(state))


class SystemClock:
    """Real time."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return time.time()


class _CannotStartError(Exception):
    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _noted(notes: dict[str, bytes]) -> Document:
    """The last valid file, as an earlier controller had the master keep it."""
    return DocumentReader().read(msgspec.msgpack.decode(notes["file"], type=dict[str, bytes]))


def _counted(document: Document) -> Document:
    """With the number of workers as a number: workers take their part of the limits by it."""
    return msgspec.structs.replace(document, workers=worker_count(document))


def _bind_problems(loaded: Loaded, error: BindError) -> tuple[str, ...]:
    problems = []
    for address, why in error.failed.items():
        place = loaded.place_of_bind(address)
        problem = place.problem(f"cannot listen on {address}: {why}", _remedy(why))
        problems.append(str(loaded.hide(problem)))
    return tuple(problems)


def _remedy(why: str) -> str:
    if why == os.strerror(13).lower():
        return "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one"
    return "is another process, or another sluice, using it? choose another address, or stop that one"
