"""Copies of requests for a pool whose answers nobody sees: a dark launch, compared with what was really answered.

A copy never touches the real exchange: it sets out a moment later, holds no place that real requests need, is tried
once, blames no endpoint, and counts in no pool's statistics. It goes to its pool or nowhere: it neither spills nor
queues. Of its answer the head is wanted; the body is read, up to a point, so that the connection can be used again.
"""

import logging
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from proxy.dataplane.attempt import begin_attempt
from proxy.dataplane.copies import outcome_of
from proxy.dataplane.exchange import Exchange
from proxy.dataplane.held import HeldBody
from proxy.http1 import fields
from proxy.http1.message import EXPECT_CONTINUE, EXPECT_OTHER, NO_BODY, WEBSOCKET, RequestHead, ResponseHead
from proxy.pools.endpoint import State
from proxy.routing.route import Route
from proxy.telemetry.counters import PoolCounters

if TYPE_CHECKING:
    from proxy.dataplane.copies import Pair
    from proxy.dataplane.streaming import Streaming
    from proxy.dataplane.upstream import Upstream
    from proxy.pools.pool import Pool

log = logging.getLogger("sluice")

MOST_AT_ONCE: Final = 256  # copies under way in one worker
MOST_HELD: Final = 32 * 1024 * 1024  # bytes of requests' bodies, in one worker: of copies, and of those to come
LONGEST: Final = 60.0  # seconds for a copy in all: as long as the default patience for a real response
MOST_READ: Final = 1024 * 1024  # bytes of an answer's body
_MARK: Final = b"x-sluice-shadow: 1\r\n"
_CREDENTIALS: Final = frozenset({b"authorization", b"cookie", b"proxy-authorization"})
_OURS: Final = frozenset({b"expect", b"x-sluice-shadow"})  # the body goes at once; the mark is written anew
_LEAVING: Final = frozenset({State.DRAINING, State.DRAINED, State.REMOVED})
_NOWHERE: Final = Route()  # without a service that another pool could be taken from


class Shadows:
    """All copies of one worker that are under way, and how many bytes of bodies they and those to come `held`."""

    def __init__(self) -> None:
        self._running: set[_Copied] = set()
        self.held = 0

    def __len__(self) -> int:
        return len(self._running)

    def __contains__(self, copy: object) -> bool:
        return copy in self._running

    def hold(self, size: int) -> bool:
        """May so many more bytes be held? Then they are counted until they are let go."""
        if self.held + size > MOST_HELD:
            return False
        self.held += size
        return True

    def let_go(self, size: int) -> None:
        """So many are held no more."""
        self.held -= size

    def send(self, real: Exchange, pair: "Pair", body: bytes) -> str | None:
        """Send a copy a moment later, and tell the pair of its end; or the reason why there is none.

        The bytes of its body are held already, and let go when it has ended.
        """
        service = real.route.service
        pool = None if service is None else service.pools.get(pair.shadow.pool)
        if pool is None or service is None:
            return "unusable"
        if real.pool.name == pool.name:
            return "own_pool"  # nothing to compare with
        refused = self.refusal(pool, 1)
        if refused is None:
            copy = _Copied(real, pair, pool, body)
            self._running.add(copy)
            real.plane.loop.call_soon(copy.set_out)
        return refused

    def refusal(self, pool: "Pool", more: int) -> str | None:
        """Why no copy can go to this pool, None where one can; `more`: beyond those that are known here."""
        if not pool.usable:
            return "unusable"
        shared = pool.shared
        has_room = (shared.connections + 1) * 2 <= shared.limits.connections  # the other half is for real requests
        return None if has_room and len(self._running) + more <= MOST_AT_ONCE else "full"

    def left(self, copy: "_Copied") -> bool:
        """This one has ended; false if that was known."""
        there = copy in self._running
        if there:
            self._running.remove(copy)
            self.let_go(copy.size)
        return there

    def leave_what_ends(self) -> None:
        """Break off copies at endpoints that drain or are gone: nobody waits for those."""
        for copy in tuple(self._running):
            if copy.endpoint is not None and copy.endpoint.state in _LEAVING:
                copy.abandon()

    def close(self) -> None:
        """Break all of them off."""
        for copy in tuple(self._running):
            copy.abandon()


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

    def stream(self, head: ResponseHead, opening: bytes, streaming: "Streaming") -> None:
        pass


class _Copied(Exchange):
    """The copy. Its counters are its own, and are thrown away."""

    __slots__ = ("_pair", "size")

    def __init__(self, real: Exchange, pair: "Pair", pool: "Pool", body: bytes) -> None:
        self.size = len(body)
        self._pair = pair
        head, block = _copied_head(real, pair, len(body))
        super().__init__(real.plane, _Nobody(), head, (real.client, real.scheme, block), real.plane.clock())
        self.is_copy = True
        self.counters = PoolCounters()
        self.path, self.query = real.path, real.query
        self.route, self.pool = _NOWHERE, pool
        self.retry = replace(real.retry, retries=0, body=len(body))  # held, for a connection that has gone stale
        self.timeouts = replace(real.timeouts, total=min(real.timeouts.total or LONGEST, LONGEST))
        self.request_done = True
        if body:
            self.held = HeldBody()
            self.held.add(body)

    def set_out(self) -> None:
        """Go, if there still is a place."""
        shadows = self.plane.shadows
        if self not in shadows:
            return  # it was broken off before
        refused = shadows.refusal(self.pool, 0)
        if refused is not None:
            self._skip(refused)
            return
        try:
            self.plane.wheel.watch(self, self.total_deadline())
            begin_attempt(self)
        except Exception:
            # The outermost guard of a callback: a copy's fault must stay its own.
            log.exception("a copy failed: %r", self)
            self._drop_attempt()
            self._skip("failed")

    def response_data(self, data: bytes) -> None:
        self.sent += len(data)
        if self.sent > MOST_READ:
            self._drop_attempt()
            self._count()

    def abandon(self) -> None:
        """Whoever it was copied to goes, or we do."""
        self._drop_attempt()
        self._skip("cut")

    def _skip(self, reason: str) -> None:
        self.plane.wheel.drop(self)
        if self.plane.shadows.left(self):
            self._pair.shadow.comparison.skipped(reason)

    def _count(self) -> None:
        plane = self.plane
        plane.wheel.drop(self)
        if plane.shadows.left(self):
            self._pair.copy_ended(outcome_of(self))


def _copied_head(real: Exchange, pair: "Pair", length: int) -> tuple[RequestHead, bytes]:
    """The head, and the field lines that are sent, as the real request's filters have left them."""
    head, shadow = real.head, pair.shadow
    gone = _OURS if shadow.with_credentials else _OURS | _CREDENTIALS
    flags = head.flags & ~(WEBSOCKET | EXPECT_CONTINUE | EXPECT_OTHER)
    size = NO_BODY if head.length == NO_BODY else length
    host = _suffixed(head.host, shadow.host_suffix) if shadow.host_suffix else head.host
    cookie = head.cookie if shadow.with_credentials else None
    copied = RequestHead(head.method, head.target, head.minor, host, size, flags, head.block, cookie, None, 0)
    return copied, fields.without(real.block, gone) + _MARK


def _suffixed(host: bytes, suffix: bytes) -> bytes:
    """`shop.example.com:80` as `shop-shadow.example.com:80`; an IP address stays as it is."""
    name, colon, port = host.partition(b":")
    label, dot, rest = name.partition(b".")
    if not name or host.startswith(b"[") or name.rpartition(b".")[2].isdigit():
        return host
    return label + suffix + dot + rest + colon + port
