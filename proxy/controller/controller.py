"""The controller process: its place on the channel, its start, what comes in, and its end."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from proxy.admin.server import AdminServer
from proxy.channel import messages as say
from proxy.channel.frames import MASTER, Frame
from proxy.channel.link import Link, understood
from proxy.config.load import Loaded
from proxy.control.fleet import BindError
from proxy.control.refusal import Refusal
from proxy.control.store import Store, StoreInUseError, default_path
from proxy.control.watch import Watch
from proxy.controller.file import ConfigFile, bind_problems, log_problems, told
from proxy.controller.fleet import ChannelFleet, own_binds
from proxy.controller.notes import Notes
from proxy.controller.running import Before, Process, Running
from proxy.snapshot.document import Document

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
        self._up: asyncio.Future[Running] = loop.create_future()
        self._is_stopping = False
        self._admin: AdminServer | None = None

    async def run(self) -> None:
        """Control until told to end."""
        start = await self._first
        self._fleet.adopt(start.children, start.binds)
        file = ConfigFile(Path(start.config))
        try:
            running = await self._start(start, file)
        except _NotNeededError:
            self._link.close()
            return
        except _CannotStartError as error:
            self._link.send(MASTER, say.Failed(error.problems))
            await self._link.drain()
            await self._ending.wait()
            return
        admin = self._admin = AdminServer(running, running.metrics)
        running.is_stopping = self._is_stopping
        self._up.set_result(running)
        for address, sock in tuple(self._sockets.items()):
            await admin.listen(address, sock)
        if not start.passive:
            self._link.send(MASTER, say.Ready(running.control.generation))
        self._later(Watch(file.path, lambda: self._later(self._reload("file")), file.files).run())
        self._later(self._beat(running))
        await self._ending.wait()
        await self._end(running, admin)

    async def _end(self, running: Running, admin: AdminServer) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await admin.close()
        await running.close()
        self._link.close()

    # -- the start

    async def _start(self, start: say.StartController, file: ConfigFile) -> Running:
        loaded = await file.read()
        generation, in_force, notes = start.generation, start.parts, start.notes
        if start.passive:
            self._link.send(MASTER, say.Ready(generation))
            active = await self._activation()
            generation, in_force, notes = active.generation, active.parts, active.notes
            self._fleet.adopt(active.children, start.binds)
        before = Before(generation, in_force, Notes(notes))
        first = loaded.document or before.notes.file  # where it is broken just now: as it was when it was not
        if first is None:
            raise _CannotStartError(told(loaded.problems))
        process = Process(self._fleet, self._loop.call_later, self._later, self._leave)
        running = Running(process, file, first, _opened_store(first, file.path), before)
        try:
            await self._take_first(running, file, loaded, before.notes.file)
        except Refusal as error:
            raise _CannotStartError(error.problems or (error.detail,)) from error
        return running

    async def _activation(self) -> say.Activate:
        """What the controller before this one has handed over; _NotNeededError where the proxy ends before that."""
        ending = asyncio.ensure_future(self._ending.wait())
        await asyncio.wait((self._activated, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not self._activated.done():
            raise _NotNeededError
        return self._activated.result()

    async def _take_first(self, running: Running, file: ConfigFile, loaded: Loaded, last: Document | None) -> None:
        """Bring the file into force or, where it or its addresses cannot be had just now, the last one that was."""
        problems = told(loaded.problems) or log_problems(loaded)
        if loaded.document is not None and not problems:
            try:
                await running.start(loaded.document)
            except BindError as error:
                problems = bind_problems(loaded, error)
            else:
                file.start(loaded)
                return
        if last is None:
            raise _CannotStartError(problems)
        running.reject(problems)
        await running.start(last)

    # -- our own addresses

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
            if self._admin is not None:
                self._later(self._admin.listen(address, sock))

    async def _leave(self, document: Document) -> None:
        """Listen no longer where the document in force does not want us to."""
        for address in self._sockets.keys() - set(own_binds(document)):
            if self._admin is not None:
                await self._admin.leave(address)
            self._sockets.pop(address).close()

    # -- what the master and the workers say

    def _received(self, frame: Frame) -> None:
        message = understood(frame.body)
        running = self._up.result() if self._up.done() else None
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
                self._later(self._reload("signal"))
            case say.Signalled(what="stop"):
                self._is_stopping = True
                if running is not None:
                    running.is_stopping = True
            case say.Seen() | say.Ejected() | say.Restarting():
                if running is not None:
                    running.hear(frame.peer, message)
            case _:
                self._fleet.received(frame.peer, message, frame.descriptors)

    def _orphaned(self) -> None:
        log.error("the master has gone: the controller ends")
        self._ending.set()

    # -- what goes on by itself

    def _later(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a task of the controller failed", exc_info=task.exception())

    async def _beat(self, running: Running) -> None:
        """Ask the workers every second: who does not answer is replaced, and the numbers are at hand.

        And what the store could not take so far is offered to it again.
        """
        while True:
            await asyncio.sleep(1.0)
            running.try_again()
            await self._fleet.ask()

    async def _reload(self, by: str) -> None:
        running = await self._up
        with suppress(Refusal):  # said already
            await running.reload(by=by)
        if by == "signal":
            self._link.send(MASTER, say.Reloaded())


class _NotNeededError(Exception):
    """It was told to end before there was anything to control."""


class _CannotStartError(Exception):
    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _opened_store(file: Document, config: Path) -> Store:

    store = Store(Path(file.store) if file.store else default_path(str(config), os.environ), time.time)
    try:
        store.open()
    except StoreInUseError as error:
        raise _CannotStartError((f"sluice: {error}",)) from error
    for problem in store.problems.values():
        log.error("%s", problem)
    return store
