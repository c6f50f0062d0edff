"""Hash: the same key to the same endpoint, in every worker and after every restart.

Maglev hashing (Eisenbud et al.: "Maglev", NSDI 2016, section 3.4): a table that each endpoint fills in an
order of its own, so that adding or removing one moves little more than its share of the keys. The table is
made of all endpoints, and one that is not usable just now is stepped over at the pick: then nothing but its
own keys moves.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Final

from proxy.core.hashing import stable_hash
from proxy.http1.cookies import find_cookie
from proxy.http1.facts import Facts
from proxy.pools.balancer import BALANCERS, Candidates, Rotation
from proxy.pools.draw import Draw
from proxy.pools.endpoint import Endpoint, State

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2, and RFC 6265 §4.1.1

# Primes: every stride then visits every slot. Few: where a pool outgrows its size, all keys move once.
_SIZES: Final = (4_093, 16_381, 65_521)
_SLOTS_EACH: Final = 50  # at least, on average; the paper's 100 halve the unevenness for twice the time


@BALANCERS.register("hash")
@dataclass(frozen=True, slots=True)
class Hash:
    """The endpoint that a header, a cookie, the client's address or the path stands for; one of these.

    A request without the key goes to any endpoint, by weight.
    """

    header: str | None = None
    cookie: str | None = None
    client: bool = False
    path: bool = False

    def __post_init__(self) -> None:
        if (self.header is not None) + (self.cookie is not None) + self.client + self.path != 1:
            raise ValueError("hash takes exactly one key; write it like {header: x-user-id} or {cookie: uid}")
        name = self.header if self.header is not None else self.cookie
        if name is not None and not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is not a name that a header or cookie can have")

    def rotation(self, candidates: Candidates) -> Rotation:
        """A table of the pool's endpoints, looked up by key."""
        return _Table(self, candidates)

    def key(self, facts: Facts) -> bytes | None:
        """What is hashed of a request; None where it does not have it."""
        if self.header is not None:
            return facts.head.get(self.header.lower().encode())
        if self.cookie is not None:
            field = facts.head.cookie
            return None if field is None else find_cookie(field, self.cookie.encode())
        return facts.path if self.path else facts.client.encode() or None


class _Table:
    __slots__ = ("_draw", "_endpoints", "_key", "_size", "_slots")

    def __init__(self, options: Hash, candidates: Candidates) -> None:
        self._endpoints = tuple(endpoint for endpoint in candidates.endpoints if endpoint.weight > 0)
        self._slots = maglev(tuple((endpoint.address, endpoint.weight) for endpoint in self._endpoints))
        self._size = len(self._slots)
        self._key = options.key
        self._draw = Draw(candidates.usable, candidates.chance)

    def first(self, facts: Facts) -> Endpoint:
        key = self._key(facts)
        if not key:
            return self._draw.one()
        at = stable_hash(key) % self._size
        endpoint = self._endpoints[self._slots[at]]
        return endpoint if endpoint.state is State.UP else self._after(at, ()) or endpoint

    def another(self, facts: Facts, tried: tuple[Endpoint, ...]) -> Endpoint | None:
        key = self._key(facts)
        at = stable_hash(key) % self._size if key else 0
        return self._after(at, tried)

    def _after(self, at: int, tried: tuple[Endpoint, ...]) -> Endpoint | None:
        """The next usable one from a slot on: slots are mixed, so one's keys spread over all others."""
        endpoints, slots = self._endpoints, self._slots
        for slot in chain(range(at, self._size), range(at)):
            endpoint = endpoints[slots[slot]]
            if endpoint.state is State.UP and endpoint not in tried:
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
