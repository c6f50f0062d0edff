import pytest

from proxy.config.tree import plain_data
from proxy.config.yaml import parse

ENVIRON = {
    "ONE": "1",
    "EMPTY": "",
    "BAD": "x]\n- y: {",
    "HASH": "a # b",
    "COLON": "a: b",
    "ANCHOR": "*x",
    "NEST": "${ONE}",
}

GOOD = [
    ("a: ${ONE}", {"a": 1}),  # a plain scalar means what it is then
    ("a: '${ONE}'", {"a": "1"}),  # a quoted one stays a text
    ('a: "${ONE}"', {"a": "1"}),
    ("a: x${ONE}y${ONE}", {"a": "x1y1"}),
    ("a: [${ONE}, ${ONE}]", {"a": [1, 1]}),
    ("a: {b: ${ONE}}", {"a": {"b": 1}}),
    ("a: ${BAD}", {"a": "x]\n- y: {"}),  # never structure
    ("a: ${HASH}", {"a": "a # b"}),
    ("a: ${COLON}", {"a": "a: b"}),
    ("a: ${ANCHOR}", {"a": "*x"}),
    ("a: ${NEST}", {"a": "${ONE}"}),  # once only
    ("${ONE}: 2", {"1": 2}),
    ("a: ${NONE:-5}", {"a": 5}),
    ("a: ${EMPTY:-5}", {"a": 5}),
    ("a: ${NONE:-}", {"a": None}),
    ("a: ${NONE:-[::1]:80}", {"a": "[::1]:80"}),
    ("a: [${NONE:-a, b}]", {"a": ["a, b"]}),
    ("a: [${NONE:-a: #b}]", {"a": ["a: #b"]}),
    ("a: '${NONE:-it''s}'", {"a": "it's"}),
    ('a: "${NONE:-\\t}"', {"a": "\t"}),
    ("a: $${ONE}", {"a": "${ONE}"}),
    ("a: [$${ONE}]", {"a": ["${ONE}"]}),
    ("a: $${a${ONE}", {"a": "${a1"}),
    ("a: $ONE", {"a": "$ONE"}),
    ("a: ~x\\.[a-z]{2}$", {"a": "~x\\.[a-z]{2}$"}),
    ("a: |\n  x ${ONE}\n", {"a": "x 1\n"}),
    ("a: \U000f0041 ${ONE}", {"a": "\U000f0041 1"}),  # a text that uses the plane of the shield
]


@pytest.mark.parametrize(("text", "expected"), GOOD)
def test_variable_is_put_in_after_parsing(text: str, expected: object) -> None:
    parsed = parse(text, "f", ENVIRON)
    assert parsed.problems == []
    assert parsed.tree is not None
    assert plain_data(parsed.tree) == expected


BAD = [
    ("a: ${NONE}", ["f:1:4: the variable NONE is not set (set it, or write ${NONE:-default})"]),
    ("a: [1, x${NONE}]", ["f:1:8: the variable NONE is not set (set it, or write ${NONE:-default})"]),
    ("a: ${", ["f:1:4: not a variable (write ${NAME} or ${NAME:-default}, and $${ for a literal ${)"]),
    ("a: ${1X}", ["f:1:4: not a variable (write ${NAME} or ${NAME:-default}, and $${ for a literal ${)"]),
    ("a: ${X-1}", ["f:1:4: not a variable (write ${NAME} or ${NAME:-default}, and $${ for a literal ${)"]),
    ("a: ${}", ["f:1:4: not a variable (write ${NAME} or ${NAME:-default}, and $${ for a literal ${)"]),
    ("a: ${A:-${B}}", ["f:1:4: not a variable (write ${NAME} or ${NAME:-default}, and $${ for a literal ${)"]),
    ("a: ${NÖ}", ["f:1:4: not a variable (write ${NAME} or ${NAME:-default}, and $${ for a literal ${)"]),
]


@pytest.mark.parametrize(("text", "expected"), BAD)
def test_variable_that_cannot_be_had_is_a_problem(text: str, expected: list[str]) -> None:
    assert [str(problem) for problem in parse(text, "f", ENVIRON).problems] == expected


def test_place_after_a_variable_is_that_of_the_file() -> None:
    parsed = parse("a: [${NONE:-[],:#}, *x]", "f", ENVIRON)
    assert [str(problem) for problem in parsed.problems] == ["f:1:21: no anchor &x ends before this alias"]
