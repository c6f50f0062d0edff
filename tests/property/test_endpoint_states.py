"""The whole product of endpoint states and signals, and walks through it."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.pools.endpoint import PROVEN, TRANSITIONS, Endpoint, Signal, State
from proxy.pools.state import PoolState

OUT_BY_HAND = {State.DRAINING, State.DRAINED}


def after(state: State, signal: Signal) -> State:
    endpoint = Endpoint(PoolState("shop", "blue"), "127.0.0.1:9001", state=state)
    changed = endpoint.signal(signal)
    assert changed is (endpoint.state is not state)
    return endpoint.state


@pytest.mark.parametrize(("state", "signal"), list(product(State, Signal)))
def test_signal_obeys_the_rules_in_every_state(state: State, signal: Signal) -> None:
    end = after(state, signal)
    assert end is TRANSITIONS.get((state, signal), state)
    if signal is Signal.REMOVE:
        assert end is State.REMOVED
    elif state is State.REMOVED:
        assert end is (State.UNPROVEN if signal is Signal.ADD else State.REMOVED)
    elif signal is Signal.DRAIN:
        assert end in OUT_BY_HAND
    elif state in OUT_BY_HAND and signal is Signal.RESTORE:
        assert end is State.UNPROVEN  # proven again first
    elif state in OUT_BY_HAND:
        assert end in OUT_BY_HAND  # no probe undoes a drain
    elif state is State.UNPROVEN:
        assert end is (State.UP if signal is Signal.PASS else State.UNPROVEN)  # one pass proves, nothing else does
    else:
        assert end in PROVEN  # what was proven stays so


def test_transitions_list_only_changes() -> None:
    assert all(end is not state for (state, _), end in TRANSITIONS.items())


def test_every_state_can_be_reached_and_left() -> None:
    assert {end for _, end in TRANSITIONS.items()} == set(State) == {state for state, _ in TRANSITIONS}


@given(st.lists(st.sampled_from(Signal)))
def test_walk_is_usable_only_after_a_pass_since_it_was_added_or_restored(signals: list[Signal]) -> None:
    endpoint = Endpoint(PoolState("shop", "blue"), "127.0.0.1:9001", state=State.UNPROVEN)
    passed = False
    for signal in signals:
        begins = signal in (Signal.REMOVE, Signal.DRAIN)
        passed = not begins and (passed or (signal is Signal.PASS and endpoint.state is State.UNPROVEN))
        endpoint.signal(signal)
        assert passed or not endpoint.is_proven
