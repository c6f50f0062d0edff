"""Who wins, file or admin: the last writer, field by field. Against a model that only keeps who wrote last."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from proxy.control.desired import desired, reconciled, shares_of
from proxy.control.state import Drain, EndpointOverride, State, same_shares
from proxy.snapshot.document import Document, Endpoint, Listener, Pool, Route, Service

POOLS = ("blue", "green")
ADDRESSES = ("a:1", "b:1")

shares = st.fixed_dictionaries({"blue": st.integers(0, 3), "green": st.integers(0, 3)}).filter(
    lambda s: any(s.values())
)
Weighed = tuple[float, bool]  # weight, and whether it is a backup
weighed = st.sampled_from(((1.0, False), (2.0, False), (1.0, True)))
members = st.dictionaries(st.sampled_from(ADDRESSES), weighed)


def of_one(parts: dict[str, int]) -> dict[str, float]:
    total = sum(parts.values())
    return {name: part / total for name, part in parts.items()}


def document(split: dict[str, int], weights: dict[str, Weighed]) -> Document:
    endpoints = (Endpoint(each, weight, backup=backup) for each, (weight, backup) in weights.items())
    blue = Pool("blue", (Endpoint("base:1"), *endpoints))
    shop = Service("shop", (blue, Pool("green", (Endpoint("g:1"),))), of_one(split))
    return Document((Listener("127.0.0.1:1"),), (shop,), (Route(service="shop"),))


@dataclass
class Field:
    """One field by the book: the file's value, and what somebody set over it at the time of which file's value."""

    file: Any
    override: Any = None
    replaced: Any = None

    def edit(self, value: Any) -> None:
        if self.override is not None and (value != self.replaced or (value,) == self.override):
            self.override = None
        self.file = value

    def set(self, value: Any) -> None:
        self.override, self.replaced = ((value,), self.file) if value != self.file else (None, None)

    @property
    def now(self) -> Any:
        return self.file if self.override is None else self.override[0]


def exact(parts: dict[str, int]) -> tuple[Fraction, ...]:
    total = sum(parts.values())
    return tuple(Fraction(parts[name], total) for name in POOLS)


@dataclass
class Model:
    split: Field
    weights: dict[str, Field] = field(default_factory=dict)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), shares, members),
        st.tuples(st.just("split"), shares),
        st.tuples(st.just("endpoint"), st.sampled_from(ADDRESSES), st.none() | weighed),
    ),
    max_size=12,
)


@given(shares, members, steps)
def test_every_field_has_what_was_written_last(split: Any, weights: Any, todo: Any) -> None:
    file, state = document(split, weights), State()
    model = Model(Field(exact(split)), {each: Field(weights.get(each)) for each in ADDRESSES})
    parts: dict[tuple[Fraction, ...], dict[str, int]] = {exact(split): split}
    for step in todo:
        match step:
            case ("edit", new, members_now):
                file = document(new, members_now)
                state, _ = reconciled(file, state)
                parts[exact(new)] = new
                model.split.edit(exact(new))
                for each in ADDRESSES:
                    model.weights[each].edit(members_now.get(each))
            case ("split", new):
                state = state.with_split("shop", file.services[0].split, of_one(new))
                parts[exact(new)] = new
                model.split.set(exact(new))
            case ("endpoint", address, weight):
                said = {each.address: (each.weight, each.backup) for each in file.services[0].pools[0].endpoints}
                (now, backup), (then, was_backup) = weight or (None, False), said.get(address, (None, False))
                override = EndpointOverride("shop", "blue", address, then, now, backup, was_backup)
                state = state.with_endpoint(override)
                model.weights[address].set(weight)
        shop = desired(file, state, "key").services[0]
        assert same_shares(shop.split, of_one(parts[model.split.now]))
        assert ("shop" in state.splits) == (model.split.override is not None)
        found = {
            each.address: (each.weight, each.backup) for each in shop.pools[0].endpoints if each.address in ADDRESSES
        }
        assert found == {each: weights.now for each, weights in model.weights.items() if weights.now is not None}


@given(shares, shares)
def test_override_that_equals_the_file_is_none(split: Any, other: Any) -> None:
    file = document(split, {})
    state = State().with_split("shop", file.services[0].split, of_one(other))
    assert ("shop" in state.splits) == (exact(split) != exact(other))
    again, ended = reconciled(document(other, {}), state)
    assert not again.splits
    assert bool(ended) == bool(state.splits)


@given(st.sets(st.sampled_from(("blue", "green", "shop"))))
def test_what_is_gone_takes_its_overrides_along(gone: set[str]) -> None:
    file = document({"blue": 1, "green": 1}, {"a:1": (1.0, False)})
    state = State().with_split("shop", file.services[0].split, {"green": 1.0})
    state = state.with_drain(Drain("shop", "blue", "a:1")).with_drain(Drain("shop", "green")).with_epoch("shop", "blue")
    shop = file.services[0]
    left = replace(shop, pools=tuple(pool for pool in shop.pools if pool.name not in gone))
    state, ended = reconciled(replace(file, services=() if "shop" in gone else (left,)), state)
    if "shop" in gone:
        assert state == State()
    else:
        assert ("shop" in state.splits) == ("green" not in gone)
        assert {drain.pool for drain in state.drains} == {"blue", "green"} - gone
    assert bool(ended) == bool(gone)


def test_split_of_a_service_is_its_override() -> None:
    file = document({"blue": 1, "green": 1}, {})
    shop = file.services[0]
    assert shares_of(shop, State()) == {"blue": 0.5, "green": 0.5}
    assert shares_of(shop, State().with_split("shop", shop.split, {"green": 1.0})) == {"green": 1.0}
