"""Standing: every row of outcomes up to six, for every small setting, against the rules told in another way."""

from itertools import product

import pytest

from proxy.control.standing import Standing
from proxy.pools.endpoint import Signal, State
from proxy.snapshot.document import Health

SIGNALS = {"+": Signal.PASS, "-": Signal.FAIL}


def after(outcomes: str, passes: int = 2, fails: int = 3) -> list[str]:
    standing, health = Standing(), Health("/", passes=passes, fails=fails)
    states = []
    for outcome in outcomes:
        before = standing.state
        assert standing.note(SIGNALS[outcome], health) is (standing.state is not before)
        states.append(standing.state.value)
    return states


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("", "unproven"),
        ("-", "unproven"),
        ("---------", "unproven"),
        ("+", "up"),
        ("---+", "up"),
        ("+--", "up"),
        ("+---", "down"),
        ("+--+--", "up"),
        ("+--+---", "down"),
        ("+---+", "down"),
        ("+---+-+", "down"),
        ("+---++", "up"),
        ("+---++--", "up"),
        ("+---++---", "down"),
        ("+---+---++", "up"),
    ],
)
def test_standing_after_a_row(outcomes: str, state: str) -> None:
    assert (after(outcomes) or ["unproven"])[-1] == state


def told_in_another_way(outcomes: str, passes: int, fails: int) -> str:
    """Where the longest row that moves it ends, looked for from the back of the text."""
    proven = outcomes.find("+")
    if proven < 0:
        return "unproven"
    state, since = "up", proven + 1
    for end in range(proven + 2, len(outcomes) + 1):
        row = "-" * fails if state == "up" else "+" * passes
        if outcomes[since:end].endswith(row):
            state, since = ("down" if state == "up" else "up"), end
    return state


@pytest.mark.parametrize(("passes", "fails"), list(product((1, 2, 3), repeat=2)))
def test_standing_of_every_row_of_seven(passes: int, fails: int) -> None:
    for row in product("+-", repeat=7):
        outcomes = "".join(row)
        states = after(outcomes, passes, fails)
        expected = [told_in_another_way(outcomes[: end + 1], passes, fails) for end in range(7)]
        assert states == expected, outcomes


@pytest.mark.parametrize(
    ("state", "signal"), list(product((State.UNPROVEN, State.UP, State.DOWN), (Signal.PASS, Signal.FAIL)))
)
def test_standing_moves_only_where_the_endpoints_table_does(state: State, signal: Signal) -> None:
    moves = {
        (State.UNPROVEN, Signal.PASS): State.UP,
        (State.UP, Signal.FAIL): State.DOWN,
        (State.DOWN, Signal.PASS): State.UP,
    }
    standing = Standing()
    standing.state = state
    standing.note(signal, Health("/", passes=1, fails=1))
    assert standing.state is moves.get((state, signal), state)


def test_recount_keeps_the_state_and_ends_the_row() -> None:
    standing, health = Standing(), Health("/", fails=2)
    standing.note(Signal.PASS, health)
    standing.note(Signal.FAIL, health)
    standing.recount()
    assert not standing.note(Signal.FAIL, health)
    assert standing.note(Signal.FAIL, health)
    assert standing.state is State.DOWN


def test_standing_shows_itself_in_one_line() -> None:
    standing, health = Standing(), Health("/")
    standing.note(Signal.PASS, health)
    standing.note(Signal.FAIL, health)
    assert repr(standing) == "<Standing up, 1 against it>"
