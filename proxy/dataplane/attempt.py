"""One try of an exchange at one endpoint: holds a place there, gets a connection, and sends the request over it."""

from math import inf
from typing import TYPE_CHECKING

from proxy.dataplane.failures import UpstreamFailure
from proxy.dataplane.idle import check_out
from proxy.dataplane.retrying import IDEMPOTENT

if TYPE_CHECKING:
    from proxy.dataplane.exchange import Exchange
    from proxy.dataplane.upstream import Upstream
    from proxy.pools.endpoint import Endpoint
    from proxy.pools.pool import Pool


class Attempt:
    """Counted at its endpoint and pool from the moment it exists until `end`.

    `upstream` is its connection once there is one. `deadline` is when `retry.per_try` is over.
    """

    __slots__ = ("deadline", "endpoint", "exchange", "is_over", "upstream")

    def __init__(self, exchange: "Exchange", pool: "Pool", endpoint: "Endpoint") -> None:
        self.exchange = exchange
        self.endpoint = endpoint
        self.upstream: Upstream | None = None
        self.deadline = inf
        self.is_over = False
        pool.shared.connections += 1
        endpoint.in_flight += 1

    def begin(self, now: float, *, fresh: bool) -> None:
        """Send the request: over an idle connection, or, without one or if it must be `fresh`, over a new one."""
        exchange = self.exchange
        per_try = exchange.retry.per_try
        if per_try is not None:
            self.deadline = now + per_try
        upstream = None if fresh else check_out(self.endpoint, now, exchange.head.method in IDEMPOTENT)
        if upstream is None:
            exchange.plane.connect(self)
        else:
            self._send(upstream, now)

    def connected(self, upstream: "Upstream") -> bool:
        """The connection is made; false if nobody waits for it any more."""
        if self.is_over:
            return False
        self._send(upstream, self.exchange.plane.clock())
        return True

    def connect_failed(self, failure: UpstreamFailure) -> None:
        """The connection could not be made."""
        if not self.is_over:
            self.exchange.attempt_failed(failure, reused=False)

    def end(self, now: float) -> None:
        """Leave the endpoint; the connection goes back among the idle ones if it can."""
        upstream = self.upstream
        if upstream is not None:
            upstream.release(now)
        self.leave()

    def drop(self) -> None:
        """Leave the endpoint in the middle of things: the connection is of no more use."""
        if self.upstream is not None:
            self.upstream.close()
        self.leave()

    def leave(self) -> None:
        """Give the place back, to whoever waits for one."""
        self.vacate()
        shared = self.endpoint.shared
        if shared.pending:
            self.exchange.plane.admit(shared)

    def vacate(self) -> None:
        """Give the place back; who waits for one has to wait a little longer."""
        if not self.is_over:
            self.is_over = True
            self.endpoint.in_flight -= 1
            self.endpoint.shared.connections -= 1

    def become_tunnel(self) -> "Endpoint":
        """The exchange is over, its place in the pool goes on: who closes the tunnel gives it back."""
        self.is_over = True
        self.endpoint.in_flight -= 1
        self.endpoint.tunnels += 1
        return self.endpoint

    def _send(self, upstream: "Upstream", now: float) -> None:
        self.upstream = upstream
        exchange = self.exchange
        held = exchange.held
        trailers = exchange.request_trailers
        done = exchange.request_done
        if not done:
            exchange.downstream.resume()  # before what is sent now can pause it again
        upstream.start(exchange, b"" if held is None else held.whole(), done and not trailers, now)
        if held is not None:
            held.sent(exchange.retry.body)
        if trailers:
            upstream.send_end(trailers)
