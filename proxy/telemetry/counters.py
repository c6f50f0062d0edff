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
