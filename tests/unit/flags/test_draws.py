"""Draws: who is compared at all, with which weights, and that a draw is the very one that evaluation went by."""

from typing import Any

import pytest

from proxy.flags import definitions
from proxy.flags.draws import Draw, Drawer

DRAWN = {"fractional": [["on", 10], ["off", 90]]}
EU = {"==": [{"var": "region"}, "eu"]}
SHARED = {"$evaluators": {"drawn": DRAWN, "eu": EU}}


def drawer(targeting: Any) -> Drawer:
    flag = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}
    made = definitions.read({"flags": {"f": {**flag, "targeting": targeting}}, **SHARED})
    assert made.problems == []
    return Drawer.of(made.flags["f"], made.generation, made.shared)


@pytest.mark.parametrize(
    "targeting",
    [
        DRAWN,
        {"$ref": "drawn"},
        {"fractional": [{"var": "company"}, ["on", 10], ["off", 90]]},
        {"if": [EU, DRAWN]},
        {"if": [{"$ref": "eu"}, "on", DRAWN]},
        {"or": [{"if": [EU, "on", None]}, DRAWN]},
    ],
)
def test_draw_is_the_one_that_decided(targeting: Any) -> None:
    found = drawer(targeting)
    seen = set()
    for number in range(200):
        context = {"targetingKey": f"u{number}", "company": f"c{number % 50}", "region": ("eu", "us")[number % 2]}
        draw, outcome = found.draw(context, 0.0), found.flag.evaluate(context, 0.0)
        if draw is not None:
            assert (draw.variant, draw.weights) == (outcome.variant, {"on": 10, "off": 90})
            seen.add(draw.variant)
    assert seen == {"on", "off"}


@pytest.mark.parametrize(
    "targeting",
    [
        {"if": [{"==": [DRAWN, "on"]}, "on", "off"]},
        {"and": [DRAWN, "on"]},
        {"if": [DRAWN, "on"]},
        {"fractional": [["on", {"var": "weight"}], ["off", 90]]},
        {"if": [{"in": ["x", [{"$ref": "drawn"}]]}, "on", DRAWN]},
    ],
)
def test_rule_whose_draw_does_not_decide_alone_is_not_compared(targeting: Any) -> None:
    with pytest.raises(ValueError, match="nothing can be compared"):
        drawer(targeting)


def test_who_was_not_drawn_has_no_draw() -> None:
    found = drawer({"if": [EU, "on", DRAWN]})
    assert found.draw({"targetingKey": "ann", "region": "eu"}, 0.0) is None
    assert found.draw({"region": "us"}, 0.0) is None
    assert isinstance(found.draw({"targetingKey": "ann"}, 0.0), Draw)


def test_those_drawn_by_the_same_value_are_one_unit() -> None:
    found = drawer({"fractional": [{"var": "company"}, ["on", 10], ["off", 90]]})
    units = {getattr(found.draw({"targetingKey": f"u{n}", "company": "acme"}, 0.0), "unit", None) for n in range(20)}
    assert len(units) == 1
    assert None not in units


def test_weights_of_a_variant_that_stands_twice_add_up() -> None:
    draw = drawer({"fractional": [["on", 10], ["off", 50], ["on", 40]]}).draw({"targetingKey": "ann"}, 0.0)
    assert draw is not None
    assert draw.weights == {"on": 50, "off": 50}
