from typing import Any

import msgspec
import pytest

from proxy.rollouts.planning import from_data, plan_of, resolved, to_data
from proxy.rollouts.spec import RolloutSpec, Written
from proxy.rollouts.steps.bake import Bake
from proxy.rollouts.steps.split import Split

POOLS = ["blue", "green", "canary"]
ENDPOINTS = {"blue": ["b:1", "b:2", "b:3", "b:4"], "green": ["g:1"], "canary": ["c:1"]}
FULL = {"blue": 1.0, "green": 0.0, "canary": 0.0}


def spec(*steps: tuple[str, dict[str, Any]], **options: Any) -> RolloutSpec:
    given: dict[str, Any] = {"candidate": "canary", **options}
    return RolloutSpec("r", "shop", steps=tuple(Written(*each) for each in steps), **given)


WAYS = [
    ("live", "canary", POOLS, FULL, ("blue", "canary")),
    ("live", "canary", POOLS, {"green": 1.0}, ("green", "canary")),
    ("blue", "canary", POOLS, {"blue": 0.9, "canary": 0.1}, ("blue", "canary")),
    ("live", "other", ["blue", "green"], {"green": 1.0}, ("green", "blue")),
    ("live", "other", POOLS, FULL, "`other` needs a service of two pools"),
    ("live", "canary", POOLS, {"blue": 0.5, "green": 0.5}, "no pool has all of the traffic"),
    ("blue", "canary", POOLS, {"blue": 0.5, "green": 0.5}, "must have all of the traffic"),
    ("blue", "canary", POOLS, {"canary": 1.0}, "must have all of the traffic"),
    ("blue", "blue", POOLS, FULL, "stable and candidate are both blue"),
    ("blue", "red", POOLS, FULL, "there is no pool red"),
]


@pytest.mark.parametrize(("stable", "candidate", "pools", "shares", "wanted"), WAYS)
def test_which_pools_are_meant(
    stable: str, candidate: str, pools: list[str], shares: dict[str, float], wanted: tuple[str, str] | str
) -> None:
    if isinstance(wanted, str):
        with pytest.raises(ValueError, match=wanted):
            resolved(stable, candidate, pools, shares)
    else:
        assert resolved(stable, candidate, pools, shares) == wanted


def test_strategy_writes_the_steps_where_there_are_none() -> None:
    plan = plan_of(spec(strategy=Written("canary", {"shares": [0.1, 1.0], "bake": 60.0})), ENDPOINTS, FULL)
    assert plan.steps == (Split(0.1), Bake(time=60.0), Split(1.0), Bake(time=60.0))
    assert (plan.stable, plan.candidate) == ("blue", "canary")


@pytest.mark.parametrize(
    ("strategy", "steps"),
    [
        (Written("canary"), 8),
        (Written("blue_green"), 5),
        (Written("blue_green", {"preview": {"x-preview": "1"}, "approve": False}), 5),
        (Written("ab", {"cookies": {"group": "b"}}), 3),
        (Written("ab", {"flags": {"checkout": "on"}}), 3),
    ],
)
def test_strategies(strategy: Written, steps: int) -> None:
    assert len(plan_of(spec(strategy=strategy), ENDPOINTS, FULL).steps) == steps


BAD = [
    (spec(("split", {"to": 0.1}), ("bake", {})), "bake takes a time"),
    (spec(("fly", {})), "unknown step 'fly'"),
    (spec(("bake", {"until": "safe"})), "step 0: `until: safe` compares the two"),
    (spec(("split", {"to": 1.0}), ("bake", {"until": "safe"})), "step 1: `until: safe` compares the two"),
    (spec(("holdback", {"time": 1.0}), ("bake", {"until": "safe"})), "step 1: `until: safe` compares the two"),
    (spec(("split", {"to": 1.0}), ("analyze", {})), "step 1: analyze compares the two"),
    (spec(("split", {"to": 0.5}), ("drain", {})), "step 1: stable still has traffic"),
    (spec(("hook", {"url": "http:// bad"})), "a hook is a URL"),
    (spec(("hook", {"url": "http://[::1/"})), "a hook is a URL"),
    (spec(("hook", {"url": "http://a:99999/"})), "a hook is a URL"),
    (spec(("smoke", {"path": "/a b"})), "has no spaces"),
    (spec(("smoke", {"headers": {"x y": "b"}})), "'x y' cannot be sent as a header"),
    (spec(("smoke", {"headers": {"x": "a\nb"}})), "'x' cannot be sent as a header"),
    (spec(("mirror", {"time": 60.0, "share": 0.0})), "there is nothing to compare"),
    (spec(strategy=Written("ab")), "ab needs a cohort"),
    (spec(strategy=Written("canary", {"shares": [0.5, 0.1]})), "shares go up"),
    (spec(judge={"window": "soon"}), "window"),
]


@pytest.mark.parametrize(("bad", "message"), BAD)
def test_what_cannot_be_planned_is_refused(bad: RolloutSpec, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_of(bad, ENDPOINTS, FULL)


def test_pinned_plan_is_read_again_as_it_was() -> None:
    steps = [
        ("smoke", {"count": 3, "headers": {"x-a": "1"}}),
        ("split", {"to": 0.1}),
        ("bake", {"until": "safe", "at_most": 60.0}),
        ("holdback", {"time": 5.0}),
    ]
    judge = {"errors": {"alpha": 0.05, "statuses": [[500, 503]]}, "slower_than": [0.25], "p99": 1.0}
    plan = plan_of(spec(*steps, judge=judge, gradual=5.0, hooks={"events": "http://h"}), ENDPOINTS, FULL)
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(to_data(plan)))
    assert from_data(kept) == plan


@pytest.mark.parametrize("broken", [{}, {"name": "r"}, None])
def test_plan_of_another_version_is_refused(broken: Any) -> None:
    with pytest.raises(ValueError, match="another version"):
        from_data(broken)
