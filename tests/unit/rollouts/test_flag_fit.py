"""Steps that name flags: told before anything moves where the flag is not there, or is not such."""

import pytest

from proxy.flags.definitions import FlagSet, read
from proxy.rollouts.flag_fit import unfit_flags
from proxy.rollouts.step import Step
from proxy.rollouts.steps.flag import Flag
from proxy.rollouts.steps.header import Header
from proxy.rollouts.steps.split import Split

ON_OFF = {"on": True, "off": False}
ONE_FRACTIONAL = {"fractional": [["on", 1], ["off", 1]]}
FLAGS = {
    "plain": {"state": "ENABLED", "variants": ON_OFF, "defaultVariant": "off"},
    "drawn": {"state": "ENABLED", "variants": ON_OFF, "defaultVariant": "off", "targeting": ONE_FRACTIONAL},
    "always": {"state": "ENABLED", "variants": ON_OFF, "defaultVariant": "on"},
    "words": {"state": "ENABLED", "variants": {"a": "x", "b": "y"}, "defaultVariant": "a"},
    "twice": {
        "state": "ENABLED",
        "variants": ON_OFF,
        "defaultVariant": "off",
        "targeting": {"if": [{"var": "x"}, ONE_FRACTIONAL, ONE_FRACTIONAL]},
    },
}


@pytest.fixture(scope="module")
def made() -> FlagSet:
    return read({"flags": FLAGS})


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Split(0.5), None),
        (Flag(key="plain", percent=0.25), None),
        (Flag(key="drawn", percent=1.0), None),
        (Flag(key="words", percent=0.25, to="b"), None),
        (Flag(key="words", percent=0.25), "which variant is meant?"),
        (Flag(key="words", percent=0.25, to="c"), "'c' is no variant of it"),
        (Flag(key="always", percent=0.25), "give it another defaultVariant"),
        (Flag(key="twice", percent=0.25), "no single `fractional`"),
        (Flag(key="none", percent=0.25), "there is no flag 'none'; there is plain, drawn"),
        (Header(headers={"x-a": "1"}), None),
        (Header(flags={"plain": "on"}), None),
        (Header(flags={"plain": "onn"}), "'onn' is no variant of flag plain"),
        (Header(flags={"none": "on"}), "there is no flag 'none'"),
    ],
)
def test_flag_of_a_step_fits_or_it_is_said_why(made: FlagSet, step: Step, said: str | None) -> None:
    found = list(unfit_flags((Split(0.1), step), made))
    if said is None:
        assert found == []
    else:
        ((position, text),) = found
        assert position == 1
        assert said in text


@pytest.mark.parametrize("step", [Flag(key="f", percent=0.1), Header(flags={"f": "on"})])
def test_without_flags_there_is_none_to_ramp(step: Step) -> None:
    assert list(unfit_flags((step,), None)) == [(0, "there is no flag 'f'; define it under flags or flag_rules")]
