"""One try of an exchange at one endpoint: holds a place there, gets a connection, and sends the request over it."""

from math import inf
from typing import TYPE_CHECKING

from proxy.dataplane.failures import Exhausted, UpstreamFailure
from proxy.dataplane.idle import check_out
from proxy.dataplane.pending import admit, wait
from proxy.dataplane.retrying import IDEMPOTENT, is_stale, may_repeat, status_condition
from proxy.dataplane.sighting import leave_cohort, seen, turn_away

if TYPE_CHECKING:
    from proxy.dataplane.exchange import Exchange
    from proxy.dataplane.upstream import Upstream
    from proxy.pools.endpoint import Endpoint


class Attempt:
    """Counted at its endpoint and pool, by the exchange that makes it, until it is over.

    `upstream` is its connection once there is one. `began` is when it began, `deadline` when `retry.per_try` is over.
    """

    __slots__ = ("began", "deadline", "endpoint", "exchange", "is_over", "upstream")

    def __init__(
        self, exchange: "Exchange", endpoint: "Endpoint", upstream: "Upstream | None", began: float, deadline: float
    ) -> None:
        self.exchange = exchange
        self.endpoint = endpoint
        self.upstream = upstream
        self.began = began
        self.deadline = deadline
        self.is_over = False

    def connected(self, upstream: "Upstream") -> bool:
        """The connection is made; false if nobody waits for it any more."""
        if self.is_over:
            return False
        self.upstream = upstream
        now = self.exchange.plane.clock()
        self.exchange.connecting = now - self.began
        self.send(upstream, now)
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
        endpoint = self.endpoint
        shared = endpoint.shared
        if not self.is_over:  # `leave` without its two calls
            self.is_over = True
            endpoint.in_flight -= 1
            shared.connections -= 1
        if shared.pending:
            admit(shared)

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
            admit(shared)

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

    def send(self, upstream: "Upstream", now: float) -> None:
        """Send what there is of the request."""
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


def begin_attempt(exchange: "Exchange", fresh: bool = False) -> None:  # noqa: FBT002 - by position: a keyword costs
    """Go to the best endpoint there is: over an idle connection, or, without one or if `fresh`, over a new one."""
    # All in one frame, not in six: a place is taken, a connection found, and the request sent.
    pool = exchange.pool
    endpoint = pool.pick(exchange, exchange.tried)
    if endpoint is None:
        leave_cohort(exchange)
        pool = exchange.pool
        found = exchange.route.endpoint(pool, exchange, exchange.tried)  # elsewhere, then
        if found is None:
            turn_away(exchange)
            exchange.reply("no_endpoint")
            return
        sighting = seen(exchange)
        if sighting is not None:
            service = exchange.route.service
            is_stranded = service is not None and service.strands(pool)
            # Panic, the other cohort; or elsewhere, but for a candidate's sake.
            (sighting.forget if found[0] is pool and not is_stranded else sighting.turned_away)()
        pool, endpoint = found
        exchange.pool = pool
    shared = pool.shared
    if not exchange.is_copy:
        exchange.counters = shared.counters
    if shared.connections >= shared.limits.connections:
        wait(exchange, pool)
        return
    if not fresh:  # a stale connection's second chance does not count
        exchange.attempts += 1
    now = exchange.started if exchange.attempts == 1 else exchange.plane.clock()
    idle = endpoint.idle
    upstream: Upstream | None = None
    if idle and not fresh:
        upstream = idle.pop()
        if upstream.deadline <= now or upstream.is_closed or exchange.head.method not in IDEMPOTENT:
            idle.append(upstream)  # the newest will not do as it is
            upstream = check_out(endpoint, now, exchange.head.method in IDEMPOTENT)
    per_try = exchange.retry.per_try
    deadline = inf if per_try is None else now + per_try
    exchange.endpoint = endpoint
    attempt = exchange.attempt = Attempt(exchange, endpoint, upstream, now, deadline)
    shared.connections += 1
    endpoint.in_flight += 1
    if upstream is None:
        exchange.plane.connect(attempt)
    elif exchange.held is None and exchange.request_done and not exchange.request_trailers:
        upstream.start(exchange, b"", True, now)
    else:
        attempt.send(upstream, now)


def follow_up(exchange: "Exchange", attempt: Attempt, failure: UpstreamFailure, reused: bool) -> None:
    """An attempt gave no response head: make another where that is allowed, or answer for it."""
    attempt.vacate()
    if is_stale(exchange, failure, reused):
        exchange.stale_retried = True
        begin_attempt(exchange, True)
    else:
        _count_and_repeat(exchange, attempt, failure)
    _admit_next(attempt)


def repeat_for_status(exchange: "Exchange", attempt: Attempt, status: int) -> bool:
    """Where `retry` names the status of this response, let go of it and make another attempt; has it been done?"""
    condition = status_condition(exchange.retry, status)
    if condition is None or not may_repeat(exchange, condition, exchange.plane.clock()):
        return False
    exchange.attempt = None
    leave_cohort(exchange)
    if attempt.upstream is not None:
        attempt.upstream.close()
    attempt.vacate()
    _repeat(exchange, attempt)
    _admit_next(attempt)
    return True


def _count_and_repeat(exchange: "Exchange", attempt: Attempt, failure: UpstreamFailure) -> None:
    plane = exchange.plane
    sighting = seen(exchange)
    if sighting is not None:
        sighting.failed(failure, attempt)
    if not isinstance(failure, Exhausted):
        exchange.fail_flags()
    leave_cohort(exchange)
    if failure.blames_endpoint:
        plane.blame(exchange, attempt.endpoint)
    plane.count_failure(exchange, failure.reason)
    if may_repeat(exchange, failure.condition, plane.clock()):
        _repeat(exchange, attempt)
    else:
        exchange.reply(failure.reason)


def _repeat(exchange: "Exchange", attempt: Attempt) -> None:
    """Make another attempt, elsewhere than where this one failed if there is another endpoint."""
    exchange.tried = (*exchange.tried, attempt.endpoint)
    exchange.counters.retries += 1
    begin_attempt(exchange)


def _admit_next(attempt: Attempt) -> None:
    """Only when another attempt of the same exchange could take the place first."""
    shared = attempt.endpoint.shared
    if shared.pending:
        admit(shared)
