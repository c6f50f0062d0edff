"""`fractional`: who gets which share, by MurmurHash3 x86-32 with seed 0 over weights in their order.

Two generations, which put the same person into different buckets: v2 hashes UTF-8 of `flagKey + targetingKey`
(flagd 0.15 and 0.16, JavaScript), v3 canonical CBOR of `[flagKey, targetingKey]` (flagd's accepted decision, Python).
"""

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from mmh3 import mmh3_32_uintdigest

from proxy.flags import cbor
from proxy.flags.coercion import RuleError
from proxy.flags.spec import Generation

HEAVIEST = (1 << 31) - 1  # what all weights of one `fractional` add up to at most
Hasher = Callable[[Any], int | None]


def seed_of(generation: Generation, key: str) -> Hasher:
    """What hashes a targetingKey together with this flag's key; None for a missing or empty one."""
    return _together_v3(key) if generation == "v3" else _together_v2(key)


def _together_v3(key: str) -> Hasher:
    lead = b"\x82" + cbor.encode_text(key)
    encode = cbor.encode_text

    def hash_together(targeting_key: Any) -> int | None:
        if type(targeting_key) is not str or not targeting_key:
            return None
        return mmh3_32_uintdigest(lead + encode(targeting_key))

    return hash_together


def _together_v2(key: str) -> Hasher:
    def hash_together(targeting_key: Any) -> int | None:
        if type(targeting_key) is not str or not targeting_key:
            return None
        return hash_v2(key + targeting_key)

    return hash_together


def hash_v3(value: Any) -> int | None:
    """The hash of any value but null."""
    return None if value is None else mmh3_32_uintdigest(cbor.encode(value))


def hash_v2(value: Any) -> int | None:
    """The hash of text; of nothing else."""
    if not isinstance(value, str):
        return None
    try:
        return mmh3_32_uintdigest(value.encode())
    except UnicodeEncodeError as error:
        raise RuleError("text with half a surrogate pair cannot be hashed") from error


def bounds(weights: list[Any]) -> list[int] | None:
    """Cumulative weights: negative ones count 0; None where one is no integer, all are 0 or the sum is too large."""
    whole = [weight_of(weight) for weight in weights]
    if None in whole:
        return None
    sums = list(accumulate(weight for weight in whole if weight is not None))
    return sums if sums and 0 < sums[-1] <= HEAVIEST else None


def weight_of(weight: Any) -> int | None:
    """One weight: an integer, or a float that is whole; None otherwise."""
    if type(weight) is float and weight.is_integer():
        weight = int(weight)
    return max(weight, 0) if type(weight) is int else None


def place(digest: int, sums: list[int]) -> tuple[int, int]:
    """The number within the total weight that the hash falls on, and the index of the bucket it lies in."""
    slot = (digest * sums[-1]) >> 32
    return slot, bisect_right(sums, slot)
