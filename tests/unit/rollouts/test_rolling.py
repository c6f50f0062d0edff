from typing import Any

import msgspec
import pytest

from proxy.rollouts.planning import from_data, plan_of, refuse_unfit, to_data
from proxy.rollouts.spec import RolloutSpec, Written
from proxy.rollouts.step import STEPS, Abort, Answer, Moment, Next, Pause, Result, Stay
from proxy.rollouts.steps.bake import Bake
from proxy.rollouts.steps.wave import ROLLBACK, Wave, rollback_of
from proxy.rollouts.verdict import NOTHING_YET

HOOK = {"hook": "http://h/update"}
POOLS = {"blue": [f"b:{number}" for number in range(8)], "green": ["g:1"]}
FULL = {"blue": 1.0, "green": 0.0}


def spec(pool: str | None = "blue", **options: Any) -> RolloutSpec:
    other = {key: options.pop(key) for key in ("stable", "candidate", "gradual", "steps") if key in options}
    strategy = options.pop("strategy", Written("rolling", {"update": HOOK, **options}))
    return RolloutSpec("r", "shop", strategy=strategy, pool=pool, **other)


SIZES = [
    ({}, [2, 2, 2, 2]),
    ({"waves": "3"}, [3, 3, 2]),
    ({"waves": "10%"}, [1] * 8),
    ({"waves": "100%"}, [8]),
    ({"waves": "20"}, [8]),
]


@pytest.mark.parametrize(("options", "sizes"), SIZES)
def test_waves_of_a_pool(options: dict[str, Any], sizes: list[int]) -> None:
    plan = plan_of(spec(**options), POOLS, FULL)
    waves = [step for step in plan.steps if isinstance(step, Wave)]
    assert [len(wave.endpoints) for wave in waves] == sizes
    assert [address for wave in waves for address in wave.endpoints] == POOLS["blue"]
    assert plan.steps[1::2] == (Bake(time=60.0),) * len(sizes)
    assert (plan.stable, plan.candidate, plan.is_rolling) == ("blue", "blue", True)
    assert from_data(msgspec.msgpack.decode(msgspec.msgpack.encode(to_data(plan)))) == plan


BY_HAND = Written("wave", {"endpoints": ["b:1"], "update": HOOK})
BAD = [
    (spec(None), "name it under pool"),
    (spec(strategy=Written("canary")), "only a rolling update is of one pool"),
    (spec(steps=(BY_HAND,)), "only a rolling update is of one pool"),
    (spec(None, strategy=Written("canary"), steps=(BY_HAND,), candidate="green"), "waves are of one pool"),
    (spec(stable="blue"), "leave out stable and candidate"),
    (spec(candidate="green"), "leave out stable and candidate"),
    (spec(gradual=5.0), "leave gradual out"),
    (spec("red"), "there is no pool red; there is blue, green"),
    (spec("green"), "green must have all of the traffic"),
    (spec(waves="many"), "'many' is not a number of endpoints"),
    (spec(max_unavailable="-1"), "'-1' is not a number of endpoints"),
    (spec(update={}), "an update is a hook or a command"),
    (spec(update={**HOOK, "command": ["x"]}), "an update is a hook or a command"),
    (spec(update={"command": ["x"]}), "write allow_commands: true"),
    (spec(update={"hook": "ftp://h"}), "a hook is a URL"),
    (spec(update={"hook": "http://["}), "a hook is a URL"),
    (spec(update={"hook": "http://h:99999/"}), "a hook is a URL"),
    (spec(update={"hook": "http://:80/"}), "a hook is a URL"),
    (spec(version={"value": ""}), "every answer contains nothing"),
    (spec(version={"value": "2", "path": "x"}), "a path begins with a slash"),
    (spec(deadline=0.0), "are times to wait"),
]


@pytest.mark.parametrize(("bad", "message"), BAD)
def test_what_cannot_roll_is_refused(bad: RolloutSpec, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_of(bad, POOLS, FULL)


def test_one_endpoint_cannot_be_updated_in_place() -> None:
    with pytest.raises(ValueError, match="needs two endpoints or more"):
        plan_of(spec(), {"blue": ["b:1"]}, {"blue": 1.0})


def test_commands_run_where_they_are_allowed() -> None:
    plan = plan_of(spec(update={"command": ["deploy", "{endpoint}"]}, allow_commands=True), POOLS, FULL)
    assert isinstance(plan.steps[0], Wave)
    assert plan.steps[0].update.command == ("deploy", "{endpoint}")


OK, FAILED = Result(ok=True, text=""), Result(ok=False, text="b:1: no")
LOOKS: list[tuple[str, dict[str, Result], Answer | set[str]]] = [
    ("abort", {}, {"update a", "update b"}),
    ("abort", {"update a": OK}, {"back a", "update b"}),
    ("abort", {"update a": OK, "back a": OK, "update b": OK}, {"back a", "back b"}),
    ("abort", {"update a": OK, "back a": OK, "update b": OK, "back b": OK}, Next()),
    ("abort", {"update a": OK, "update b": FAILED}, Abort("the wave failed: b:1: no")),
    ("abort", {"update a": OK, "back a": FAILED}, Abort("the wave failed: b:1: no")),
    ("pause", {"update a": FAILED}, Pause("the wave failed: b:1: no")),
]


@pytest.mark.parametrize(("otherwise", "results", "wanted"), LOOKS)
def test_wave_answers(otherwise: str, results: dict[str, Result], wanted: Answer | set[str]) -> None:
    wave = STEPS.build("wave", {"endpoints": ["a", "b"], "update": HOOK, "otherwise": otherwise})
    moment = Moment(elapsed=0.0, share=1.0, requests=0, min_requests=1, verdict=NOTHING_YET, results=results)
    answer = wave.look(moment)
    if isinstance(wanted, set):
        assert isinstance(answer, Stay)
        assert {act.name for act in answer.acts} == wanted  # type: ignore[union-attr]
    else:
        assert answer == wanted


ROLLBACKS = [(0, 2), (1, 2), (2, 4), (7, 8), (8, 8)]


@pytest.mark.parametrize(("step", "count"), ROLLBACKS)
def test_rollback_is_of_this_and_earlier_waves(step: int, count: int) -> None:
    steps = plan_of(spec(), POOLS, FULL).steps
    job = rollback_of(steps, step, {})
    assert job is not None
    assert job.options["addresses"] == POOLS["blue"][:count]
    assert rollback_of(steps, step, {ROLLBACK: OK}) is None


def test_rollback_of_nothing_is_nothing() -> None:
    assert rollback_of((Bake(time=1.0),), 0, {}) is None


UNFIT = [
    (("blue", "green"), FULL, None),
    (("green",), FULL, "there is no pool blue; there is green"),
    (("blue", "green"), {"blue": 0.5, "green": 0.5}, "blue must have all of the traffic; set the split first"),
]


@pytest.mark.parametrize(("pools", "shares", "problem"), UNFIT)
def test_plan_can_be_begun_again_while_its_pool_has_everything(
    pools: tuple[str, ...], shares: dict[str, float], problem: str | None
) -> None:
    plan = plan_of(spec(), POOLS, FULL)
    if problem is None:
        refuse_unfit(plan, pools, shares)
        return
    with pytest.raises(ValueError, match=problem):
        refuse_unfit(plan, pools, shares)
