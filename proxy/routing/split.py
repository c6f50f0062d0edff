"""How a service's traffic is divided: a draw by exact shares, and a table of buckets for those who keep their pool."""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from sys import byteorder
from typing import Final, Self, TypeAlias

import msgspec

from proxy.core.hashing import BUCKETS

MOST_POOLS: Final = 255  # a bucket's pool is one byte

Shares = Mapping[str, float]
Buckets: TypeAlias = "array[int]"


class Split:
    """The shares of a service's pools, compiled for a draw.

    `names` are the pools with a positive share, in the order given; `bounds` are cumulative: a number drawn from [0, 1)
    falls to the first pool whose bound is above it. The last bound is exactly 1.0.
    """

    __slots__ = ("bounds", "chance", "names", "shares")

    def __init__(self, shares: Shares, chance: Callable[[], float]) -> None:
        exact = exact_shares(shares)
        self.shares: dict[str, Fraction] = {name: share for name, share in exact.items() if share}
        self.names = tuple(self.shares)
        self.bounds = tuple(float(bound) for bound in accumulate(self.shares.values()))
        self.chance = chance

    def draw(self) -> int:
        """The position in `names` of a pool, by chance."""
        return bisect_right(self.bounds, self.chance())


def exact_shares(shares: Shares) -> dict[str, Fraction]:
    """The shares as fractions that add up to exactly 1; ValueError for negative ones or none above zero.

    A float is taken for the shortest decimal that it stands for: 0.1 is a tenth.
    """
    exact = {name: Fraction(repr(share)) for name, share in shares.items()}
    total = sum(exact.values())
    if not total or min(exact.values()) < 0:
        raise ValueError("a split needs shares of 0 or more, and one of them above 0")
    return {name: share / total for name, share in exact.items()}


def apportion(shares: Shares) -> dict[str, int]:
    """How many of the BUCKETS each pool has: by largest remainder, and at least one where the share is above zero."""
    quotas = {name: share * BUCKETS for name, share in exact_shares(shares).items()}
    counts = {name: max(int(quota), 1 if quota else 0) for name, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda name: counts[name] - quotas[name])
    missing = BUCKETS - sum(counts.values())
    for name in by_remainder[: max(missing, 0)]:
        counts[name] += 1
    for _ in range(-missing):  # the tiny ones were rounded up at the cost of the largest
        counts[max(counts, key=lambda name: counts[name])] -= 1
    return counts


@dataclass(frozen=True, slots=True)
class BucketTable:
    """Which pool each of 10,000 buckets of users belongs to; changed by the fewest entries that will do.

    `names` are the pools, `held` the buckets of each in the order they were given to it. `slots` is the same by bucket:
    a position in `names`. The order makes a change and its reverse bring back the very same table.
    """

    names: tuple[str, ...]
    held: tuple[Buckets, ...]
    slots: bytes

    @classmethod
    def first(cls, shares: Shares) -> Self:
        """The table of a service that has none: one range for each pool, in the order of the shares."""
        counts = apportion(shares)
        ends = accumulate(counts.values())
        ranges = [array("H", range(end - count, end)) for end, count in zip(ends, counts.values(), strict=True)]
        return cls._of(counts, ranges)

    def changed(self, shares: Shares) -> Self:
        """The table for new shares: growing pools take from shrinking ones, what was given last first.

        Exactly half the sum of the absolute differences moves, in buckets. Pools that are gone give all they have.
        """
        counts = apportion(shares)
        held = {name: array("H", buckets) for name, buckets in zip(self.names, self.held, strict=True)}
        freed: Buckets = array("H")
        for buckets, count in [(held[name], counts.get(name, 0)) for name in self.names]:
            freed.extend(reversed(buckets[count:]))
            del buckets[count:]
        # Taken in the reverse order of giving, so that undoing a change restores the table exactly.
        taken = 0
        for name in reversed(counts):
            buckets = held.setdefault(name, array("H"))
            wanted = counts[name] - len(buckets)
            buckets.extend(freed[taken : taken + wanted])
            taken += wanted
        return self._of(counts, [held[name] for name in counts])

    def counts(self) -> dict[str, int]:
        """How many buckets each pool has."""
        return {name: len(buckets) for name, buckets in zip(self.names, self.held, strict=True)}

    def encode(self) -> bytes:
        """The table as bytes, about 20 kB."""
        order = b"".join(_big_endian(buckets).tobytes() for buckets in self.held)
        return msgspec.msgpack.encode((list(self.counts().items()), order))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The table that `encode` wrote; ValueError for anything else."""
        counts, order = msgspec.msgpack.decode(data, type=tuple[list[tuple[str, int]], bytes])
        buckets = _big_endian(array("H", order)) if len(order) % 2 == 0 else array("H")
        if len(dict(counts)) != len(counts) or sorted(buckets) != list(range(BUCKETS)):
            raise ValueError("not a bucket table: every bucket must be held once")
        if any(count < 0 for _, count in counts) or sum(count for _, count in counts) != BUCKETS:
            raise ValueError("not a bucket table: its counts do not add up")
        ends = accumulate(count for _, count in counts)
        held = [buckets[end - count : end] for (_, count), end in zip(counts, ends, strict=True)]
        return cls._of((name for name, _ in counts), held)

    @classmethod
    def _of(cls, names: Iterable[str], held: Iterable[Buckets]) -> Self:
        names, held = tuple(names), tuple(held)
        if len(names) > MOST_POOLS:
            raise ValueError(f"a service has at most {MOST_POOLS} pools")
        slots = bytearray(BUCKETS)
        for position, buckets in enumerate(held):
            for bucket in buckets:
                slots[bucket] = position
        return cls(names, held, bytes(slots))


def _big_endian(buckets: Buckets) -> Buckets:
    swapped = array("H", buckets)
    if byteorder == "little":
        swapped.byteswap()
    return swapped
