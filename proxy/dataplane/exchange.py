"""One request with its response: routed once, tried at one or more endpoints, counted once.

An exchange does not know what its two sides speak. Heads come and go without framing; a side frames for itself, takes
`pause`, `resume` and `close`, and tells of data, ends and failures. So the same exchange serves HTTP/1.1 on both sides,
a codec in a test's memory, and what comes later.

The ordinary way is synchronous: request in, endpoint chosen, idle connection at hand, bytes out, without a task, a
future or a coroutine. What has to wait (a connection to be made, a place in a full pool) goes through `Plane`.

Over 400 lines: it is where a request's two sides meet, and each word of theirs is a method of a few lines.
"""

from bisect import bisect_left
from math import inf
from typing import TYPE_CHECKING, Final

from proxy.dataplane.attempt import Attempt
from proxy.dataplane.failures import UpstreamFailure
from proxy.dataplane.forwarding import is_loop
from proxy.dataplane.held import HeldBody
from proxy.dataplane.idle import check_out
from proxy.dataplane.replies import REPLIES, own_head, text_reply
from proxy.dataplane.retrying import IDEMPOTENT, is_stale, may_repeat, status_condition
from proxy.filters.effects import ChoosePool, Reply
from proxy.http1.cookies import without_cookie
from proxy.http1.errors import MessageError
from proxy.http1.host import normal_host
from proxy.http1.message import EXPECT_OTHER, VIA, RequestHead, ResponseHead
from proxy.http1.target import canonical_path
from proxy.telemetry.histogram import BUCKETS

if TYPE_CHECKING:
    from proxy.dataplane.plane import Plane
    from proxy.dataplane.sides import ClientSide
    from proxy.dataplane.upstream import Upstream
    from proxy.filters.registry import RequestFilter, ResponseFilter
    from proxy.pools.endpoint import Endpoint
    from proxy.pools.pool import Pool
    from proxy.routing.route import Route
    from proxy.snapshot.document import Retry, Timeouts

CLIENT_LEFT: Final = 499
_PERCENT: Final = 0x25
_SELDOM: Final = EXPECT_OTHER | VIA


