"""Rollouts that are posted: refused for what the YAML would be refused for, however strange the body is."""

from typing import Any

import msgspec
import pytest

from proxy.config.load import load_text
from proxy.config.posted import posted_rollout

GOOD = {"name": "x", "service": "shop", "candidate": "canary", "steps": [{"split": "5%"}, "approve"]}


def nested(depth: int) -> Any:
    found: Any = "x"
    for _ in range(depth):
        found = [found]
    return found


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": "x\ny"}, "$.name: "),
    ({"name": "x" * 65}, "$.name: "),
    ({"name": "../x"}, "$.name: "),
    ({"hooks": {"events": "file:///etc/passwd"}}, "it begins with http:// or https://"),
    ({"steps": []}, "there are no steps"),
    ({"strategy": "canary"}, "a strategy writes the steps"),
    ({"steps": [{"bake": {"until": "safe"}}]}, "$.steps[0]: `until: safe` compares the two"),
    ({"steps": [{"header": {"headers": {"x y": "b"}}}]}, "$.steps[0]: match 'headers': 'x y' cannot be"),
    ({"steps": [{"split": "5%"}] * 101}, "at most 100"),
    ({"steps": nested(900)}, "too deep"),
    ({"service": {"a": nested(40)}}, "too deep"),
    ({"judge": {"errors": {"alpha": "0%"}}}, "more than 0%"),
    ({"judge": {"errors": {"alpha": 1.0}}}, "more than 0%"),
    ({"judge": {"safe": {"beta": 0}}}, "more than 0%"),
    ({"judge": {"safe": {"ratio": 0.5}}}, "write more than 1"),
    ({"judge": {"safe": {"ratio": 1}}}, "write more than 1"),
    ({"judge": {"safe": {"ratio": float("nan")}}}, "is not a number"),
    ({"judge": {"safe": {"ratio": float("inf")}}}, "is not a number"),
    ({"judge": {"min_requests": 10**400}}, "is not"),
    ({"judge": {"slower_than": ["1s"] * 9}}, "at most 8"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_body_is_refused_in_words(change: dict[str, Any], message: str) -> None:
    spec, problems = posted_rollout({**GOOD, **change})
    assert spec is None
    assert any(message in each for each in problems), problems


def test_good_body_is_taken() -> None:
    spec, problems = posted_rollout(GOOD)
    assert problems == ()
    assert spec is not None
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=type(spec)) == spec


@pytest.mark.parametrize("judge", ["{errors: {alpha: 0%}}", "{safe: {beta: 0%}}", "{safe: {ratio: 0.5}}"])
def test_judge_that_could_only_be_wrong_is_refused_in_the_file(judge: str) -> None:
    text = (
        "listeners: [{bind: 127.0.0.1:1}]\nservices: {shop: {pools: {blue: {endpoints: [127.0.0.1:2]}, canary: "
        "{endpoints: [127.0.0.1:3]}}, split: {blue: 100, canary: 0}}}\nroutes: [{service: shop}]\n"
        f"rollouts: {{r: {{service: shop, candidate: canary, judge: {judge}}}}}\n"
    )
    assert load_text(text, "sluice.yaml", {}).document is None
    assert load_text(text.replace(judge, "{safe: {ratio: 3}}"), "sluice.yaml", {}).document is not None
