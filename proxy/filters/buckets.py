"""Token buckets by key: bounded in number, and shared with other workers after the fact.

A bucket is one number: when it will be full again (the generic cell rate algorithm, ITU-T I.371). Each token taken
moves that by what a token needs to grow. What others took is heard of late, so a bucket may owe tokens: it is then
further from full than an empty one is. That debt is what keeps the sum of all workers at the rate; were it forgiven,
each of them would grant all of it.
"""

from collections.abc import Mapping
from heapq import heappop, heappush, heapreplace
from itertools import islice
from typing import Final

_GRAIN: Final = 1e-3  # of a token: what sums of floats may be off, so that a burst of 100 is 100


class Buckets:
    """Buckets of `burst` tokens that grow by `rate` a second. A key without one has a full one.

    At most `most` are kept. Then the one that is nearest to full makes room: it forgives the least.
    """

    def __init__(self, rate: float, burst: int, most: int) -> None:
        self._token = 1 / rate  # seconds that one needs to grow
        self._patience = (burst - 1 + _GRAIN) / rate  # how far from full a bucket with one token is
        self._burst = burst
        self._most = most
        self._full: dict[bytes, float] = {}
        # One entry a key, as it was when it was put there: full no later than the key's bucket is now.
        self._order: list[tuple[float, bytes]] = []
        self._untold: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._full)

    def __contains__(self, key: bytes) -> bool:
        return key in self._full

    def take(self, key: bytes, now: float) -> float:
        """Take a token: 0.0; where there is none: the seconds until there will be one."""
        full = max(self._full.get(key, now), now)
        if full - now > self._patience:
            return full - now - self._patience
        self._put(key, full + self._token)
        if key in self._untold:
            self._untold[key] += 1
        elif len(self._untold) < self._most:
            self._untold[key] = 1
        return 0.0

    def left(self, key: bytes, now: float) -> float:
        """How many tokens there are; less than none where others took what was granted here, too."""
        return self._burst - max(self._full.get(key, now) - now, 0.0) / self._token

    def tell(self, most: int) -> dict[bytes, int]:
        """What was taken here and not told yet, by key; those that wait longest, up to `most` of them."""
        told = dict(islice(self._untold.items(), most))
        for key in told:
            del self._untold[key]
        return told

    def hear(self, taken: Mapping[bytes, int], now: float) -> None:
        """Others took these, while we knew nothing of it."""
        for key, count in taken.items():
            self._put(key, max(self._full.get(key, now), now) + count * self._token)

    def _put(self, key: bytes, full: float) -> None:
        if key not in self._full:
            if len(self._full) >= self._most:
                self._make_room()
            heappush(self._order, (full, key))
        self._full[key] = full

    def _make_room(self) -> None:
        """Drop the bucket that is nearest to full; entries of others that have moved on are put right on the way."""
        while True:
            full, key = self._order[0]
            now = self._full[key]
            if now == full:
                heappop(self._order)
                del self._full[key]
                return
            heapreplace(self._order, (now, key))
