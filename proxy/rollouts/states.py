"""The states of a rollout and what may happen in each: one table."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

State: TypeAlias = Literal["pending", "running", "paused", "aborting", "aborted", "succeeded"]
Verb: TypeAlias = Literal["start", "pause", "resume", "promote", "promote_full", "abort", "retry", "undo"]
Event: TypeAlias = Literal["halt", "fail", "fail_at_once", "taken_back", "end"]
"""What the proxy does by itself: pauses, takes the traffic back (gradually, at once), has done so, is through."""
Signal: TypeAlias = Verb | Event

STATES: Final[tuple[State, ...]] = get_args(State)
SIGNALS: Final[tuple[Signal, ...]] = (*get_args(Verb), *get_args(Event))
ACTIVE: Final[frozenset[State]] = frozenset({"running", "paused", "aborting"})

TABLE: Final[Mapping[State, Mapping[Signal, State]]] = {
    "pending": {"start": "running", "abort": "aborted"},
    "running": {
        "pause": "paused",
        "promote": "running",
        "promote_full": "succeeded",
        "abort": "aborted",
        "halt": "paused",
        "fail": "aborting",
        "fail_at_once": "aborted",
        "end": "succeeded",
    },
    "paused": {
        "pause": "paused",
        "resume": "running",
        "promote": "running",
        "promote_full": "succeeded",
        "abort": "aborted",
        "halt": "paused",
        "fail": "aborting",
        "fail_at_once": "aborted",
    },
    "aborting": {"abort": "aborted", "fail_at_once": "aborted", "taken_back": "aborted"},
    "aborted": {"abort": "aborted", "retry": "running"},
    "succeeded": {"start": "running", "undo": "aborted", "abort": "aborted"},
}
"""What each signal makes of each state; what is not here is refused. Only retry brings an aborted rollout back."""

_INSTEAD: Final[Mapping[State, str]] = {
    "pending": "start it first",
    "running": "pause, promote or abort it",
    "paused": "resume, promote or abort it",
    "aborting": "its traffic is being taken back; abort does so at once",
    "aborted": "retry begins it again",
    "succeeded": "start begins it again, undo takes the traffic back",
}


class NotNowError(Exception):
    """A signal that the state does not take, with what can be done instead."""


def after(state: State, signal: Signal) -> State:
    """The state that a signal leads to; NotNowError where it leads nowhere."""
    to = TABLE[state].get(signal)
    if to is None:
        raise NotNowError(f"it is {state}, so it cannot {signal.replace('_', ' ')}: {_INSTEAD[state]}")
    return to
