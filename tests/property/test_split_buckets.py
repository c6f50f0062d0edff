"""The bucket table: any change of a split moves exactly what it must, whatever came before."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.routing.split import BUCKETS, BucketTable, apportion

POOLS = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=8, unique=True)
WEIGHT = st.one_of(st.integers(0, 100), st.decimals(0, 100, places=3).map(float), st.just(1e-6))


@st.composite
def splits(draw: st.DrawFn) -> dict[str, float]:
    """Shares of up to 8 pools, in any order, one of them above zero."""
    names = draw(POOLS)
    weights = [draw(WEIGHT) for _ in names]
    weights[draw(st.integers(0, len(names) - 1))] += 1
    return {name: float(weight) for name, weight in zip(names, weights, strict=True)}


def pools_of(table: BucketTable) -> list[str]:
    return [table.names[position] for position in table.slots]


@settings(max_examples=100)
@given(st.lists(splits(), min_size=2, max_size=4))
def test_moved_buckets_are_half_the_sum_of_the_differences(history: list[dict[str, float]]) -> None:
    table = BucketTable.first(history[0])
    for before, after in pairwise(history):
        old, new = apportion(before), apportion(after)
        changed = table.changed(after)
        moved = sum(a != b for a, b in zip(pools_of(table), pools_of(changed), strict=True))
        assert 2 * moved == sum(abs(old.get(name, 0) - new.get(name, 0)) for name in old | new)
        table = changed


@settings(max_examples=100)
@given(st.lists(splits(), min_size=1, max_size=3))
def test_shares_are_realised_in_buckets(history: list[dict[str, float]]) -> None:
    table = BucketTable.first(history[0])
    for split in history[1:]:
        table = table.changed(split)
    shares, pools = history[-1], pools_of(table)
    total = sum(shares.values())
    crowd = sum(1 for share in shares.values() if 0 < share / total * BUCKETS < 1)
    for name, share in shares.items():
        count = pools.count(name)
        assert (count > 0) == (share > 0)
        assert abs(count - share / total * BUCKETS) <= 1 + crowd
    assert table.counts() == {name: pools.count(name) for name in shares}
    assert BucketTable.decode(table.encode()) == table


@settings(max_examples=100)
@given(splits(), splits(), splits())
def test_reverse_change_restores_the_table(
    first: dict[str, float], second: dict[str, float], third: dict[str, float]
) -> None:
    table = BucketTable.first(first).changed(second)
    assert table.changed(third).changed(second) == table
