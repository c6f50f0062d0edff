"""A bound address: takes connections in, within its limits, and lets go of them when the worker ends.

Accepting is our own small loop on a readable socket, not `create_server`: so it can stop at a limit and go on later
(what waits, waits in the kernel's queue), back off when descriptors run out, and leave the socket to a successor.
"""

import asyncio
import logging
import socket
from collections import Counter
from typing import TYPE_CHECKING, Final

from proxy.dataplane import door
from proxy.dataplane.downstream import Downstream
from proxy.dataplane.failures import EXHAUSTED
from proxy.dataplane.forwarding import networks
from proxy.http1.limits import HeadLimits

if TYPE_CHECKING:
    from proxy.dataplane.plane import Plane
    from proxy.snapshot.document import Listener as ListenerPart

log = logging.getLogger(__name__)

BACKLOG: Final = 4096  # connections that the kernel may have queued
BATCH: Final = 64  # connections taken in one go, before others get their turn
BACK_OFF: Final = 0.5  # seconds without accepting after descriptors or memory ran out
LOOK: Final = 0.01  # seconds between looks whether somebody is still half way in
PATIENCE: Final = 0.5  # seconds that they have for it: the round trip to anywhere


class Listener:
    """One of the worker's listeners, with the connections it has taken in."""

    def __init__(self, plane: "Plane", part: "ListenerPart", sock: socket.socket) -> None:
        self.plane = plane
        self.bind = part.bind
        self.limits = part.limits
        self.head_limits = HeadLimits(part.limits.head, part.limits.fields, part.limits.target)
        self.trusted = networks(part.trusted_proxies)
        self.connections: set[Downstream] = set()
        self._sock = sock
        self._clients: Counter[str] = Counter()
        self._starting: set[asyncio.Task[None]] = set()
        self._coming = 0  # taken in, and not yet among the connections
        self._accepting = False
        self._started = False
        self._stopped = False
        self._is_closing = False

    def __repr__(self) -> str:
        return f"<Listener {self.bind} {len(self.connections)} connections>"

    def change(self, part: "ListenerPart") -> None:
        """Take on other limits; connections that are there keep the addresses they trust, and what they have."""
        if part.limits != self.limits:
            self.limits = part.limits
            self.head_limits = HeadLimits(part.limits.head, part.limits.fields, part.limits.target)
            self._clients = Counter(each.client for each in self.connections if part.limits.per_client is not None)
        self.trusted = networks(part.trusted_proxies)
        if self._started:
            self.start()  # there may be room now

    def start(self) -> None:
        """Begin, or go on, to accept."""
        self._started = True
        if not self._accepting and not self._stopped:
            if not self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                self._sock.listen(BACKLOG)
            self._accepting = True
            self.plane.loop.add_reader(self._sock.fileno(), self._accept)

    def close(self, *, is_last: bool = False) -> None:
        """Take in who is waiting already, then no more, for good; the connections that are there go on.

        `is_last`: nobody else holds the socket, so that it ends with this.
        """
        if self._stopped or self._is_closing:
            return
        self._is_closing = True
        if is_last:
            door.shut(self._sock)
        self._close_once_passed(self.plane.loop.time() + (PATIENCE if is_last else 0.0))

    def _close_once_passed(self, latest: float) -> None:
        """Close when nobody is half way in any more, or at this time."""
        loop = self.plane.loop
        is_passing = loop.time() < latest and door.is_passing(self._sock)
        for _ in range(BACKLOG // BATCH):
            if self._accepting:
                self._accept()
        if is_passing:
            loop.call_later(LOOK, self._close_once_passed, latest)
            return
        self._stopped = True
        self._rest()
        self._sock.close()

    @property
    def is_busy(self) -> bool:
        """Is anyone connected, or about to be?"""
        return bool(self.connections or self._starting or (self._is_closing and not self._stopped))

    def opened(self, connection: Downstream) -> None:
        """A connection has its transport."""
        self._coming -= 1
        self.connections.add(connection)

    def closed(self, connection: Downstream) -> None:
        """A connection has ended, or has become a tunnel."""
        self.connections.discard(connection)
        self._has_left(connection.client)
        if not self._accepting:
            self.start()

    def _has_left(self, client: str) -> None:
        if self.limits.per_client is not None:
            self._clients[client] -= 1
            if self._clients[client] <= 0:
                del self._clients[client]

    def _rest(self) -> None:
        if self._accepting:
            self._accepting = False
            self.plane.loop.remove_reader(self._sock.fileno())

    def _accept(self) -> None:
        for _ in range(BATCH):
            if len(self.connections) + self._coming >= self.limits.connections:
                self._rest()  # until one is closed; what comes waits in the kernel's queue
                return
            try:
                sock, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._back_off(error)
                return
            self._take_in(sock, peer)

    def _back_off(self, error: OSError) -> None:
        if error.errno not in EXHAUSTED:
            log.info(
                "%s: a connection was lost before it was taken: %s", self.bind, error
            )  # accept(2), "Error handling"
            return
        log.error("%s: cannot accept: %s; trying again in %.1f s", self.bind, error.strerror, BACK_OFF)
        self._rest()
        self.plane.loop.call_later(BACK_OFF, self.start)

    def _take_in(self, sock: socket.socket, peer: object) -> None:
        client = str(peer[0]).removeprefix("::ffff:") if isinstance(peer, tuple) else ""
        if self.limits.per_client is not None:
            if self._clients[client] >= self.limits.per_client:
                sock.close()
                self.plane.count_refusal("client_connections")
                return
            self._clients[client] += 1
        self._coming += 1
        task = self.plane.loop.create_task(self._adopt(sock, client))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _adopt(self, sock: socket.socket, client: str) -> None:
        try:
            await self.plane.loop.connect_accepted_socket(lambda: Downstream(self, client), sock)  # type: ignore[type-var]
        except OSError as error:
            log.info("%s: a client was gone before it was served: %s", self.bind, error)
            self._coming -= 1
            self._has_left(client)
            sock.close()
