"""The table: what probes and ejections make of an endpoint together, and its way over the channel."""

import msgspec
import pytest

from proxy.control.ejections import Ejections
from proxy.control.health import combined, encode
from proxy.pools.endpoint import State
from proxy.pools.registry import EndpointKey
from proxy.pools.report import decode
from proxy.snapshot.document import Ejection

A: EndpointKey = ("shop", "blue", "10.0.0.1:80")
B: EndpointKey = ("shop", "blue", "10.0.0.2:80")


def ejected(*keys: EndpointKey) -> Ejections:
    ejections = Ejections()
    for key in keys:
        assert ejections.failed(key, {A: True, B: True}, Ejection(), 0.0)
    return ejections


@pytest.mark.parametrize(
    ("probes", "is_ejected", "state"),
    [
        ({}, False, "up"),
        ({}, True, "ejected"),
        ({A: State.UNPROVEN}, False, "unproven"),
        ({A: State.UNPROVEN}, True, "unproven"),
        ({A: State.UP}, False, "up"),
        ({A: State.UP}, True, "ejected"),
        ({A: State.DOWN}, False, "down"),
        ({A: State.DOWN}, True, "down"),
    ],
)
def test_table_has_one_state_for_each(probes: dict[EndpointKey, State], is_ejected: bool, state: str) -> None:
    ejections = ejected(A) if is_ejected else Ejections()
    assert combined([A], probes, ejections) == {A: state}


def test_table_has_the_endpoints_it_is_asked_for() -> None:
    assert combined([B], {A: State.DOWN}, ejected(A)) == {B: "up"}


def test_endpoint_that_was_down_comes_back_up_though_it_was_ejected() -> None:
    ejections = ejected(A)
    combined([A], {A: State.DOWN}, ejections)
    assert combined([A], {A: State.UP}, ejections) == {A: "up"}
    assert ejections.next_due() is None


def test_ejection_ends_by_time() -> None:
    ejections = ejected(A)
    ejections.readmit_due(29.0)
    assert combined([A], {A: State.UP}, ejections) == {A: "ejected"}
    ejections.readmit_due(30.0)
    assert combined([A], {A: State.UP}, ejections) == {A: "up"}


def test_unproven_endpoint_keeps_its_ejection() -> None:
    ejections = ejected(A)
    combined([A], {A: State.UNPROVEN}, ejections)
    assert combined([A], {A: State.UP}, ejections) == {A: "ejected"}


def test_encoded_table_is_decoded() -> None:
    table = combined([A, B], {A: State.DOWN}, ejected(B))
    assert decode(encode(table)) == {A: "down", B: "ejected"}
    assert decode(encode({})) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {A: "drained"},
        {A: 1},
        {("shop", "10.0.0.1:80"): "up"},
        {"shop": "up"},
        [],
        None,
    ],
)
def test_what_is_no_table_is_not_decoded(wrong: object) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(msgspec.msgpack.encode(wrong))


@pytest.mark.parametrize("length", [0, 1, 10])
def test_table_that_is_cut_short_is_not_decoded(length: int) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(encode({A: "up"})[:length])
