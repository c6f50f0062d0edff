"""Documents that are wrong, and rules whose work is bounded."""

from typing import Any

import pytest

from proxy.flags import definitions


def document(targeting: Any = None, **shared: Any) -> dict[str, Any]:
    flag = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off", "targeting": targeting}
    return {"$evaluators": shared, "flags": {"f": flag}}


@pytest.mark.parametrize(
    ("targeting", "shared", "part"),
    [
        ({"iff": [1]}, {}, "did you mean 'if'"),
        ({"if": [True, "blue"]}, {}, "no variant"),
        ({"$ref": "a"}, {}, "not among"),
        ({"$ref": "a"}, {"a": {"!": {"$ref": "b"}}, "b": {"!": {"$ref": "a"}}}, "back to itself"),
        ({"fractional": [["on", 1.5], ["off", 1]]}, {}, "integer"),
    ],
)
def test_wrong_rule_is_found(targeting: Any, shared: dict[str, Any], part: str) -> None:
    assert any(part in problem.message for problem in definitions.read(document(targeting, **shared)).problems)


@pytest.mark.parametrize("key", ["a/b", "..", "", "a b", "é"])
def test_key_that_no_url_carries_is_refused(key: str) -> None:
    flag = {"state": "ENABLED", "variants": {"on": True}}
    assert "URL" in definitions.read({"flags": {key: flag}}).problems[0].message


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "targeting",
    [
        {"cat": {"var": "a"}},
        {"fractional": [{"cat": [{"var": "a"}]}, ["on"]]},
        {"reduce": [{"var": "b"}, {"cat": [{"var": "accumulator"}, {"var": "accumulator"}]}, "xx"]},
        {"map": [{"var": "c"}, 1]},
    ],
)
def test_work_out_of_bounds_is_an_error(targeting: Any) -> None:
    context = {"a": deep(10_000), "b": [1] * 500, "c": [0] * 5000}
    assert definitions.read(document(targeting)).evaluate("f", context, 0).error_code == "GENERAL"


def test_shared_rules_cannot_multiply() -> None:
    shared = {f"r{level}": {"and": [{"$ref": f"r{level + 1}"}] * 2} for level in range(25)} | {"r25": {"!": True}}
    assert definitions.read(document({"$ref": "r0"}, **shared)).evaluate("f", {}, 0).error_code == "PARSE_ERROR"


def test_explanation_names_branch_and_bucket() -> None:
    rule = {"if": [{"==": [{"var": "x"}, 1]}, "on", {"fractional": [["on", 1], ["off", 1]]}]}
    steps = definitions.read(document(rule)).explain("f", {"targetingKey": "u"}, 0).steps
    assert "none of 1" in steps[0]
    assert "of 2 lies in bucket" in steps[1]
