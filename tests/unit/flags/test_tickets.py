"""Tickets: whose they are, and for how long."""

import pytest

from proxy.flags.tickets import PERIOD, is_good, ticket

KEY = b"a secret"
NOW = 1_800_000_000.0  # begins a period


@pytest.mark.parametrize(
    ("later", "good"), [(0.0, True), (PERIOD - 1.0, True), (2 * PERIOD - 1.0, True), (2 * PERIOD, False), (-1.0, False)]
)
def test_ticket_lasts_for_its_period_and_the_next(later: float, good: bool) -> None:
    assert is_good(ticket(KEY, NOW), KEY, NOW + later) is good


def test_ticket_stays_the_same_within_its_period() -> None:
    assert ticket(KEY, NOW) == ticket(KEY, NOW + PERIOD - 0.1) != ticket(KEY, NOW + PERIOD)


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "x",
        ticket(b"another secret", NOW),
        ticket(KEY, NOW) + "A",
        ticket(KEY, NOW)[:-1],
        " " + ticket(KEY, NOW),
        ticket(KEY, NOW) + "\n",
        "0" + ticket(KEY, NOW),
        f"{int(NOW // PERIOD)}.{ticket(KEY, NOW + PERIOD).partition('.')[2]}",
        f"{int(NOW // PERIOD) + 1}.{ticket(KEY, NOW).partition('.')[2]}",
        "²" + ticket(KEY, NOW)[1:],
        "9" * 5000 + "." + "A" * 22,
    ],
)
def test_what_is_no_ticket_of_ours_is_refused(shown: str) -> None:
    assert not is_good(shown, KEY, NOW)
