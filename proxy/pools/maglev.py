"""A table that gives every key to one endpoint: the same in every worker and after every restart.

Maglev hashing (Eisenbud et al.: "Maglev", NSDI 2016, section 3.4): a table that each endpoint fills in an
order of its own, so that adding or removing one moves little more than its share of the keys. The table is
made of all endpoints, and one that is not usable just now is stepped over at the pick: then nothing but its
own keys moves.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from typing import Final

from proxy.core.hashing import stable_hash
from proxy.pools.endpoint import Endpoint

# Primes: every stride then visits every slot. Few: where a pool outgrows its size, all keys move once.
_SIZES: Final = (4_093, 16_381, 65_521)
_SLOTS_EACH: Final = 50  # at least, on average; the paper's 100 halve the unevenness for twice the time


class MaglevTable:
    """Members are endpoints with their weights, of which one at least is above 0; only `usable` ones are given out."""

    __slots__ = ("_endpoints", "_size", "_slots", "_usable")

    def __init__(self, members: Iterable[tuple[Endpoint, float]], usable: Iterable[Endpoint]) -> None:
        weighed = [(endpoint, weight) for endpoint, weight in members if weight > 0]
        self._endpoints = tuple(endpoint for endpoint, _ in weighed)
        self._slots = maglev(tuple((endpoint.address, weight) for endpoint, weight in weighed))
        self._size = len(self._slots)
        self._usable = frozenset(usable)

    def find(self, key: bytes, tried: tuple[Endpoint, ...] = ()) -> Endpoint | None:
        """The endpoint of a key or, where it is not usable or was tried, the next; None where none is left.

        Slots are mixed, so that the keys of one endpoint spread over all others.
        """
        endpoints, slots, usable = self._endpoints, self._slots, self._usable
        at = stable_hash(key) % self._size
        for slot in chain(range(at, self._size), range(at)):
            endpoint = endpoints[slots[slot]]
            if endpoint in usable and endpoint not in tried:
                return endpoint
        return None


@lru_cache(maxsize=64)
def maglev(members: tuple[tuple[str, float], ...]) -> tuple[int, ...]:
    """For every slot the index of its member, each having slots in proportion to its weight (above 0).

    It depends on names and weights alone. 3 members take 3 ms, 100 take 24 ms, both only once: the table is
    remembered.
    """
    size = next((size for size in _SIZES if size >= _SLOTS_EACH * len(members)), _SIZES[-1])
    slots = [-1] * size
    heaviest = max(weight for _, weight in members)
    fillers = [_Filler(index, name, weight / heaviest, size) for index, (name, weight) in enumerate(members)]
    left = size
    while left:
        for filler in fillers:
            if filler.is_due() and left:
                filler.take(slots)
                left -= 1
    return tuple(slots)


class _Filler:
    """One member's way through the table: from an offset of its own, by a stride of its own."""

    __slots__ = ("_at", "_credit", "_index", "_part", "_stride")

    def __init__(self, index: int, name: str, part: float, size: int) -> None:
        self._index = index
        self._part = part
        self._credit = 0.0
        self._at = stable_hash(b"offset", name.encode()) % size
        self._stride = stable_hash(b"stride", name.encode()) % (size - 1) + 1

    def is_due(self) -> bool:
        """Whether it takes a slot in this round: the heaviest always, others as often as they weigh."""
        self._credit += self._part
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        return True

    def take(self, slots: list[int]) -> None:
        """Take the next free slot on its way."""
        at, stride, size = self._at, self._stride, len(slots)
        while slots[at] >= 0:
            at = (at + stride) % size
        slots[at] = self._index
        self._at = at
