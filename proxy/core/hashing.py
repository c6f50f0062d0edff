"""A hash that every process, Python version and restart agrees on."""

from hashlib import blake2b
from typing import Final

BUCKETS: Final = 10_000
"""Slots of users: whoever is told apart by hash falls into one of them."""


def stable_hash(*parts: bytes) -> int:
    """64 bits of BLAKE2b over the parts, as an unsigned integer.

    Every part is preceded by its length, so that ("ab", "c") and ("a", "bc") differ.
    """
    digest = blake2b(digest_size=8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return int.from_bytes(digest.digest(), "big")
