"""Copies of requests for a pool whose answers nobody sees: a dark launch, compared with what was really answered.

A copy never touches the real exchange: it is sent after it, holds no place that real requests need, blames no endpoint,
and counts in no pool's statistics.
"""

import logging
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from proxy.dataplane.attempt import begin_attempt
from proxy.dataplane.exchange import Exchange
from proxy.dataplane.held import HeldBody
from proxy.filters.effects import Shadow
from proxy.http1 import fields
from proxy.http1.message import EXPECT_CONTINUE, EXPECT_OTHER, NO_BODY, WEBSOCKET, RequestHead, ResponseHead
from proxy.telemetry.counters import PoolCounters

if TYPE_CHECKING:
    from proxy.dataplane.upstream import Upstream
    from proxy.pools.pool import Pool

log = logging.getLogger("sluice")

MOST_AT_ONCE: Final = 256  # copies under way in one worker
LONGEST: Final = 60.0  # seconds for a copy whose route has no total timeout
_CREDENTIALS: Final = frozenset({b"authorization", b"cookie", b"proxy-authorization"})
_EXPECT: Final = frozenset({b"expect"})  # the body goes at once


class Shadows:
    """All copies of one worker that are under way."""

    def __init__(self) -> None:
        self._running: set[_Copied] = set()

    def send(self, real: Exchange, shadow: Shadow, body: bytes) -> bool:
        """Send a copy a moment later; false where there is no room, or no such pool, for it."""
        service = real.route.service
        pool = None if service is None else service.pools.get(shadow.pool)
        if pool is None or not self._has_room(pool):
            return False
        copy = _Copied(real, shadow, pool, body, self._running)
        self._running.add(copy)
        real.plane.loop.call_soon(copy.set_out)
        return True

    def close(self) -> None:
        """Let go of all of them."""
        for copy in tuple(self._running):
            copy.abandon()

    def _has_room(self, pool: "Pool") -> bool:
        shared = pool.shared
        return len(self._running) < MOST_AT_ONCE and shared.connections * 2 < shared.limits.connections


class _Nobody:
    """A client that takes everything and says nothing."""

    def respond(self, head: ResponseHead, body: bytes, done: bool) -> None:
        pass

    def send_data(self, data: bytes) -> None:
        pass

    def send_end(self, trailers: bytes) -> None:
        pass

    def inform(self, head: ResponseHead) -> None:
        pass

    def finished(self) -> None:
        pass

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def can_drain(self) -> bool:
        return False

    def break_off(self) -> None:
        pass

    def join(self, upstream: "Upstream", _head: ResponseHead, _early: bytes) -> None:
        upstream.close()


class _Copied(Exchange):
    """The copy. Its counters are its own, and are thrown away."""

    __slots__ = ("_own", "_running", "_shadow")

    is_copy = True

    def __init__(self, real: Exchange, shadow: Shadow, pool: "Pool", body: bytes, running: "set[_Copied]") -> None:
        self._own = PoolCounters()
        self._running = running
        self._shadow = shadow
        head, block = _copied_head(real, shadow, len(body))
        super().__init__(real.plane, _Nobody(), head, (real.client, real.scheme, block), real.plane.clock())
        self.path, self.query = real.path, real.query
        self.route, self.pool = real.route, pool
        self.retry = replace(real.retry, retries=0)
        self.timeouts = replace(real.timeouts, total=real.timeouts.total or LONGEST)
        self.request_done = True
        if body:
            self.held = HeldBody()
            self.held.add(body)

    @property
    def counters(self) -> PoolCounters:
        return self._own

    @counters.setter
    def counters(self, value: PoolCounters) -> None:
        pass

    def set_out(self) -> None:
        """Go."""
        try:
            self.plane.wheel.watch(self, self.total_deadline())
            begin_attempt(self)
        except Exception:
            # The outermost guard of a callback: a copy's fault must stay its own.
            log.exception("a copy failed: %r", self)
            self._drop_attempt()
            self._count()

    def response(self, head: ResponseHead, body: bytes, done: bool) -> None:
        endpoint = None if self.attempt is None else self.attempt.endpoint
        errors = 0 if endpoint is None else endpoint.consecutive_errors
        super().response(head, body, done)
        if endpoint is not None:
            endpoint.consecutive_errors = errors  # a copy that went well says nothing of those that do not

    def _count(self) -> None:
        plane = self.plane
        plane.wheel.drop(self)
        if self in self._running:
            self._running.discard(self)
            self._shadow.compared("shadow", self.status, plane.clock() - self.started)


def _copied_head(real: Exchange, shadow: Shadow, length: int) -> tuple[RequestHead, bytes]:
    head = real.head
    host = head.host
    if shadow.host_suffix:
        name, dot, rest = host.partition(b".")
        bare, colon, port = name.partition(b":")
        host = bare + shadow.host_suffix + (colon + port if colon else dot + rest)
    gone = _EXPECT if shadow.with_credentials else _EXPECT | _CREDENTIALS
    block = fields.without(real.block, gone)
    flags = head.flags & ~(WEBSOCKET | EXPECT_CONTINUE | EXPECT_OTHER)
    size = NO_BODY if head.length == NO_BODY else length
    copied = RequestHead(head.method, head.target, head.minor, host, size, flags, b"", None, None, 0)
    return copied, block