class Exchange:
    """A request under way. It is also the `Facts` that matches, filters and balancers look at.

    `block` is what the upstream is sent: first the fields that tell of the client, then all of them. `held` is what is
    kept of the body. `attempt` is the try under way, `tried` are the endpoints of those that failed.
    """

    __slots__ = (
        "_host",
        "_named",
        "attempt",
        "attempts",
        "block",
        "client",
        "counters",
        "deadline",
        "downstream",
        "head",
        "held",
        "is_queued",
        "path",
        "plane",
        "pool",
        "query",
        "reason",
        "request_done",
        "request_trailers",
        "responded",
        "response_done",
        "response_filters",
        "retry",
        "route",
        "scheduled",
        "scheme",
        "set_cookie",
        "stale_retried",
        "started",
        "status",
        "timeouts",
        "tried",
    )

    # Set on the way, before anyone asks for them.
    path: bytes
    query: bytes
    pool: "Pool"
    request_done: bool
    retry: "Retry"
    route: "Route"
    timeouts: "Timeouts"

    def __init__(
        self,
        plane: "Plane",
        downstream: "ClientSide",
        head: RequestHead,
        told: tuple[str, bytes, bytes],
        now: float,
    ) -> None:
        self.plane = plane
        self.downstream = downstream
        self.head = head
        self.client, self.scheme, self.block = told
        self.started = now
        self.deadline = self.scheduled = inf
        self.counters = plane.unrouted
        self.attempt: Attempt | None = None
        self.attempts = 0
        self.tried: tuple[Endpoint, ...] = ()
        self.stale_retried = False
        self.held: HeldBody | None = None
        self.request_trailers = b""
        self.set_cookie: bytes | None = None
        self.status = 0
        self.reason: str | None = None
        self.response_filters: tuple[ResponseFilter, ...] = ()
        self.is_queued = False
        self.responded = False
        self.response_done = False
        self._host: bytes | None = None
        self._named: str | None = None

    def __repr__(self) -> str:
        path = self.head.target.partition(b"?")[0]  # a query may hold secrets
        return f"<Exchange {self.head.method!r} {path[:80]!r} status={self.status}>"

    @property
    def host(self) -> bytes:
        """The Host as routing compares it; worked out when somebody asks."""
        if self._host is None:
            self._host = normal_host(self.head.host)
        return self._host

    @host.setter
    def host(self, value: bytes) -> None:
        self._host = value

    @property
    def is_ready(self) -> bool:
        """Does the proxy want more requests?"""
        return self.plane.is_ready

    @property
    def is_whole(self) -> bool:
        """Is everything that came of the request still here, so that it can be sent again?"""
        return self.held is None or not self.held.lost

    # -- what the downstream side calls

    def begin(self, body: bytes, done: bool) -> None:
        """The request is here, its body perhaps not yet whole: find its way, and send it there."""
        self.request_done = done
        if body:
            self.held = HeldBody()
            self.held.add(body)
        head = self.head
        path, mark, self.query = head.target.partition(b"?")
        self.path = path
        # A target holds no backslash and starts with a slash, so all other paths are canonical: 0.3 µs less.
        if (_PERCENT in path or path.find(b"/.") >= 0) and not self._make_canonical(path, mark):
            return
        if head.flags & _SELDOM and self._is_hopeless(head):
            return
        snapshot = self.plane.snapshot
        filters = snapshot.filters
        self.response_filters = snapshot.response_filters
        if filters and self._filter(filters):
            return
        find = snapshot.router.find
        route = find(self)
        if route is None:
            self.reply("no_route")
            return
        self.route = route
        self.timeouts = timeouts = route.timeouts
        self.retry = route.retry
        draw = route.draw
        if draw is not None and not filters:
            self.pool = draw()
            cookie = head.cookie
        elif self._choose(route):
            cookie = self._passed_cookie(route)
        else:
            return
        if cookie:
            self.block = b"".join((head.block, b"Cookie: ", cookie, b"\r\n", self.block))
        else:
            self.block = head.block + self.block
        if timeouts.total is not None:
            self.plane.wheel.watch(self, self._total_deadline())
        self._attempt()

    def request_data(self, data: bytes) -> None:
        """A piece of the request's body."""
        upstream = self._upstream()
        if not self.responded:
            if self.held is None:
                self.held = HeldBody()
            self.held.add(data)
        if upstream is None:
            self.downstream.pause()  # nowhere to send it yet
            return
        upstream.send_data(data)
        if self.held is not None:
            self.held.sent(self.retry.body)

    def request_end(self, trailers: bytes) -> None:
        """The request's body is complete."""
        self.request_done = True
        self.request_trailers = trailers
        upstream = self._upstream()
        if upstream is None:
            return
        upstream.send_end(trailers)
        if self.response_done:
            self._end_attempt()
            self._finish()

    def abandon(self) -> None:
        """The client has left: whatever is under way for it ends, and no endpoint is blamed."""
        self._drop_attempt()
        if not self.response_done:
            self.status = CLIENT_LEFT
            self.reason = "client_left"
        self._count()

    def spoil(self, reason: str, status: int = 0, message: str = "") -> None:
        """The request turned out bad after it had begun: its attempt ends, and the client is told while it can be."""
        self._drop_attempt()
        if self.response_done:
            self._finish()
        elif self.responded:
            self.reason = reason
            self._count()
            self.downstream.break_off()
        elif status:
            self.refuse(status, reason, message)
        else:
            self.reply(reason)

    def give_up(self) -> None:
        """The response is complete, and too much of the request still comes: nobody wants it."""
        self._drop_attempt()
        self._finish()

    def pause_response(self) -> None:
        """The client reads slowly."""
        upstream = self._upstream()
        if upstream is not None:
            upstream.pause()

    def resume_response(self) -> None:
        """The client has caught up."""
        upstream = self._upstream()
        if upstream is not None:
            upstream.resume()

    # -- what the upstream side calls

    def response(self, head: ResponseHead, body: bytes, done: bool) -> None:
        """The response's head is here; `body` is what came with it, `done` if that is all."""
        attempt = self.attempt
        if attempt is None:
            return
        status = head.status
        endpoint = attempt.endpoint
        seconds = self.plane.clock() - attempt.began
        upstream = self.counters.upstream
        upstream.counts[bisect_left(BUCKETS, seconds)] += 1  # as in _count
        upstream.total += seconds
        if status >= 500:
            self.plane.blame(self, endpoint)
            if self._tries_again_for(status, endpoint):
                return
        elif endpoint.consecutive_errors:
            endpoint.consecutive_errors = 0
        if self.set_cookie is not None:
            self._bind_session(head)
        if self.response_filters:
            self._filter_response(head)
        self.status = head.status
        self.responded = True
        downstream = self.downstream
        if not done:
            downstream.respond(head, body, False)
            return
        self.response_done = True
        if self.request_done:
            self.attempt = None  # `_end_attempt` and `_finish` without their frames
            attempt.end(self.plane.wheel.now)
            downstream.respond(head, body, True)
            self._count()
            downstream.finished()
        else:
            downstream.respond(head, body, True)
            self._answered_early(attempt)

    def response_data(self, data: bytes) -> None:
        """A piece of the response's body."""
        self.downstream.send_data(data)

    def response_end(self, data: bytes, trailers: bytes) -> None:
        """The last piece, and the trailers there were."""
        attempt = self.attempt
        if attempt is None:
            return
        self.response_done = True
        if self.request_done:
            self._end_attempt()
        if data:
            self.downstream.send_data(data)
        self.downstream.send_end(trailers)
        if self.request_done:
            self._finish()
        else:
            self._answered_early(attempt)

    def informational(self, head: ResponseHead) -> None:
        """A 1xx other than 101."""
        self.downstream.inform(head)

    def upgrade(self, head: ResponseHead, early: bytes) -> None:
        """The upstream said 101 to the upgrade that was asked for; `early` is what it sent right behind."""
        upstream = self._upstream()
        if upstream is None:
            return
        if self.attempt is not None:
            self.attempt.endpoint.consecutive_errors = 0
        self._bind_session(head)
        self._filter_response(head)
        self.status = 101
        self.responded = self.response_done = True
        self._count()
        self.downstream.join(upstream, head, early)

    def attempt_failed(self, failure: UpstreamFailure, reused: bool) -> None:
        """This attempt gave no response head; try again where that is allowed."""
        attempt, self.attempt = self.attempt, None
        if attempt is None:
            return
        shared = attempt.endpoint.shared
        attempt.vacate()
        self._after_failure(failure, attempt, reused)
        if shared.pending:  # now, so that another attempt of ours took the place first
            self.plane.admit(shared)

    def _after_failure(self, failure: UpstreamFailure, attempt: Attempt, reused: bool) -> None:
        if is_stale(self, failure, reused):
            self.stale_retried = True
            self._attempt(True)
            return
        if failure.blames_endpoint:
            self.plane.blame(self, attempt.endpoint)
        self.plane.count_failure(self, failure.reason)
        if may_repeat(self, failure.condition, self.plane.clock()):
            self._attempt_again(attempt.endpoint)
        else:
            self.reply(failure.reason)

    def response_broken(self, reason: str) -> None:
        """The response ended before it was whole. The client must see that, and it is never tried again."""
        attempt, self.attempt = self.attempt, None
        if attempt is None:
            return
        attempt.leave()
        self.plane.blame(self, attempt.endpoint)
        self.plane.count_failure(self, reason)
        self.reason = reason
        self._count()
        self.downstream.break_off()

    def upstream_gone(self) -> None:
        """The upstream closed after a complete response, while the request was still being sent."""
        if self.attempt is None:
            return
        self._end_attempt()
        if self.responded:
            self._finish()
        else:
            self.reply("internal_error")  # its response was lost in here

    def pause_request(self) -> None:
        """The endpoint reads slowly."""
        if not self.request_done:
            self.downstream.pause()

    def resume_request(self) -> None:
        """The endpoint has caught up."""
        if not self.request_done:
            self.downstream.resume()

    # -- what the plane and the wheel call

    def admitted(self) -> None:
        """A place in the pool has become free."""
        self.is_queued = False
        self.deadline = self._total_deadline()
        self._attempt()

    def expire(self, now: float) -> None:
        """Waited too long for a place, or `timeouts.total` is over."""
        self.deadline = inf
        if now < self._total_deadline():
            self.spoil("pending_timeout")
        else:
            self.plane.count_failure(self, "total_timeout")
            self.spoil("total_timeout")

    # -- replies of our own

    def reply(self, reason: str) -> None:
        """Answer by ourselves, with one of the REPLIES."""
        status, message = REPLIES[reason]
        self.refuse(status, reason, message)

    def refuse(self, status: int, reason: str, message: str) -> None:
        """Answer by ourselves, with a line of text."""
        self.reason = reason
        self._answer(*text_reply(status, reason, message))

    def _act(self, reply: Reply) -> None:
        """Answer with what a route's action or a filter says."""
        self.reason = reply.reason
        head = own_head(reply.status, reply.block, len(reply.body))
        self._filter_response(head)
        self._answer(head, reply.body)

    def _answer(self, head: ResponseHead, body: bytes) -> None:
        self.status = head.status
        self.responded = self.response_done = True
        self.downstream.respond(head, b"" if self.head.method == b"HEAD" else body, True)
        self._finish()

    # -- finding the way

    def _is_hopeless(self, head: RequestHead) -> bool:
        if head.flags & EXPECT_OTHER:
            self.reply("expectation_failed")
            return True
        if is_loop(head.get(b"via") or b""):
            self.reply("loop")
            return True
        return False

    def _filter(self, filters: "tuple[RequestFilter, ...]") -> bool:
        """Run request filters; true if one of them answered."""
        for each in filters:
            effect = each.on_request(self)
            if isinstance(effect, Reply):
                self._act(effect)
                return True
            if isinstance(effect, ChoosePool):
                self._named = effect.name
        return False

    def _bind_session(self, head: ResponseHead) -> None:
        if self.set_cookie is not None:
            head.block += b"Set-Cookie: %b\r\nCache-Control: private\r\n" % self.set_cookie

    def _filter_response(self, head: ResponseHead) -> None:
        for each in self.response_filters:
            each.on_response(self, head)

    def _choose(self, route: "Route") -> bool:
        """Choose the pool where more than a draw decides; false if the exchange goes to none."""
        if route.response_filters:
            self.response_filters = route.response_filters + self.response_filters
        service = route.service
        if service is not None and service.is_sticky and route.pool is None:
            # Before a filter can take away what it goes by.
            self.pool, self.set_cookie = service.stick(self, self.plane.wall())
        if route.request_filters and self._filter(route.request_filters):
            return False
        if route.action is not None:
            self._act(route.action(self))
            return False
        if service is None:
            return False
        if self._named is not None:
            self.pool = service.pools[self._named]
            self.set_cookie = None
        elif route.pool is not None:
            self.pool = route.pool
        elif not service.is_sticky:
            self.pool = service.draw()
        return True

    def _passed_cookie(self, route: "Route") -> bytes | None:
        """The Cookie field for the upstream: without the proxy's own."""
        cookie, service = self.head.cookie, route.service
        if cookie is None or service is None or service.sticky_cookie is None:
            return cookie
        return without_cookie(cookie, service.sticky_cookie)

    def _make_canonical(self, path: bytes, mark: bytes) -> bool:
        """Bring the path into its one form; false if it has none, and was refused."""
        try:
            canonical = self.path = canonical_path(path)
        except MessageError as error:
            self.refuse(error.status, error.reason, str(error))
            return False
        self.head.target = canonical + mark + self.query  # what is matched is what is forwarded
        return True

    # -- attempts

    def _attempt(self, fresh: bool = False) -> None:  # noqa: FBT002 - by position: a keyword costs 0.1 µs
        """Go to the best endpoint there is: over an idle connection, or, without one or if `fresh`, over a new one."""
        # In one frame what were six, 1 µs less: a place is taken, a connection found, and the request sent.
        pool = self.pool
        endpoint = pool.pick(self, self.tried)
        if endpoint is None:
            found = self.route.endpoint(pool, self, self.tried)  # elsewhere, then
            if found is None:
                self.reply("no_endpoint")
                return
            pool, endpoint = found
            self.pool = pool
        shared = pool.shared
        self.counters = shared.counters
        if shared.connections >= shared.limits.connections:
            self._queue(pool)
            return
        if not fresh:  # a stale connection's second chance does not count
            self.attempts += 1
        now = self.started if self.attempts == 1 else self.plane.clock()
        idle = endpoint.idle
        upstream: Upstream | None = None
        if idle and not fresh:
            upstream = idle.pop()
            if upstream.deadline <= now or upstream.is_closed or self.head.method not in IDEMPOTENT:
                idle.append(upstream)  # the newest will not do as it is
                upstream = check_out(endpoint, now, self.head.method in IDEMPOTENT)
        per_try = self.retry.per_try
        deadline = inf if per_try is None else now + per_try
        attempt = self.attempt = Attempt(self, endpoint, upstream, now, deadline)
        shared.connections += 1
        endpoint.in_flight += 1
        if upstream is None:
            self.plane.connect(attempt)
        elif self.held is None and self.request_done and not self.request_trailers:
            upstream.start(self, b"", True, now)
        else:
            attempt.send(upstream, now)

    def _attempt_again(self, endpoint: "Endpoint") -> None:
        self.tried = (*self.tried, endpoint)
        self.counters.retries += 1
        self._attempt()

    def _tries_again_for(self, status: int, endpoint: "Endpoint") -> bool:
        condition = status_condition(self.retry, status)
        if condition is None or not may_repeat(self, condition, self.plane.clock()):
            return False
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            if attempt.upstream is not None:
                attempt.upstream.close()
            attempt.vacate()
        self._attempt_again(endpoint)
        if endpoint.shared.pending:
            self.plane.admit(endpoint.shared)
        return True

    def _queue(self, pool: "Pool") -> None:
        """The pool is full: wait for a place."""
        if not pool.shared.may_wait():
            self.counters.overflowed += 1
            self.reply("overloaded")
            return
        self.is_queued = True
        pool.shared.pending.append(self)
        service = self.route.service
        patience = 0.0 if service is None else service.limits.pending_timeout
        self.plane.wheel.watch(self, min(self.plane.clock() + patience, self._total_deadline()))

    def _total_deadline(self) -> float:
        total = self.timeouts.total
        return inf if total is None else self.started + total

    def _upstream(self) -> "Upstream | None":
        attempt = self.attempt
        return None if attempt is None else attempt.upstream

    # -- the end

    def _answered_early(self, attempt: Attempt) -> None:
        """The response is complete, the request's body is not: see it through if little is left, else give it up."""
        upstream = attempt.upstream
        if upstream is not None and upstream.keep and self.downstream.can_drain():
            return
        self._drop_attempt()
        self._finish()

    def _end_attempt(self) -> None:
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            attempt.end(self.plane.wheel.now)

    def _drop_attempt(self) -> None:
        """Let go of whatever is waited for."""
        if self.is_queued:
            self.is_queued = False
            self.pool.shared.pending.remove(self)
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            attempt.drop()

    def _finish(self) -> None:
        self._count()
        self.downstream.finished()

    def _count(self) -> None:
        """Once per exchange: into the statistics of the pool that had it."""
        plane = self.plane
        if self.scheduled != inf:
            plane.wheel.drop(self)
        if self.reason is not None:
            plane.count_refusal(self.reason)
        counters = self.counters
        counters.requests[self.status // 100] += 1
        seconds = plane.clock() - self.started
        duration = counters.duration
        duration.counts[bisect_left(BUCKETS, seconds)] += 1  # Histogram.observe without its frame: 0.1 µs less
        duration.total += seconds
