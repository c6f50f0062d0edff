from dataclasses import replace
from typing import Any

import msgspec
import pytest

from proxy.rollouts.judging import Judging
from proxy.rollouts.plan import Hooks, Plan
from proxy.rollouts.run import DEAD_AFTER, Run, Sight, halted, look, signalled, started, with_result
from proxy.rollouts.states import NotNowError
from proxy.rollouts.step import Job, Result, SetSplit, Step
from proxy.rollouts.steps.analyze import Analyze
from proxy.rollouts.steps.approve import Approve
from proxy.rollouts.steps.bake import Bake
from proxy.rollouts.steps.mirror import Mirror
from proxy.rollouts.steps.smoke import Smoke
from proxy.rollouts.steps.split import Split
from proxy.rollouts.verdict import Verdict

HARM = Verdict("harm", "canary fails")
DOUBT = Verdict("harm", "canary fails more than before", only_pauses=True)
SAFE = Verdict("safe", "canary is fine")


def plan(*steps: Step, **options: Any) -> Plan:
    judge = Judging(min_requests=10)
    return Plan(name="r", service="shop", stable="blue", candidate="canary", steps=steps, judge=judge, **options)


class World:
    """A run with a clock of its own: splits are set at once, requests come at ten a second."""

    def __init__(self, of: Plan, rate: float = 10.0) -> None:
        self.plan = of
        self.rate = rate
        self.now = 0.0
        self.jobs: list[Job] = []
        self.splits: list[float] = []
        self.run = started("r", 1, {"blue": 1.0, "canary": 0.0}, 0.0)

    def pass_by(self, seconds: float, **seen: Any) -> Run:
        """Let time pass in looks of a second, and then look until nothing moves."""
        for _ in range(int(seconds)):
            self.now += 1
            self._look(1.0, **seen)
        self._look(0.0, **seen)
        return self.run

    def _look(self, passed: float, **seen: Any) -> None:
        for _ in range(20):
            sight = Sight(passed=passed, wall=self.now, requests=int(self.now * self.rate), **seen)
            before = self.run
            self.run, acts = look(self.run, self.plan, sight)
            for act in acts:
                if isinstance(act, SetSplit):
                    self.splits.append(act.share)
                    self.run = _with(self.run, share=act.share, stage=self.run.step)
                elif isinstance(act, Job):
                    self.jobs.append(act)
            passed = 0.0
            if not acts and (before.state, before.step, before.phase) == (
                self.run.state,
                self.run.step,
                self.run.phase,
            ):
                return


def _with(run: Run, **changes: Any) -> Run:
    return msgspec.structs.replace(run, **changes)


def test_plan_is_carried_out_step_by_step() -> None:
    world = World(plan(Split(0.1), Bake(time=5.0), Split(1.0)))
    assert world.pass_by(4).state == "running"
    assert (world.run.step, world.splits) == (1, [0.1])
    assert world.pass_by(2).state == "succeeded"
    assert world.splits == [0.1, 1.0]
    assert [line.text for line in world.run.log] == [
        "start",
        "step 0 done: 10 % to the candidate",
        "step 1 done: bake for 5s",
        "step 2 done: 100 % to the candidate",
        "end",
    ]


def test_no_data_is_no_success() -> None:
    world = World(plan(Split(0.1), Bake(time=5.0)), rate=0.0)
    assert world.pass_by(500).state == "running"
    assert world.run.doing == "0 of 10 requests that are needed to judge by"


@pytest.mark.parametrize(("on_no_data", "state"), [("pause", "paused"), ("abort", "aborted")])
def test_no_data_may_end_it(on_no_data: str, state: str) -> None:
    world = World(plan(Split(0.1), Bake(time=5.0), on_no_data=on_no_data), rate=0.0)
    assert world.pass_by(6).state == state
    assert "too little traffic" in world.run.reason


def test_harm_takes_it_back_at_once() -> None:
    world = World(plan(Split(0.1), Bake(time=50.0)))
    world.pass_by(3)
    assert world.pass_by(1, verdict=HARM).state == "aborted"
    assert world.run.reason == "canary fails"


