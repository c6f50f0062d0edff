from itertools import product

import pytest

from proxy.rollouts.states import ACTIVE, SIGNALS, STATES, TABLE, NotNowError, Signal, State, after

WAYS = {
    ("pending", "start"): "running",
    ("pending", "abort"): "aborted",
    ("running", "pause"): "paused",
    ("running", "promote"): "running",
    ("running", "promote_full"): "succeeded",
    ("running", "abort"): "aborted",
    ("running", "halt"): "paused",
    ("running", "fail"): "aborting",
    ("running", "fail_at_once"): "aborted",
    ("running", "end"): "succeeded",
    ("paused", "pause"): "paused",
    ("paused", "resume"): "running",
    ("paused", "promote"): "running",
    ("paused", "promote_full"): "succeeded",
    ("paused", "abort"): "aborted",
    ("paused", "halt"): "paused",
    ("paused", "fail"): "aborting",
    ("paused", "fail_at_once"): "aborted",
    ("aborting", "abort"): "aborted",
    ("aborting", "fail_at_once"): "aborted",
    ("aborting", "taken_back"): "aborted",
    ("aborted", "abort"): "aborted",
    ("aborted", "retry"): "running",
    ("succeeded", "start"): "running",
    ("succeeded", "undo"): "aborted",
    ("succeeded", "abort"): "aborted",
}


@pytest.mark.parametrize(("state", "signal"), list(product(STATES, SIGNALS)))
def test_every_signal_in_every_state(state: State, signal: Signal) -> None:
    wanted = WAYS.get((state, signal))
    if wanted is None:
        with pytest.raises(NotNowError, match=f"it is {state}, so it cannot"):
            after(state, signal)
    else:
        assert after(state, signal) == wanted


def test_a_person_can_abort_from_every_state() -> None:
    assert {TABLE[state]["abort"] for state in STATES} == {"aborted"}


def test_only_retry_leads_out_of_aborted() -> None:
    assert {signal for signal, to in TABLE["aborted"].items() if to != "aborted"} == {"retry"}


def test_what_is_active_can_still_be_stopped() -> None:
    assert {"running", "paused", "aborting"} == ACTIVE
