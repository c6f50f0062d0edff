"""Who is due when: a schedule without a clock, and the places that endpoints take in an interval."""

from heapq import heappop, heappush
from math import floor
from typing import Final

from proxy.core.hashing import stable_hash
from proxy.pools.registry import EndpointKey

_HASHES: Final = 2**64


class Rota:
    """Keys by the time they are due (seconds, monotonic), each at most once."""

    def __init__(self) -> None:
        self._due: dict[EndpointKey, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, EndpointKey]] = []  # may hold entries that are no longer in `_due`
        self._entered = 0

    def __len__(self) -> int:
        return len(self._due)

    def put(self, key: EndpointKey, due: float) -> None:
        """Let `key` be due then, and at no other time."""
        self._entered += 1  # whoever was entered first goes first among equals
        self._due[key] = (due, self._entered)
        heappush(self._heap, (due, self._entered, key))

    def drop(self, key: EndpointKey) -> None:
        """Forget `key`, if it is there."""
        self._due.pop(key, None)

    def take(self, now: float, most: int) -> list[EndpointKey]:
        """Up to `most` of those that are due, longest due first; they are off the rota."""
        taken: list[EndpointKey] = []
        while len(taken) < most and (due := self.next_due()) is not None and due <= now:
            key = heappop(self._heap)[2]
            del self._due[key]
            taken.append(key)
        return taken

    def next_due(self) -> float | None:
        """When the next one is due; None where there is none."""
        heap = self._heap
        while heap and self._due.get(heap[0][2]) != heap[0][:2]:
            heappop(heap)
        return heap[0][0] if heap else None


def place(key: EndpointKey) -> float:
    """The share of an interval, more than 0 and at most 1, that is this key's own in every process."""
    return (stable_hash(*map(str.encode, key)) + 1) / _HASHES


def next_turn(first: float, interval: float, now: float) -> float:
    """The first of the turns first, first + interval, … that is still to come.

    Missed ones are left out: whoever was held up keeps its place, instead of all of them coming at once.
    """
    if first > now:
        return first
    return first + interval * (floor((now - first) / interval) + 1)