def test_harm_takes_back_what_is_paused() -> None:
    world = World(plan(Split(0.1), Bake(time=50.0)))
    world.pass_by(3)
    world.run = signalled(world.run, "pause", "", 3.0)
    assert world.pass_by(1, verdict=HARM).state == "aborted"


def test_harm_goes_back_piece_by_piece_where_that_is_asked_for() -> None:
    world = World(plan(Split(0.4), Bake(time=50.0), gradual=10.0))
    world.pass_by(3)
    assert world.pass_by(5, verdict=HARM).state == "aborting"
    assert world.splits[0] == 0.4
    assert world.splits == sorted(world.splits, reverse=True)
    assert 0.1 < world.splits[-1] < 0.3
    assert world.pass_by(10).state == "aborted"


def test_abort_by_a_person_does_not_wait_for_the_rest() -> None:
    world = World(plan(Split(0.4), Bake(time=50.0), gradual=10.0))
    world.pass_by(3)
    world.pass_by(2, verdict=HARM)
    assert signalled(world.run, "abort", "", 9.0).state == "aborted"


def test_harm_with_stable_down_stays_where_traffic_is_answered() -> None:
    world = World(plan(Split(0.1), Bake(time=50.0)))
    world.pass_by(3)
    assert world.pass_by(2, verdict=HARM, stable_is_down=True).state == "paused"
    assert world.run.reason == "stable_down"
    assert world.pass_by(1).state == "aborted"  # harm stays found


def test_step_that_aborts_takes_the_traffic_back_as_harm_does() -> None:
    steps = (Split(0.4), Approve(timeout=5.0, otherwise="abort"))
    at_once, gradual, nowhere = World(plan(*steps)), World(plan(*steps, gradual=10.0)), World(plan(*steps))
    assert at_once.pass_by(7).state == "aborted"
    assert gradual.pass_by(7).state == "aborting"
    assert gradual.pass_by(10).state == "aborted"
    assert gradual.splits == sorted(gradual.splits, reverse=True)
    assert nowhere.pass_by(7, stable_is_down=True).state == "paused"
    assert nowhere.run.reason == "stable_down"
    nowhere.run = signalled(nowhere.run, "resume", "", 8.0)
    assert nowhere.pass_by(1).state == "aborted"


def test_smoke_test_that_fails_before_any_traffic_has_nothing_to_take_back() -> None:
    world = World(plan(Smoke(), Split(1.0), gradual=10.0))
    world.pass_by(1)
    world.run = with_result(world.run, "smoke", Result(ok=False, text="503, not 200"))
    assert world.pass_by(1, stable_is_down=True).state == "aborted"


def test_dead_candidate_is_given_up() -> None:
    world = World(plan(Split(0.1), Bake(time=500.0)))
    world.pass_by(3)
    assert world.pass_by(DEAD_AFTER - 2, candidate_is_down=True).state == "running"
    assert world.pass_by(1).state == "running"  # it was up in between
    assert world.pass_by(DEAD_AFTER - 1, candidate_is_down=True).state == "running"
    assert world.pass_by(2, candidate_is_down=True).state == "aborted"


def test_candidate_that_gets_nothing_may_be_down() -> None:
    world = World(plan(Approve(), Split(0.1)))
    assert world.pass_by(DEAD_AFTER * 2, candidate_is_down=True).state == "running"


def test_doubt_only_pauses_and_a_person_can_waive_it() -> None:
    world = World(plan(Split(0.1), Bake(time=5.0), Split(1.0)))
    world.pass_by(3)
    assert world.pass_by(1, verdict=DOUBT).state == "paused"
    world.run = signalled(world.run, "resume", "", 5.0)
    assert world.pass_by(5, verdict=DOUBT).state == "succeeded"


def test_foreign_split_pauses() -> None:
    world = World(plan(Split(0.1), Bake(time=5.0)))
    world.pass_by(3)
    assert world.pass_by(1, foreign="the split was changed by hand").state == "paused"
    assert world.run.reason == "the split was changed by hand"


def test_pause_stops_the_clock_of_a_step() -> None:
    world = World(plan(Split(0.1), Bake(time=10.0)))
    world.pass_by(4)
    world.run = signalled(world.run, "pause", "by ann", 4.0)
    assert world.pass_by(100).state == "paused"
    world.run = signalled(world.run, "resume", "", 104.0)
    assert world.pass_by(4).state == "running"
    assert world.pass_by(3).state == "succeeded"


