"""Overrides of flags: what each makes of an evaluation, and which fit no flag."""

from typing import Any

import pytest

from proxy.flags import definitions
from proxy.flags.overrides import refused, with_overrides
from proxy.flags.spec import FlagOverride

PEOPLE = [f"user-{number}" for number in range(2_000)]


def flags(targeting: Any = None, default: str | None = "off", **more: Any) -> definitions.FlagSet:
    flag = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": default, **more}
    found = definitions.read({"flags": {"f": {**flag, "targeting": targeting or {}}, "other": flag}})
    assert found.problems == []
    return found


def share(made: definitions.FlagSet, **context: Any) -> float:
    """How many of 2,000 people have `on`."""
    drawn = [made.evaluate("f", {"targetingKey": each, **context}, 0.0).variant for each in PEOPLE]
    return drawn.count("on") / len(PEOPLE)


ANN = {"in": [{"var": "targetingKey"}, ["user-1"]]}
DRAWN = {"fractional": [["on", 10], ["off", 90]]}
BY_TEAM = {"fractional": [{"var": "team"}, ["on", 10], ["off", 90]]}


@pytest.mark.parametrize("percent", [0, 12.5, 50, 100])
@pytest.mark.parametrize(
    ("targeting", "chosen"),
    [(None, 0), (DRAWN, 0), ({"if": [ANN, "on"]}, 1), ({"if": [ANN, "on", DRAWN]}, 1), ({"if": [ANN, "on", None]}, 1)],
)
def test_percent_is_of_those_whom_the_rule_leaves(targeting: Any, chosen: int, percent: float) -> None:
    made = with_overrides(flags(targeting), {"f": FlagOverride(percent=percent)})
    expected = percent / 100
    assert share(made) == pytest.approx(expected, abs=0.03 if 0 < percent < 100 else 2 / len(PEOPLE))
    if chosen:
        assert made.evaluate("f", {"targetingKey": "user-1"}, 0.0).variant == "on"


def test_more_per_cent_takes_nobody_out() -> None:
    had: set[str] = set()
    for percent in (1, 5, 25, 80):
        made = with_overrides(flags(DRAWN), {"f": FlagOverride(percent=percent)})
        have = {each for each in PEOPLE if made.evaluate("f", {"targetingKey": each}, 0.0).variant == "on"}
        assert had <= have
        had = have


def test_what_is_hashed_stays() -> None:
    made = with_overrides(flags(BY_TEAM), {"f": FlagOverride(percent=50)})
    assert share(made, team="red") in (0.0, 1.0)


@pytest.mark.parametrize(
    ("override", "variant", "reason"),
    [
        (FlagOverride(killed=True), None, "DISABLED"),
        (FlagOverride(variant="on"), "on", "STATIC"),
        (FlagOverride(variant="off"), "off", "STATIC"),
    ],
)
@pytest.mark.parametrize("state", ["ENABLED", "DISABLED"])
def test_override_is_for_all(override: FlagOverride, variant: str | None, reason: str, state: str) -> None:
    made = with_overrides(flags(DRAWN, state=state), {"f": override, "gone": override})
    found = made.evaluate("f", {"targetingKey": "user-1"}, 0.0)
    assert (found.variant, found.reason) == (variant, reason)
    assert made.evaluate("other", {}, 0.0) == flags(state=state).evaluate("other", {}, 0.0)


THREE = {"variants": {"a": "1", "b": "2", "c": "3"}, "default": "a"}
TWICE = {"if": [ANN, DRAWN, DRAWN]}
COLOURS = {"fractional": [["a", 1], ["b", 1], ["c", 1]]}


@pytest.mark.parametrize(
    ("made", "override", "why"),
    [
        (flags(), FlagOverride(variant="onn"), "'onn' is no variant of it; there is on, off"),
        (flags(), FlagOverride(percent=1, to="onn"), "'onn' is no variant of it; there is on, off"),
        (flags(), FlagOverride(percent=1, to="off"), "it has no other variant to fall back on than 'off'"),
        (flags(default=None), FlagOverride(percent=1), "it has no other variant to fall back on than 'on'"),
        (flags(TWICE), FlagOverride(percent=1), "its rule has no single `fractional` of two variants"),
        (flags(**THREE), FlagOverride(percent=1), "which variant is meant? name one of a, b, c"),
        (flags(COLOURS, **THREE), FlagOverride(percent=1, to="b"), "its rule has no single `fractional`"),
        (flags(DRAWN), FlagOverride(percent=1), None),
        (flags(**THREE), FlagOverride(percent=1, to="c"), None),
    ],
)
def test_what_does_not_fit_is_refused(made: definitions.FlagSet, override: FlagOverride, why: str | None) -> None:
    said = refused(made, "f", override)
    assert (said or "").startswith(why) if why else said is None


def test_override_that_fits_no_more_kills() -> None:
    made = with_overrides(flags(TWICE), {"f": FlagOverride(percent=50)})
    assert made.evaluate("f", {"targetingKey": "user-1"}, 0.0).reason == "DISABLED"
