"""What all connections of a worker share: the snapshot in force, the clock, the wheel, and what takes time."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from proxy.core.address import TcpAddress, parse_address
from proxy.dataplane.ending import late_ending
from proxy.dataplane.errand import ask
from proxy.dataplane.failures import EXHAUSTED, ConnectFailed, ConnectTimeout, Exhausted, TryTimeout, UpstreamReset
from proxy.dataplane.pending import admit
from proxy.dataplane.shadow import Shadows
from proxy.dataplane.streaming import Streams
from proxy.dataplane.tunnel import Tunnel
from proxy.dataplane.upstream import Upstream
from proxy.dataplane.wheel import FineWheel, Wheel
from proxy.dataplane.workshop import Workshop
from proxy.pools import ejection
from proxy.telemetry.counters import PoolCounters

if TYPE_CHECKING:
    from proxy.dataplane.attempt import Attempt
    from proxy.dataplane.exchange import Exchange
    from proxy.dataplane.listener import Listener
    from proxy.filters.effects import Run
    from proxy.http1.message import RequestHead, ResponseHead
    from proxy.pools.endpoint import Endpoint
    from proxy.snapshot.compile import Snapshot
    from proxy.telemetry.record import Record

log = logging.getLogger(__name__)

MOST_AFTERWARDS: Final = 1024  # of what nobody waits for, in one worker


class Plane:
    """One worker's data plane, without its listeners.

    `snapshot` is what requests that begin now go by; replacing it is one assignment. `draining` makes every further
    response the last of its connection. `refusals` counts replies of our own by reason, `unrouted` exchanges that no
    pool answered. `on_failing` is told of endpoints that fail so often in a row that they should be taken out; without
    it the plane decides by itself. `on_end` is told of every exchange that has ended. `is_ready` is what
    `respond: {ready: {}}` says: true from when it is known which endpoints are alive until the proxy is told to end.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, snapshot: "Snapshot", wall: Callable[[], float]) -> None:
        self.loop = loop
        self.snapshot = snapshot
        self.clock = loop.time
        self.wall = wall
        self.wheel = Wheel(loop.time())
        self.fine = FineWheel(loop.call_later, loop.time)
        self.bits = random.getrandbits  # for ids that name a request and protect nothing
        self.is_ready = False
        self.draining = False
        self.refusals: Counter[str] = Counter()
        self.unrouted = PoolCounters()
        self.tunnels: set[Tunnel] = set()
        self.on_failing: Callable[[Endpoint], None] | None = None
        self.on_end: Callable[[Record], None] | None = None
        self.shadows = Shadows()
        self.streams = Streams(self.wheel, loop.call_soon)
        self.workshop = Workshop(loop)
        self._connecting: set[asyncio.Task[None]] = set()
        self._running: set[asyncio.Task[None]] = set()

    # -- connections upstream

    def connect(self, attempt: "Attempt") -> None:
        """Make a connection for an attempt that waits for it."""
        task = self.loop.create_task(self._guarded_connect(attempt))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _guarded_connect(self, attempt: "Attempt") -> None:
        try:
            await self._connect(attempt)
        except Exception:
            # The outermost guard of a task of ours: the client must hear of it, and the place be given back.
            log.exception("a connection was not made use of: %r", attempt.exchange)
            attempt.exchange.spoil("internal_error")

    async def _connect(self, attempt: "Attempt") -> None:
        timeouts = attempt.exchange.timeouts
        try:
            patience = min(timeouts.connect, attempt.deadline - self.clock())
            async with asyncio.timeout(patience):
                upstream = await self._open(attempt.endpoint)
        except TimeoutError:
            attempt.connect_failed(ConnectTimeout() if patience == timeouts.connect else TryTimeout())
        except (OSError, ValueError) as error:
            log.info("no connection to %s: %s", attempt.endpoint.address, error)
            ours = isinstance(error, OSError) and error.errno in EXHAUSTED
            attempt.connect_failed(Exhausted() if ours else ConnectFailed())
        else:
            if upstream.is_closed:
                attempt.connect_failed(UpstreamReset())
            elif not attempt.connected(upstream):
                upstream.park(self.wheel.now + timeouts.upstream_idle)

    async def _open(self, endpoint: "Endpoint") -> Upstream:
        address = parse_address(endpoint.address)

        def protocol() -> Upstream:
            return Upstream(endpoint, self.wheel)

        if isinstance(address, TcpAddress):
            _, upstream = await self.loop.create_connection(protocol, address.host, address.port)  # type: ignore[type-var]
        else:
            _, upstream = await self.loop.create_unix_connection(protocol, address.path)  # type: ignore[type-var]
        return upstream

    # -- what filters start

    def ask(
        self, service: str, head: "RequestHead", body: bytes, request_id: bytes
    ) -> "Awaitable[tuple[ResponseHead, bytes]]":
        """A service's answer to a request of our own."""
        return ask(self, service, head, body, request_id)

    def afterwards(self, run: "Run") -> None:
        """Run what nobody waits for; too much of it is left out."""
        if len(self._running) >= MOST_AFTERWARDS:
            run.work.close()
            run.failed(RuntimeError("too many of them run already"))
            return
        task = self.loop.create_task(self._run(run))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, run: "Run") -> None:
        try:
            async with asyncio.timeout(run.timeout):
                await run.work
        except Exception as error:  # noqa: BLE001 - whatever a plug-in raises: `failed` says what becomes of it
            run.failed(error)

    # -- tunnels

    def open_tunnel(
        self, attempt: "Attempt", client: asyncio.Transport, far: asyncio.Transport, on_close: Callable[[], None]
    ) -> Tunnel:
        """Join the two; the endpoint counts the tunnel until it is closed. Nothing else of the exchange is kept."""
        exchange = attempt.exchange
        tell = late_ending(exchange)
        endpoint = attempt.become_tunnel()

        def closed(tunnel: Tunnel) -> None:
            if tell is not None:
                tell(tunnel)
            self.tunnels.discard(tunnel)
            endpoint.tunnels -= 1
            endpoint.shared.connections -= 1
            admit(endpoint.shared)
            on_close()

        tunnel = Tunnel(self.wheel, endpoint, exchange.timeouts.tunnel_idle, closed)
        self.tunnels.add(tunnel)
        tunnel.join(client, far)
        return tunnel

    # -- what is learned from exchanges

    def count_refusal(self, reason: str) -> None:
        """A reply of our own was made for this reason."""
        self.refusals[reason] += 1

    def count_failure(self, exchange: "Exchange", reason: str) -> None:
        """An attempt failed."""
        exchange.counters.failures[reason] += 1

    def blame(self, exchange: "Exchange", endpoint: "Endpoint") -> None:
        """A request failed by the endpoint's fault; enough of them in a row and it is ejected."""
        if exchange.is_copy:
            return
        service = exchange.route.service
        settings = None if service is None else service.ejection
        if settings is None:
            endpoint.consecutive_errors += 1  # nothing is ejected; retries go by it all the same
            return
        if self.on_failing is not None:
            endpoint.consecutive_errors += 1
            if endpoint.consecutive_errors % settings.consecutive_errors == 0:
                self.on_failing(endpoint)
            return
        now = self.clock()
        if ejection.failed(endpoint, exchange.pool, now, settings):
            log.warning("ejected %r for %.0f s", endpoint, endpoint.ejected_until - now)
            self.loop.call_at(endpoint.ejected_until, self._readmit, endpoint)

    def _readmit(self, endpoint: "Endpoint") -> None:
        if ejection.readmit(endpoint, self.clock()):
            log.warning("readmitted %r", endpoint)

    def cut(
        self, service: str, pool: str, address: str | None, listeners: "list[Listener]", exchanges: bool
    ) -> tuple[int, int]:
        """Close the tunnels of an endpoint, or of a whole pool, and, if asked to, its running exchanges; how many."""

        def is_meant(endpoint: "Endpoint") -> bool:
            return (endpoint.service, endpoint.pool) == (service, pool) and address in (None, endpoint.address)

        tunnels = [tunnel for tunnel in self.tunnels if is_meant(tunnel.endpoint)]
        for tunnel in tunnels:
            tunnel.close()
        running = [
            connection
            for listener in listeners
            for connection in listener.connections
            if exchanges and connection.exchange and (attempt := connection.exchange.attempt) is not None
            and is_meant(attempt.endpoint)
        ]  # fmt: skip
        for connection in running:
            connection.abort()
        return len(tunnels), len(running)

    async def close(self) -> None:
        """End what is still under way: connections being made, copies, tunnels."""
        self.shadows.close()
        self.workshop.close()
        tasks = (*self._connecting, *self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for tunnel in tuple(self.tunnels):
            tunnel.close()
        self.streams.end()
