"""An endpoint's states: what each signal makes of them."""

import pytest

from proxy.pools.endpoint import Endpoint, Signal, State
from proxy.pools.state import PoolState


def endpoint(state: State = State.UP, weight: float = 1.0) -> Endpoint:
    return Endpoint(PoolState("shop", "blue"), "127.0.0.1:9001", weight, state)


@pytest.mark.parametrize(
    ("signals", "state"),
    [
        ("PASS", State.UP),
        ("FAIL", State.UNPROVEN),
        ("PASS FAIL", State.DOWN),
        ("PASS FAIL PASS", State.UP),
        ("PASS EJECT", State.EJECTED),
        ("PASS EJECT PASS", State.EJECTED),
        ("PASS EJECT READMIT", State.UP),
        ("PASS EJECT FAIL READMIT", State.DOWN),
        ("PASS DRAIN PASS", State.DRAINING),
        ("PASS DRAIN EMPTY PASS", State.DRAINED),
        ("PASS DRAIN EMPTY RESTORE", State.UNPROVEN),
        ("PASS DRAIN RESTORE PASS", State.UP),
        ("PASS FAIL RESTORE", State.DOWN),
        ("PASS EMPTY", State.UP),
        ("PASS DRAIN REMOVE RESTORE PASS DRAIN", State.REMOVED),
        ("PASS REMOVE ADD", State.UNPROVEN),
        ("PASS REMOVE ADD PASS", State.UP),
        ("PASS ADD", State.UP),
    ],
)
def test_endpoint_goes_through_states(signals: str, state: State) -> None:
    walked = endpoint(State.UNPROVEN)
    for name in signals.split():
        walked.signal(Signal[name])
    assert walked.state is state


def test_signal_tells_whether_the_state_changed() -> None:
    walked = endpoint()
    assert [walked.signal(Signal.DRAIN), walked.signal(Signal.DRAIN)] == [True, False]


def test_change_of_state_forgets_errors_and_a_signal_without_one_does_not() -> None:
    walked = endpoint()
    walked.consecutive_errors = 4
    walked.signal(Signal.PASS)
    assert walked.consecutive_errors == 4
    walked.signal(Signal.FAIL)
    assert walked.consecutive_errors == 0


@pytest.mark.parametrize(
    ("state", "weight", "usable", "proven"),
    [
        (State.UP, 1.0, True, True),
        (State.UP, 0.0, False, True),
        (State.DOWN, 1.0, False, True),
        (State.EJECTED, 1.0, False, True),
        (State.UNPROVEN, 1.0, False, False),
        (State.DRAINING, 1.0, False, False),
        (State.DRAINED, 1.0, False, False),
        (State.REMOVED, 1.0, False, False),
    ],
)
def test_state_says_what_may_be_sent(state: State, weight: float, usable: bool, proven: bool) -> None:
    seen = endpoint(state, weight)
    assert (seen.is_usable, seen.is_proven) == (usable, proven)


@pytest.mark.parametrize(("in_flight", "tunnels", "empty"), [(0, 0, True), (1, 0, False), (0, 1, False)])
def test_endpoint_is_empty_without_exchanges_and_tunnels(in_flight: int, tunnels: int, empty: bool) -> None:
    seen = endpoint()
    seen.in_flight, seen.tunnels = in_flight, tunnels
    assert seen.is_empty is empty


def test_repr_is_one_line() -> None:
    assert repr(endpoint()) == "<Endpoint shop/blue 127.0.0.1:9001 up, 0 in flight>"
