"""A worker: compiles what it is given, serves it, and ends without losing a request."""

import asyncio
import logging
import os
import random
import resource
import signal
import socket
import time
from typing import Final

from proxy.dataplane import wheel
from proxy.dataplane.listener import Listener
from proxy.dataplane.plane import Plane
from proxy.pools.registry import EndpointRegistry
from proxy.snapshot.compile import Snapshot, compile_snapshot
from proxy.snapshot.document import Document
from proxy.snapshot.document import Listener as ListenerPart
from proxy.worker.health import HealthSnapshot
from proxy.worker.start import Start

log = logging.getLogger("sluice")

_POLL: Final = 0.05  # seconds between looks at whether everything has ended


class Worker:
    """One worker process: its planes, its listeners, and the generation it serves."""

    def __init__(self, start: Start, loop: asyncio.AbstractEventLoop) -> None:
        self._start = start
        self._loop = loop
        self._registry = EndpointRegistry()
        self._ending = asyncio.Event()
        self._ready = False
        self._interrupted = False
        snapshot = self._compile(start.document, generation=1, previous=None)
        snapshot.activate()
        self.plane = Plane(loop, snapshot, time.time)
        self.health = Plane(loop, HealthSnapshot(lambda: self._ready), time.time)  # type: ignore[arg-type]
        self.listeners = [self._listener(self.plane, part) for part in start.document.listeners]
        admin = ListenerPart(start.document.admin.bind)
        self.health_listener = self._listener(self.health, admin)

    async def run(self) -> None:
        """Serve until told to end, then end gracefully."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._told_to_end, number)
        for plane in (self.plane, self.health):
            wheel.run(plane.wheel, self._loop.call_later, self._loop.time)
        for listener in (*self.listeners, self.health_listener):
            listener.start()
            log.info("listening on %s", listener.bind)
        self._ready = True
        await self._ending.wait()
        await self._end()

    def publish(self, document: Document, generation: int) -> None:
        """Bring a new document into force; requests under way keep what they began with."""
        snapshot = self._compile(document, generation, self.plane.snapshot)
        self.plane.snapshot = snapshot
        snapshot.activate()
        for endpoint in self._registry.sweep():
            for upstream in tuple(endpoint.idle):
                upstream.close()

    def _compile(self, document: Document, generation: int, previous: Snapshot | None) -> Snapshot:
        keys = document.cookie_keys or (self._start.cookie_key,)
        return compile_snapshot(
            document,
            generation,
            self._registry,
            random.random,
            previous=previous,
            cookie_keys=keys,
            token=os.urandom,
        )

    def _listener(self, plane: Plane, part: ListenerPart) -> Listener:
        sock = socket.socket(fileno=self._start.sockets[part.bind])
        sock.set_inheritable(False)
        return Listener(plane, part, sock)

    def _told_to_end(self, number: int) -> None:
        if self._interrupted:
            log.warning("interrupted a second time: ending at once")
            os._exit(1)
        self._interrupted = number == signal.SIGINT
        self._ending.set()

    async def _end(self) -> None:
        """Not ready, but serving; then no new connections; then nothing left, or too late."""
        settings = self._start.document.shutdown
        self._ready = False
        await asyncio.sleep(settings.delay)
        self.plane.draining = True
        for listener in self.listeners:
            listener.close()
        end = self._loop.time() + settings.grace
        idle = self._loop.time() + settings.idle
        while self._busy() and self._loop.time() < end:
            await asyncio.sleep(_POLL)
            if self._loop.time() >= idle:
                self._close_idle()
        for listener in (*self.listeners, self.health_listener):
            for connection in tuple(listener.connections):
                connection.close()
            listener.close()
        await self.plane.close()

    def _busy(self) -> bool:
        return bool(self.plane.tunnels) or any(listener.is_busy for listener in self.listeners)

    def _close_idle(self) -> None:
        for listener in self.listeners:
            for connection in tuple(listener.connections):
                connection.close_if_idle()


def raise_descriptor_limit() -> None:
    """As many descriptors as the system lets us have: two for each connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
