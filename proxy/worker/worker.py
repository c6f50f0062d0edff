"""A worker: serves what the controller says, on sockets that the master owns, and ends without losing a request."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Coroutine, Iterable
from typing import Any, Final

from proxy.channel import messages as say
from proxy.channel.frames import CONTROLLER, MASTER, Frame
from proxy.channel.link import Link, understood
from proxy.dataplane import wheel
from proxy.dataplane.listener import Listener
from proxy.dataplane.plane import Plane
from proxy.pools import report as health
from proxy.pools.endpoint import Endpoint, Signal, State
from proxy.pools.pool import Pool
from proxy.pools.registry import EndpointRegistry
from proxy.pools.slow_start import SlowStart
from proxy.snapshot.compile import CompileError
from proxy.snapshot.document import Document
from proxy.telemetry import flag_outcomes
from proxy.worker.access_log import AccessLog
from proxy.worker.counting import Besides, counted
from proxy.worker.generations import Generations, OutOfStepError
from proxy.worker.spending import Spending
from proxy.worker.watchdog import Watchdog

log = logging.getLogger("sluice")

SEEN: Final = 0.05
"""Seconds that a worker gathers what it has seen for a rollout before it tells."""
LEADING: Final = ("listeners", "routes")
"""Parts of a document that say who gets in, and where to."""
_POLL: Final = 0.05
"""Seconds between looks at whether everything has ended.

