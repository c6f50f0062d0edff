"""How many retries a pool may cost: a share of its requests, so that retrying does not multiply an outage."""

from typing import Final

MINIMUM: Final = 3
WINDOW: Final = 10.0


class RetryBudget:
    """Retries up to `share` of the pool's requests, over this window of time and the one before.

    `minimum` retries in each window are free, so that a pool with little traffic may retry at all. Windows
    are `window` seconds long. Requests cost nothing here: the pool's own count of them is read when a retry
    is wanted. Over any run, retries never exceed share * requests + minimum * windows.
    """

    __slots__ = (
        "_before_requests",
        "_before_spent",
        "_opened",
        "_requests",
        "_spent",
        "minimum",
        "share",
        "window",
    )

    def __init__(self, share: float, minimum: int = MINIMUM, window: float = WINDOW) -> None:
        self.share = share
        self.minimum = minimum
        self.window = window
        self._opened = 0.0  # the first retry ever opens a window with next to nothing before it
        self._requests = 0  # the pool's count when this window opened
        self._spent = 0
        self._before_requests = 0  # how many requests came in the window before
        self._before_spent = 0

    def allow(self, now: float, requests_total: int) -> bool:
        """Whether one more retry may be made at `now` (seconds, monotonic); where True, it counts as made."""
        if now - self._opened >= self.window:
            self._open(now, requests_total)
        spent = self._spent + 1
        if spent > self.minimum and not self._covers(spent, requests_total):
            return False
        self._spent = spent
        return True

    def _covers(self, spent: int, requests_total: int) -> bool:
        requests = self._before_requests + requests_total - self._requests
        return self._before_spent + spent <= self.share * requests

    def _open(self, now: float, requests_total: int) -> None:
        """Open a window at the first retry after the last one closed, which may be long ago."""
        elapsed = now - self._opened
        # Requests since then are taken as evenly spread: one window's part of them counts as the window before, less
        # those that retries have been made for already.
        since = requests_total - self._requests
        self._before_requests = int(since * self.window / elapsed)
        self._before_spent = self._spent if elapsed < 2 * self.window else 0
        if self._spent and not self._before_spent:
            left = max(0.0, self.share * since - self._spent)
            self._before_requests = min(self._before_requests, int(left / self.share) if self.share else 0)
        self._opened = now
        self._requests = requests_total
        self._spent = 0
