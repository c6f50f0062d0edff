"""A bound address: takes connections in, within its limits, and lets go of them when the worker ends.

Accepting is our own small loop on a readable socket, not `create_server`: so it can stop at a limit and go on later
(what waits, waits in the kernel's queue), back off when descriptors run out, and leave the socket to a successor.
"""

import asyncio
import logging
import socket
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxy.core.address import TcpAddress, parse_address
from proxy.dataplane.downstream import Downstream
from proxy.dataplane.failures import EXHAUSTED
from proxy.dataplane.forwarding import networks
from proxy.http1.limits import HeadLimits

if TYPE_CHECKING:
    from proxy.dataplane.plane import Plane
    from proxy.snapshot.document import Listener as ListenerPart

log = logging.getLogger(__name__)

BACKLOG: Final = 4096
BATCH: Final = 64  # connections taken in one go, before others get their turn
BACK_OFF: Final = 0.5  # seconds without accepting after descriptors or memory ran out


def bind(address: str) -> socket.socket:
    """A listening socket for a `bind` of the configuration; OSError where it can't be had."""
    parsed = parse_address(address)
    if isinstance(parsed, TcpAddress):
        return _bind_tcp(parsed)
    _remove_stale(parsed.path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(parsed.path)
    except OSError:
        sock.close()
        raise
    return _listening(sock)


def _bind_tcp(address: TcpAddress) -> socket.socket:
    family, kind, proto, _, where = socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit it: no system call for each.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
    except OSError:
        sock.close()
        raise
    return _listening(sock)


def _listening(sock: socket.socket) -> socket.socket:
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return sock


def _remove_stale(path: str) -> None:
    """A socket file that nobody answers is what a crash left behind."""
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)


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
        self._stopped = False

    def __repr__(self) -> str:
        return f"<Listener {self.bind} {len(self.connections)} connections>"

    def start(self) -> None:
        """Begin, or go on, to accept."""
        if not self._accepting and not self._stopped:
            self._accepting = True
            self.plane.loop.add_reader(self._sock.fileno(), self._accept)

    def close(self) -> None:
        """Take in who is waiting already, then no more, for good; the connections that are there go on."""
        if self._stopped:
            return
        for _ in range(BACKLOG // BATCH):
            if self._accepting:
                self._accept()
        self._stopped = True
        self._rest()
        self._sock.close()

    @property
    def is_busy(self) -> bool:
        """Is anyone connected, or about to be?"""
        return bool(self.connections or self._starting)

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
            await self.plane.loop.connect_accepted_socket(lambda: Downstream(self, client), sock)
        except OSError as error:
            log.info("%s: a client was gone before it was served: %s", self.bind, error)
            self._coming -= 1
            self._has_left(client)
            sock.close()