What is idle is closed after so many looks, not after a time: while a machine stands still (a snapshot is taken, a
container is paused) its clients cannot ask either, and who goes on first must not close on them.
"""


class Worker:
    """One worker process: its plane, its listeners, its generations, and its end of the channel."""

    def __init__(self, loop: asyncio.AbstractEventLoop, channel: socket.socket) -> None:
        self._loop = loop
        self._registry = EndpointRegistry()
        self._generations = Generations(self._registry)
        self._access_log = AccessLog(loop)
        self._slow_start = SlowStart()
        self._watchdog = Watchdog(loop)
        self._generations.hosts.on_code = self._watchdog.start
        self._sockets: dict[str, socket.socket] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()  # changes come one after the other
        self._ending = asyncio.Event()
        self._is_serving = False
        self._has_successor = False
        self._closes = False  # do our listening sockets end with us, but for the shared ones?
        self._shared: frozenset[str] = frozenset()
        self.plane: Plane | None = None
        self.listeners: dict[str, Listener] = {}
        self.leaving: list[Listener] = []
        self._link = Link(loop, channel, self._received, self._orphaned)
        self._generations.seeing.wake = lambda: loop.call_later(SEEN, self._tell_seen)
        self._spending = Spending(loop, self._generations.states, self._tell_spent)

    async def run(self) -> None:
        """Serve until told to end, then end gracefully."""
        await self._ending.wait()
        await self._end()
        self._tell_seen()
        self._link.close()

    # -- what the others say

    def _received(self, frame: Frame) -> None:
        message = understood(frame.body)
        match message:
            case say.StartWorker():
                self._shared = frozenset(message.shared)
                self._hold(message.binds, frame.descriptors)
                self._later(self._start(message))
            case say.Sockets():
                self._shared |= frozenset(message.shared)
                self._hold(message.binds, frame.descriptors)
            case say.Serve():
                self._serve()
            case say.Prepare() | say.Commit() | say.Apply():
                self._later(self._change(message))
            case say.Abandon():
                self._later(self._abandon())
            case say.Health():
                self._take_health(message.report)
                self._link.send(frame.peer, say.Informed(message.number))
            case say.Ask():
                self._link.send(frame.peer, say.Counted(message.number, self._counted()))
            case say.Spent():
                self._spending.hear(message)
            case say.CutDrained():
                self._link.send(frame.peer, self._cut(message))
            case say.Drain():
                self._has_successor, self._closes = message.restart, message.closes
                self._ending.set()
            case _:
                self._heed(message)

    def _heed(self, message: say.Message | None) -> None:
        """What comes seldom; all else is meant for others, or of a later version."""
        if isinstance(message, say.Signalled) and message.what == "reopen":
            self._access_log.reopen()
        elif isinstance(message, say.Settled):
            self._settle(message.generation)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        async def in_turn() -> None:
            async with self._turn:
                try:
                    await work
                except Exception:
                    # The outermost guard: a worker that cannot follow a change must not serve something else.
                    log.exception("a change failed in this worker: it ends, to be replaced")
                    os._exit(1)

        task = self._loop.create_task(in_turn())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _orphaned(self) -> None:
        log.error("the master has gone: finishing what is under way")
        self._closes = True
        self._ending.set()

    # -- generations

    async def _start(self, start: say.StartWorker) -> None:
        try:
            await self._generations.prepare(start.generation, -1, start.parts, ())
        except CompileError as error:
            for problem in error.problems:
                log.error("this worker cannot start: %s", problem)  # noqa: TRY400 - whose fault it is, it says
            os._exit(1)
        self._publish(start.generation)
        self._take_health(start.health)
        self._link.send(MASTER, say.Ready(start.generation))

    async def _abandon(self) -> None:
        await self._generations.abandon()
        self._watch()
        self._access_log.abandon()

    async def _change(self, change: say.Prepare | say.Commit | say.Apply) -> None:
        match change:
            case say.Prepare():
                await self._prepare(change)
            case say.Commit():
                await self._commit(change.generation)
            case say.Apply():
                await self._apply(change)

    async def _prepare(self, change: say.Prepare) -> None:
        try:
            document = await self._generations.prepare(change.generation, change.base, change.parts, change.dropped)
            self._access_log.prepare(document.access_log)
        except (CompileError, OutOfStepError) as error:
            self._refuse(change.generation, error)
        else:
            self._link.send(CONTROLLER, say.Prepared(change.generation))

    async def _commit(self, generation: int) -> None:
        try:
            self._publish(generation)
        except OutOfStepError as error:
            self._refuse(generation, error)
        else:
            self._applied(generation)

    async def _apply(self, change: say.Apply) -> None:
        if change.generation <= self._generations.number:
            self._applied(self._generations.number)
            return
        try:
            await self._generations.prepare(change.generation, change.base, change.parts, change.dropped)
        except (CompileError, OutOfStepError) as error:
            self._refuse(change.generation, error)
        else:
            self._publish(change.generation)
            self._applied(change.generation)

    def _applied(self, generation: int) -> None:
        self._link.send(MASTER, say.Applied(generation))
        self._link.send(CONTROLLER, say.Applied(generation))

    def _refuse(self, generation: int, error: CompileError | OutOfStepError) -> None:
        self._watch()
        problems = error.problems if isinstance(error, CompileError) else [str(error)]
        self._link.send(CONTROLLER, say.Refused(generation, tuple(problems)))

    def _watch(self) -> None:
        """Watch the loop exactly while there are plug-ins that could hold it."""
        (self._watchdog.stop if self._generations.hosts.is_empty else self._watchdog.start)()

    def _publish(self, generation: int) -> None:
        before = self._generations.snapshot
        gone = self._generations.commit(generation)
        snapshot, document = self._generations.snapshot, self._generations.document
        if snapshot is None or document is None:
            raise OutOfStepError("there is nothing to publish")
        if self.plane is None:
            self.plane = Plane(self._loop, snapshot, time.time)
            self.plane.on_failing = self._failing
            self.plane.streams.settle(snapshot.flags)
            wheel.run(self.plane.wheel, self._loop.call_later, self._loop.time)
        else:
            self.plane.snapshot = snapshot
            self.plane.shadows.leave_what_ends()
            if before is not None and any(before.hashes[part] != snapshot.hashes[part] for part in LEADING):
                self.plane.streams.end()  # whether there still is a way to them, those who come again will see
        self._watch()
        self._access_log.use(document.access_log, self.plane)
        self._listen(self.plane, document)
        _close_idle(gone)
        self._warm_up()
        snapshot.succeed(before)
        self._spending.begin()

    def _settle(self, generation: int) -> None:
        """What is in force here is in force everywhere, unless more has come meanwhile."""
        snapshot = self._generations.snapshot
        if self.plane is not None and snapshot is not None and snapshot.generation == generation:
            self.plane.streams.settle(snapshot.flags)

    # -- listeners

    def _hold(self, binds: tuple[str, ...], descriptors: tuple[int, ...]) -> None:
        for bind, descriptor in zip(binds, descriptors, strict=True):
            sock = socket.socket(fileno=descriptor)
            sock.set_inheritable(False)
            sock.setblocking(False)
            if bind in self.listeners or bind in self._sockets:
                sock.close()  # the one there is of the same place
            else:
                self._sockets[bind] = sock

    def _listen(self, plane: Plane, document: Document) -> None:
        """Have exactly the listeners of this document; those it has already go on as they are."""
        wanted = {part.bind: part for part in document.listeners}
        for bind in self.listeners.keys() - wanted.keys():
            listener = self.listeners.pop(bind)
            listener.close(is_last=bind not in self._shared)
            self.leaving.append(listener)
            self._empty(listener, document.shutdown.idle)
        for bind, part in wanted.items():
            there = self.listeners.get(bind)
            if there is not None:
                there.change(part)
            elif bind in self._sockets:
                self.listeners[bind] = Listener(plane, part, self._sockets.pop(bind))
                if self._is_serving:
                    self.listeners[bind].start()
        for sock in self._sockets.values():
            sock.close()  # of a document that was not to be
        self._sockets.clear()

    def _empty(self, listener: Listener, patience: float) -> None:
        """Close what is idle on a listener that is no more, after these seconds and until nothing is left."""
        if patience <= 0:
            for connection in tuple(listener.connections):
                connection.close_if_idle()
        if listener.is_busy:
            self._loop.call_later(_POLL, self._empty, listener, patience - _POLL)
        elif listener in self.leaving:
            self.leaving.remove(listener)

    def _serve(self) -> None:
        self._is_serving = True
        for listener in self.listeners.values():
            listener.start()

    # -- endpoints

    def _take_health(self, told: bytes) -> None:
        if not told:
            return
        if self.plane is not None:
            self.plane.is_ready = not self._ending.is_set()
        risen = health.bring_in(self._registry, health.decode(told))
        self._slow_start.came_up(risen, self._loop.time())
        self._warm_up()

    def _warm_up(self) -> None:
        """Give endpoints that came up lately the part of their weight that they have by now."""
        document, snapshot = self._generations.document, self._generations.snapshot
        if document is None or snapshot is None:
            return
        windows = {service.name: service.slow_start for service in document.services if service.slow_start}
        now = self._loop.time()
        self._slow_start.forget(max(windows.values(), default=0.0), now)
        for name, window in windows.items():
            for pool in snapshot.services[name].pools.values():
                self._warm_up_pool(pool, window, now)

    def _warm_up_pool(self, pool: Pool, window: float, now: float) -> None:
        changed = False
        for endpoint, (_, weight) in zip(pool.endpoints, pool.spec.members, strict=True):
            warm = weight * self._slow_start.factor(endpoint, window, now)
            changed = changed or warm != endpoint.weight
            endpoint.weight = warm
        if changed:
            pool.refresh()

    def _failing(self, endpoint: Endpoint) -> None:
        self._link.send(CONTROLLER, say.Ejected(endpoint.service, endpoint.pool, endpoint.address))

    def _tell_seen(self) -> None:
        if self._link.waiting:  # a master that does not read: counts add up meanwhile, and take no more room
            self._loop.call_later(SEEN, self._tell_seen)
        elif self._generations.seeing.has_news:
            self._link.send(CONTROLLER, say.Seen(self._generations.seeing.tell()))

    def _tell_spent(self, spent: say.Spent) -> None:
        if not self._link.waiting:  # a master that does not read: what is lost is as if the others were not there
            self._link.send(CONTROLLER, spent)

    def _counted(self) -> bytes:
        self._tidy()
        if self.plane is None:
            return b""
        generations = self._generations
        flags = flag_outcomes.report(generations.outcomes)
        besides = Besides(generations.hosts.reports(), flags, self._access_log.dropped)
        return counted(self.plane, self._registry, self._all_listeners(), generations.states, besides)

    def _tidy(self) -> None:
        """Drains that are over, endpoints that were removed and are empty now, and slow starts; when somebody asks."""
        self._warm_up()
        for endpoint in self._registry:
            if endpoint.state is State.DRAINING and endpoint.is_empty:
                endpoint.signal(Signal.EMPTY)
                _close_idle([endpoint])
        _close_idle(self._registry.sweep())

    def _cut(self, order: say.CutDrained) -> say.Cut:
        if self.plane is None:
            return say.Cut(order.number, 0, 0)
        tunnels, exchanges = self.plane.cut(order.service, order.pool, order.address, self._all_listeners(), order.cut)
        return say.Cut(order.number, tunnels, exchanges)

    def _all_listeners(self) -> list[Listener]:
        return [*self.listeners.values(), *self.leaving]

    # -- the end

    async def _end(self) -> None:
        """Take requests a little longer, then no new connections; then nothing left, or too late."""
        document, plane = self._generations.document, self.plane
        if document is None or plane is None:
            return
        settings = document.shutdown
        plane.is_ready = self._has_successor
        if not self._has_successor and not self._link.is_closed:
            await asyncio.sleep(settings.delay)
        plane.draining = True
        plane.streams.end()
        for bind, listener in self.listeners.items():
            listener.close(is_last=self._closes and bind not in self._shared)
        end = self._loop.time() + (document.restart_grace if self._has_successor else settings.grace)
        patience = settings.idle
        while self._is_busy() and self._loop.time() < end:
            await asyncio.sleep(_POLL)
            patience -= _POLL
            if patience <= 0:
                self._close_idle()
        for listener in self._all_listeners():
            for connection in tuple(listener.connections):
                connection.close()
        await plane.close()
        await self._access_log.close()
        self._watchdog.stop()
        await self._generations.hosts.close()

    def _is_busy(self) -> bool:
        return bool(self.plane and self.plane.tunnels) or any(each.is_busy for each in self._all_listeners())

    def _close_idle(self) -> None:
        for listener in self._all_listeners():
            for connection in tuple(listener.connections):
                connection.close_if_idle()


def _close_idle(endpoints: Iterable[Endpoint]) -> None:
    for endpoint in endpoints:
        for upstream in tuple(endpoint.idle):
            upstream.close()
