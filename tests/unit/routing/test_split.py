"""Shares: drawn exactly, apportioned to buckets, moved as little as can be."""

import random
from collections import Counter

import msgspec
import pytest

from proxy.routing.split import BUCKETS, BucketTable, Split, apportion

NEVER = iter(()).__next__


@pytest.mark.parametrize(
    ("shares", "bounds"),
    [
        ({"a": 1.0}, (1.0,)),
        ({"a": 0.95, "b": 0.05}, (0.95, 1.0)),
        ({"a": 0.1, "b": 0.2, "c": 0.7}, (0.1, 0.3, 1.0)),
        ({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, (1 / 3, 2 / 3, 1.0)),
        ({"a": 0.0, "b": 1.0, "c": 0.0}, (1.0,)),
        ({"a": 19, "b": 1}, (0.95, 1.0)),
        ({"a": 1e-9, "b": 1 - 1e-9}, (1e-9, 1.0)),
    ],
)
def test_bounds_are_exact_and_end_at_one(shares: dict[str, float], bounds: tuple[float, ...]) -> None:
    assert Split(shares, NEVER).bounds == bounds


@pytest.mark.parametrize(
    ("number", "name"),
    [(0.0, "a"), (0.0999, "a"), (0.1, "c"), (0.2999, "c"), (0.3, "d"), (1 - 2**-53, "d")],
)
def test_draw_falls_to_the_first_pool_whose_bound_is_above(number: float, name: str) -> None:
    split = Split({"a": 0.1, "b": 0.0, "c": 0.2, "d": 0.7}, lambda: number)
    assert split.names[split.draw()] == name


def test_draw_realises_the_shares_within_five_sigma() -> None:
    shares = {"blue": 0.9, "green": 0.0925, "canary": 0.0075}
    split = Split(shares, random.Random(7).random)  # noqa: S311 - seeded, so that tests repeat
    total = 40_000
    drawn = Counter(split.names[split.draw()] for _ in range(total))
    for name, share in shares.items():
        assert abs(drawn[name] - share * total) < 5 * (total * share * (1 - share)) ** 0.5


@pytest.mark.parametrize("shares", [{}, {"a": 0.0}, {"a": 2.0, "b": -1.0}])
def test_shares_that_are_none_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        Split(shares, NEVER)


@pytest.mark.parametrize(
    ("shares", "counts"),
    [
        ({"a": 0.95, "b": 0.05}, [9500, 500]),
        ({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, [3334, 3333, 3333]),
        ({"a": 0.99999, "b": 0.00001}, [9999, 1]),
        ({"a": 0.00001, "b": 0.00001, "c": 0.99998}, [1, 1, 9998]),
        ({"a": 0.5, "b": 0.0, "c": 0.5}, [5000, 0, 5000]),
        ({"a": 0.333, "b": 0.66705}, [3330, 6670]),
    ],
)
def test_buckets_are_apportioned_by_largest_remainder(shares: dict[str, float], counts: list[int]) -> None:
    assert list(apportion(shares).values()) == counts


def test_first_table_is_ranges_in_the_order_given() -> None:
    table = BucketTable.first({"blue": 0.7, "green": 0.2, "canary": 0.1})
    assert table.slots == b"\0" * 7000 + b"\1" * 2000 + b"\2" * 1000
    assert table.counts() == {"blue": 7000, "green": 2000, "canary": 1000}


def test_growing_pool_takes_what_was_given_last() -> None:
    table = BucketTable.first({"blue": 1.0, "canary": 0.0}).changed({"blue": 0.9998, "canary": 0.0002})
    assert [list(buckets) for buckets in table.held][1] == [9999, 9998]
    smaller = table.changed({"blue": 0.9999, "canary": 0.0001})
    assert list(smaller.held[1]) == [9999]
    assert list(smaller.held[0][-2:]) == [9997, 9998]


def test_change_and_its_reverse_restore_the_table() -> None:
    before, after = {"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}
    table = BucketTable.first(before)
    changed = table.changed(after)
    assert changed != table
    assert changed.changed(before) == table


def test_pool_that_is_gone_gives_all_it_has() -> None:
    table = BucketTable.first({"a": 0.5, "b": 0.5}).changed({"b": 0.5, "c": 0.5})
    assert table.names == ("b", "c")
    assert table.slots == b"\1" * 5000 + b"\0" * 5000


def test_table_survives_serialisation() -> None:
    table = BucketTable.first({"a": 0.5, "b": 0.5}).changed({"a": 0.1, "b": 0.2, "ü": 0.7})
    assert BucketTable.decode(table.encode()) == table
    assert len(table.encode()) < 2 * BUCKETS + 100


def encoded(counts: list[tuple[str, int]], buckets: list[int]) -> bytes:
    return msgspec.msgpack.encode((counts, b"".join(bucket.to_bytes(2, "big") for bucket in buckets)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93",
        encoded([("a", 9_999)], list(range(9_999))),
        encoded([("a", 10_000)], [0, *range(9_999)]),
        encoded([("a", 9_999)], list(range(10_000))),
        encoded([("a", 5_000), ("a", 5_000)], list(range(10_000))),
        encoded([("a", -1), ("b", 10_001)], list(range(10_000))),
        encoded([("a", 10_000)], list(range(10_000)))[:-1],
    ],
    ids=["empty", "truncated", "short", "twice", "counts", "names", "negative", "cut"],
)
def test_bytes_that_are_no_table_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        BucketTable.decode(data)
