"""What a rollout sees of one request: its first attempt's outcome, on the account of the pool that the split chose.

Whatever a retry or a spill delivers later, the pool that was chosen answers for what it made of the request.
"""

from math import inf
from typing import TYPE_CHECKING

from proxy.core.hashing import BUCKETS, stable_hash
from proxy.dataplane.aside import aside
from proxy.dataplane.failures import ConnectFailed, ConnectTimeout, Exhausted, UpstreamFailure

if TYPE_CHECKING:
    from proxy.dataplane.attempt import Attempt
    from proxy.dataplane.exchange import Exchange
    from proxy.telemetry.evidence import Cell, Watched


class Sighting:
    """One request, until its exchange ends. `left` are the thresholds it may still be slower than, shortest first.

    `answered_by` is the number of the attempt that gave its outcome by a response; 0 where none did.
    """

    __slots__ = (
        "answered_by", "bucket", "cell", "deadline", "exchange", "has_outcome", "is_bad", "left", "scheduled",
        "watched",
    )  # fmt: skip

    def __init__(self, exchange: "Exchange", watched: "Watched", cell: "Cell", bucket: int | None) -> None:
        self.exchange = exchange
        self.watched = watched
        self.cell = cell
        self.bucket = bucket
        self.has_outcome = False
        self.is_bad = False
        self.answered_by = 0
        self.deadline = self.scheduled = inf
        self.left = watched.by_length
        cell.sight(bucket)
        if self.left:
            plane = exchange.plane
            now = plane.clock()
            plane.fine.watch(self, now + watched.thresholds[self.left[0]], now)

    def answered(self, status: int) -> None:
        """The head of a response is here."""
        if self.has_outcome:
            return
        took = self._waited(self.exchange.attempt)
        self._count_late(took)
        self.cell.took(took)
        self.cell.connecting(failed=False)
        self.answered_by = self.exchange.attempts
        self._settle(is_bad=bool(self.watched.is_bad[status]))

    def failed(self, failure: UpstreamFailure, attempt: "Attempt") -> None:
        """The attempt gave no response."""
        if self.has_outcome:
            return
        if isinstance(failure, Exhausted):
            self.forget()  # nobody's fault but ours
            return
        is_connecting = isinstance(failure, ConnectFailed | ConnectTimeout)
        self.cell.connecting(failed=is_connecting)
        if not is_connecting:
            self._count_late(self._waited(attempt))
        self._settle(is_bad=True)

    def turned_away(self) -> None:
        """The pool had no place, nothing usable, or no time left: that is its own failure."""
        if not self.has_outcome:
            self._settle(is_bad=True)

    def broken(self) -> None:
        """A response that had begun well has ended before its time; that of a retry says nothing."""
        if not self.is_bad and self.answered_by == self.exchange.attempts:
            self.is_bad = True
            self.cell.fail(self.bucket)

    def forget(self) -> None:
        """The request says nothing of the pool."""
        self.has_outcome = True
        self.left = ()

    def end(self) -> None:
        """The exchange is over; without an outcome it says nothing but how long it had been waited for."""
        if not self.has_outcome:
            self._count_late(self._waited(self.exchange.attempt))
        self.exchange.plane.fine.drop(self)
        aside(self.exchange).sighting = None  # no cycle that only the garbage collector could find

    # -- what the wheel calls

    def expire(self, now: float) -> None:
        """A threshold may have passed: counted now, without waiting for what comes."""
        self.deadline = inf  # else the wheel would look again at every tick, for as long as a body or tunnel lasts
        if self.has_outcome or not self.left:
            return
        waited = self._waited(self.exchange.attempt)
        self._count_late(waited)
        if self.left:
            # Counted from when the request was sent; while it is not, look again when it could be due at the earliest.
            self.exchange.plane.fine.watch(self, now - waited + self.watched.thresholds[self.left[0]], now)

    # -- inside

    def _waited(self, attempt: "Attempt | None") -> float:
        """Seconds since the head was sent, without connecting; 0 while it is not."""
        exchange = self.exchange
        if attempt is None or attempt.upstream is None:
            return 0.0
        return exchange.plane.clock() - attempt.began - max(exchange.connecting, 0.0)

    def _count_late(self, waited: float) -> None:
        thresholds = self.watched.thresholds
        while self.left and waited > thresholds[self.left[0]]:
            self.cell.late(self.left[0], self.bucket)
            self.left = self.left[1:]

    def _settle(self, *, is_bad: bool) -> None:
        self.has_outcome = True
        self.is_bad = is_bad
        self.cell.outcome(self.bucket, is_bad=is_bad)


def sight(exchange: "Exchange", watched: "Watched") -> None:
    """The split has chosen the exchange's pool: a rollout may want to know what becomes of it."""
    cell = watched.cells.get(exchange.pool.name)
    service = exchange.route.service
    if cell is None or service is None:
        return
    bucket = None if exchange.identity is None else service.bucket(exchange.identity)
    aside(exchange).sighting = Sighting(exchange, watched, cell, bucket)


def sight_cohort(exchange: "Exchange", watched: "Watched") -> None:
    """The exchange's pool is updated in place: draw its cohort, and see what becomes of it.

    Held sessions count as well: they are bound to the pool, and not to a part of it.
    """
    drawn = exchange.pool.cohort(exchange)
    if drawn is None:
        return
    exchange.pool = drawn.pool
    if not exchange.is_copy:
        cell = watched.cohort(exchange.pool.name, drawn.is_updated, drawn.share)
        bucket = None if drawn.key is None else stable_hash(b"cohort", drawn.key) % BUCKETS
        aside(exchange).sighting = Sighting(exchange, watched, cell, bucket)


def leave_cohort(exchange: "Exchange") -> None:
    """Let the exchange go to the rest of its pool, too: its cohort has nothing usable any more, or it tries again."""
    pool, service = exchange.pool, exchange.route.service
    if pool.is_cohort and service is not None:
        identity, whole = pool.identity, service.pools[pool.name]
        exchange.pool = whole if identity is None else whole.bound(identity)


def seen(exchange: "Exchange") -> Sighting | None:
    """What a rollout sees of it, if one does."""
    return None if exchange.aside is None else exchange.aside.sighting


def turn_away(exchange: "Exchange") -> None:
    """Its pool has no place for it, nothing usable, or no time left."""
    sighting = seen(exchange)
    if sighting is not None:
        sighting.turned_away()