def test_promote_goes_past_a_step_and_full_all_the_way() -> None:
    world = World(plan(Split(0.1), Approve(), Bake(time=10.0), Split(1.0)))
    assert world.pass_by(100).step == 1
    world.run = signalled(world.run, "promote", "", 100.0)
    assert world.pass_by(2).step == 2
    assert signalled(world.run, "promote_full", "", 102.0).state == "succeeded"


def test_promote_before_the_first_step_skips_no_step_that_was_not_begun() -> None:
    run = signalled(started("r", 1, {}, 0.0), "promote", "", 0.0)
    assert (run.phase, run.step) == ("step", 0)


def test_job_is_begun_once_and_its_failure_ends_it() -> None:
    world = World(plan(Smoke(), Split(1.0)))
    world.pass_by(5)
    assert [job.kind for job in world.jobs] == ["smoke"]
    world.run = with_result(world.run, "smoke", Result(ok=False, text="503, not 200"))
    assert world.pass_by(1).state == "aborted"
    assert (world.run.reason, world.splits) == ("smoke test: 503, not 200", [])


def test_failed_job_is_done_again_after_resume() -> None:
    world = World(plan(Smoke(otherwise="pause"), Split(1.0)))
    world.pass_by(1)
    world.run = with_result(world.run, "smoke", Result(ok=False, text="503, not 200"))
    assert world.pass_by(1).state == "paused"
    world.run = signalled(world.run, "resume", "", 2.0)
    world.pass_by(1)
    assert [job.kind for job in world.jobs] == ["smoke", "smoke"]
    world.run = with_result(world.run, "smoke", Result(ok=True, text="fine"))
    assert world.pass_by(1).state == "succeeded"


@pytest.mark.parametrize(
    "step",
    [Bake(time=5.0), Bake(until="safe", at_most=5.0), Approve(timeout=5.0), Analyze(at_most=5.0)],
    ids=lambda step: step.describe(),
)
def test_step_that_gave_up_has_its_time_again_after_resume(step: Step) -> None:
    world = World(plan(Split(0.1), step, on_no_data="pause"), rate=0.0)
    assert world.pass_by(6).state == "paused"
    world.run = signalled(world.run, "resume", "", 6.0)
    assert world.pass_by(4).state == "running"
    assert world.pass_by(1).state == "paused"


def test_mirror_that_paused_compares_anew_after_resume() -> None:
    world = World(plan(Mirror(time=5.0)))
    for copies, state in (({}, "paused"), ({"copies": 9.0, "requests": 9.0}, "succeeded")):
        world.pass_by(1)
        world.run = with_result(world.run, "before", Result(ok=True, text=""))
        world.pass_by(5)
        world.run = with_result(world.run, "after", Result(ok=True, text="", numbers=copies))
        assert world.pass_by(1).state == state
        if state == "paused":
            world.run = signalled(world.run, "resume", "", world.now)
    assert [job.name for job in world.jobs] == ["before", "after", "before", "after"]


def test_hooks_must_agree_before_and_between() -> None:
    world = World(plan(Split(0.1), Split(1.0), hooks=Hooks(before="http://h/b", after_step="http://h/a")))
    world.pass_by(1)
    assert ([job.options["url"] for job in world.jobs], world.splits) == (["http://h/b"], [])
    world.run = with_result(world.run, "before 0", Result(ok=True, text=""))
    world.pass_by(1)
    assert world.splits == [0.1]
    world.run = with_result(world.run, "after 0", Result(ok=False, text="409"))
    assert world.pass_by(1).state == "paused"
    assert world.splits == [0.1]


def test_halted_run_says_why() -> None:
    run = halted(started("r", 1, {}, 0.0), "the disk is full", 1.0)
    assert (run.state, run.reason) == ("paused", "the disk is full")


def test_verb_out_of_place_is_refused() -> None:
    with pytest.raises(NotNowError, match="retry begins it again"):
        signalled(signalled(started("r", 1, {}, 0.0), "abort", "", 0.0), "promote", "", 0.0)


def test_plan_is_a_value() -> None:
    assert replace(plan(Split(0.1)), name="other") != plan(Split(0.1))
