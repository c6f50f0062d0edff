"""stable_hash: fixed for ever, and told apart by where the parts end."""

import pytest

from proxy.core.hashing import stable_hash


@pytest.mark.parametrize(
    ("parts", "value"),
    [
        ((), 0xE4A6A0577479B2B4),
        ((b"",), 0xCA08EA5BCA49CC18),
        ((b"shop", b"alice"), 0xDBBD3E4368F63795),
    ],
)
def test_stable_hash_is_the_same_everywhere(parts: tuple[bytes, ...], value: int) -> None:
    assert stable_hash(*parts) == value


def test_stable_hash_tells_apart_where_parts_end() -> None:
    hashes = {stable_hash(*parts) for parts in [(b"ab", b"c"), (b"a", b"bc"), (b"abc",), (b"abc", b""), (b"", b"abc")]}
    assert len(hashes) == 5


def test_stable_hash_has_64_bits() -> None:
    bits = 0
    for number in range(64):
        bits |= stable_hash(str(number).encode())
    assert bits == 2**64 - 1
