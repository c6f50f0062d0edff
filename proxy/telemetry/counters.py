"""What a pool counts while it works: plain ints that the data plane adds to, read by whoever reports them."""

from collections import Counter
from typing import Final

from proxy.telemetry.histogram import Histogram

NO_RESPONSE: Final = 0  # index into `requests` for an exchange that ended without any response


class PoolCounters:
    """Everything counted for one pool in this worker, since it started.

    `requests` goes by class of the status that the client was sent (index 1 to 5; NO_RESPONSE for none).
    `duration` is seconds from a request's head to the end of its response, `upstream` from the beginning of an
    attempt, with its connection, to its response's head. `retries` counts attempts that were made again,
    `failures` those that failed, by reason. `spilled` and `panicked` count requests that left for another pool,
    or went to an endpoint that is not usable, for want of one that is; `ejections` counts endpoints taken
    out, `overflowed` requests refused because a limit was reached.
    """

    __slots__ = (
        "duration",
        "ejections",
        "failures",
        "overflowed",
        "panicked",
        "requests",
        "retries",
        "spilled",
        "upstream",
    )

    def __init__(self) -> None:
        self.requests = [0] * 6
        self.retries = 0
        self.failures: Counter[str] = Counter()
        self.spilled = 0
        self.panicked = 0
        self.ejections = 0
        self.overflowed = 0
        self.duration = Histogram()
        self.upstream = Histogram()

    @property
    def total(self) -> int:
        """How many requests have ended."""
        return sum(self.requests)


class SideCounters:
    """One side of a comparison: `requests` by class of the status, `duration` in seconds to the response's head."""

    __slots__ = ("duration", "requests")

    def __init__(self) -> None:
        self.requests = [0] * 6
        self.duration = Histogram()

    def observe(self, outcome: tuple[int, float]) -> None:
        """Count one (status, seconds)."""
        status, seconds = outcome
        self.requests[status // 100] += 1
        self.duration.observe(seconds)


class MirrorCounters:
    """Requests of a service that were copied to one of its pools, in this worker: what came of them and of the copies.

    Both sides count in pairs, so that they can be compared. `without` has those that were to be copied and were not,
    by reason.
    """

    __slots__ = ("__weakref__", "pool", "real", "service", "shadow", "without")

    def __init__(self, service: str, pool: str) -> None:
        self.service = service
        self.pool = pool
        self.real = SideCounters()
        self.shadow = SideCounters()
        self.without: Counter[str] = Counter()

    def compared(self, real: tuple[int, float], shadow: tuple[int, float]) -> None:
        """Both have ended: status and seconds of each."""
        self.real.observe(real)
        self.shadow.observe(shadow)

    def skipped(self, reason: str) -> None:
        """There was no copy, or it was broken off by us."""
        self.without[reason] += 1
