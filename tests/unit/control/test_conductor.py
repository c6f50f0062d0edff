"""The conductor: what people and controllers do to rollouts while they run, and that none of it goes unseen."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from proxy.control.refusal import Refusal
from proxy.control.rollout_book import MOST_POSTED
from proxy.rollouts.spec import RolloutSpec
from proxy.rollouts.step import Result
from tests.unit.control.stage import WHO, Theatre, document

Begun = Callable[..., Awaitable[Theatre]]


@pytest.fixture
async def theatre() -> AsyncIterator[Begun]:
    """A factory: await theatre(steps, …, **of the document); with before=… the next controller after that one."""
    open_ones: list[Theatre] = []

    async def begin(
        steps: str = "[{split: 10%}, {bake: 1h}]", options: str = "", before: Theatre | None = None, **of: Any
    ) -> Theatre:
        rollouts = of.pop("rollouts", f"  r: {{service: shop, candidate: canary, steps: {steps}{options}}}\n")
        if before is not None:
            await before.end()
        found = Theatre(document(rollouts, **of), before)
        open_ones.append(found)
        await found.begin()
        return found

    yield begin
    for each in open_ones:
        await each.end()


async def test_failure_in_one_look_pauses_that_rollout_and_looks_go_on(theatre: Begun) -> None:
    found = await theatre()
    await found.conductor.start("r", WHO)
    await found.looks()
    live = found.conductor.book.find("r")[1]
    assert live is not None
    broken, live.judge, live.judged = live.judge, None, None  # type: ignore[assignment]
    await found.looks()
    view = found.conductor.book.find("r")[1]
    assert view is not None
    assert (view.run.state, view.run.reason[:22]) == ("paused", "it could not be looked")
    live.judge = broken
    await found.conductor.signal("r", "resume", WHO)
    found.traffic((400, 400), (4000, 0))
    await found.looks()
    assert found.conductor.book.view("r").state == "aborted"


async def test_service_that_is_gone_at_a_start_pauses(theatre: Begun) -> None:
    first = await theatre()
    await first.conductor.start("r", WHO)
    await first.looks()
    found = await theatre(before=first)
    gone = msgspec.structs.replace(found.control.file, services=(), routes=(), rollouts=())
    await found.control.take_file(gone, by="start")
    await found.looks()
    view = found.conductor.book.view("r")
    assert (view.state, "shop" in view.reason) == ("paused", True)
    await found.conductor.signal("r", "abort", WHO)
    assert found.conductor.book.view("r").state == "aborted"


@pytest.mark.parametrize("left", [b"", b"\xc1", b"\x92\x91\x01\x90"])
async def test_what_cannot_be_read_lets_go_of_the_service_and_says_so(theatre: Begun, left: bytes) -> None:
    first = await theatre()
    await first.conductor.start("r", WHO)
    await first.looks()
    first.kept.rollouts = left
    found = await theatre(before=first)
    await found.looks()
    assert found.control.state.courses == {}
    assert found.split() == {"blue": 90, "canary": 10}
    assert "rollout_lost" in found.kinds()
    assert (not left) or any("cannot be read" in each for each in found.conductor.problems())
    await found.control.reset("shop", WHO)
    await found.conductor.start("r", WHO)
    assert found.conductor.book.view("r").state == "running"


async def test_plan_of_another_version_pauses_and_goes_nowhere(theatre: Begun) -> None:
    first = await theatre("[{split: 10%}, {bake: 1h}, {split: 100%}]")
    await first.conductor.start("r", WHO)
    await first.looks()
    assert first.kept.rollouts
    first.kept.rollouts = first.kept.rollouts.replace(b"bake", b"bakf")
    found = await theatre(before=first)
    await found.looks()
    for _ in range(2):
        assert found.conductor.book.view("r").state == "paused"
        assert "cannot be gone on with" in found.conductor.book.view("r").reason
        for verb in ("resume", "promote"):
            with pytest.raises(Refusal, match="cannot be gone on with"):
                await found.conductor.signal("r", verb, WHO)  # type: ignore[arg-type]
        found = await theatre(before=found)
        await found.looks()
    await found.conductor.signal("r", "abort", WHO)
    assert found.split() == {"blue": 100}
    with pytest.raises(Refusal, match="cannot be gone on with"):
        await found.conductor.signal("r", "retry", WHO)


async def test_controller_killed_between_a_split_and_its_run_goes_on(theatre: Begun) -> None:
    first = await theatre("[approve, {split: 10%}, {bake: 1h}]")
    await first.conductor.start("r", WHO)
    await first.looks()
    before = first.kept.rollouts
    await first.conductor.signal("r", "promote", WHO)
    await first.looks()
    first.kept.rollouts = before
    found = await theatre(before=first)
    await found.looks()
    assert found.conductor.book.view("r").state == "running"
    assert found.split() == {"blue": 90, "canary": 10}


async def test_controller_killed_between_an_abort_and_its_split_takes_it_back(theatre: Begun) -> None:
    first = await theatre()
    await first.conductor.start("r", WHO)
    await first.looks()
    state = first.kept.state
    await first.conductor.signal("r", "abort", WHO)
    first.kept.state = state
    found = await theatre(before=first)
    await found.looks()
    assert (found.conductor.book.view("r").state, found.split()) == ("aborted", {"blue": 100})
    assert found.control.state.courses == {}


async def test_abort_is_kept_before_its_split_is_in_force(theatre: Begun) -> None:
    first = await theatre()
    await first.conductor.start("r", WHO)
    await first.looks()
    aborting = asyncio.ensure_future(first.conductor.signal("r", "abort", WHO))
    applied = first.workers.applied
    while first.workers.applied == applied:
        await asyncio.sleep(0)
    aborting.cancel()
    await asyncio.gather(aborting, return_exceptions=True)
    found = await theatre(before=first)
    await found.looks()
    assert (found.conductor.book.view("r").state, found.split()) == ("aborted", {"blue": 100})


# -- splits of others


@pytest.mark.parametrize("shares", [{"blue": 90.0, "canary": 10.0}, {"blue": 9.0, "canary": 1.0}])
async def test_same_split_by_hand_pauses_too_as_nothing_is_counted(theatre: Begun, shares: dict[str, float]) -> None:
    found = await theatre()
    await found.conductor.start("r", WHO)
    await found.looks()
    await found.control.split("shop", shares, WHO)
    await found.looks()
    assert found.conductor.book.view("r").state == "paused"
    assert found.conductor.book.view("r").reason == "the split was changed by hand"
    await found.conductor.signal("r", "resume", WHO)
    await found.looks()
    assert found.conductor.book.view("r").state == "running"
    found.traffic((400, 400), (4000, 0))
    await found.looks()
    assert found.conductor.book.view("r").state == "aborted"


async def test_edit_waits_also_where_the_rollouts_split_was_the_files(theatre: Begun) -> None:
    found = await theatre("[approve, {split: 10%}]")
    await found.conductor.start("r", WHO)
    await found.looks()
    edited = document("  r: {service: shop, candidate: canary, steps: [approve]}\n", split="{blue: 60, canary: 40}")
    await found.control.take_file(edited)
    await found.looks()
    assert found.split() == {"blue": 100}
    assert "edited in the file" in found.conductor.book.view("r").reason
    await found.conductor.signal("r", "abort", WHO)
    assert found.split() == {"blue": 60, "canary": 40}


RUNNING = "  r: {service: shop, candidate: canary, steps: [{split: 10%}, {bake: 1h}]}\n"
EDITED = "{blue: 60, canary: 40}"


async def _edited(theatre: Begun, steps: str = "[{split: 10%}, {bake: 1h}]") -> Theatre:
    """A rollout that an edit of the file's split has paused."""
    found = await theatre(steps)
    await found.conductor.start("r", WHO)
    await found.looks()
    await found.control.take_file(document(RUNNING, split=EDITED))
    await found.looks()
    assert found.conductor.book.view("r").state == "paused"
    return found


async def test_edit_outlives_resume_and_stands_on_abort(theatre: Begun) -> None:
    found = await _edited(theatre)
    await found.conductor.signal("r", "resume", WHO)
    await found.looks()
    view = found.conductor.book.view("r")
    assert (view.state, view.step, found.split()) == ("running", 1, {"blue": 90, "canary": 10})
    assert "rollout_edit_waits" in found.kinds()
    assert any("an abort brings it into force" in line.text for line in view.log)
    await found.conductor.signal("r", "abort", WHO)
    assert found.split() == {"blue": 60, "canary": 40}
    assert found.control.state.splits == {}


async def test_edit_outlives_the_controller_that_went_on_without_it(theatre: Begun) -> None:
    first = await _edited(theatre)
    await first.conductor.signal("r", "resume", WHO)
    await first.looks()
    found = await theatre(before=first, split=EDITED)
    await found.looks()
    assert found.conductor.book.view("r").state == "running"
    found.traffic((400, 400), (4000, 0))
    await found.looks()
    assert (found.conductor.book.view("r").state, found.split()) == ("aborted", {"blue": 60, "canary": 40})


@pytest.mark.parametrize("verbs", [["promote_full"], ["resume", "promote"]])
async def test_success_overrules_an_edit_from_before(theatre: Begun, verbs: list[Any]) -> None:
    found = await _edited(theatre)
    for verb in verbs:
        await found.conductor.signal("r", verb, WHO)
        await found.looks()
    assert found.conductor.book.view("r").state == "succeeded"
    assert found.split() == ({"canary": 100} if verbs == ["promote_full"] else {"blue": 90, "canary": 10})


async def test_split_by_hand_after_an_edit_is_the_last_word(theatre: Begun) -> None:
    found = await _edited(theatre)
    await found.control.split("shop", {"blue": 70.0, "canary": 30.0}, WHO)
    await found.conductor.signal("r", "abort", WHO)
    assert found.split() == {"blue": 100}


# -- users told apart otherwise

STICKIES = [
    ("", "    sticky: {cookie: c}\n"),
    ("    sticky: {cookie: c}\n", ""),
    ("    sticky: {cookie: c}\n", "    sticky: {key: {header: x-user}}\n"),
    ("    sticky: {key: {header: x-user}}\n", "    sticky: {key: {header: x-id}}\n"),
]


@pytest.mark.parametrize(("before", "after"), STICKIES)
async def test_other_stickiness_pauses_and_counts_anew(theatre: Begun, before: str, after: str) -> None:
    found = await theatre(service=before)
    await found.conductor.start("r", WHO)
    await found.looks()
    found.traffic((3000, 1), (27_000, 9))
    await found.looks()
    await found.control.take_file(document(RUNNING, service=after))
    await found.looks()
    view = found.conductor.book.view("r")
    assert (view.state, view.reason[:38]) == ("paused", "what gives requests out was changed fr")
    live = found.conductor.book.find("r")[1]
    assert live is not None
    assert (live.seen.is_sticky, live.seen.evidence(found.time.now).epochs[-1].candidate.requests) == (bool(after), 0)
    assert found.split() == {"blue": 90, "canary": 10}
    await found.conductor.signal("r", "resume", WHO)
    await found.looks()
    assert found.conductor.book.view("r").state == "running"
    found.traffic((400, 400), (4000, 0))
    await found.looks()
    assert found.conductor.book.view("r").state == "aborted"


async def test_other_stickiness_leaves_nobody_unwatched_while_it_waits(theatre: Begun) -> None:
    found = await theatre()
    await found.conductor.start("r", WHO)
    await found.looks()
    await found.control.take_file(document(RUNNING, service="    sticky: {cookie: c}\n"))
    await found.looks()
    assert found.conductor.book.view("r").state == "paused"
    found.traffic((400, 400), (4000, 0))
    await found.looks()
    assert found.conductor.book.view("r").state == "aborted"


@pytest.mark.parametrize(
    "after", ["    sticky: {cookie: c, ttl: 1d}\n", "    sticky: {cookie: c}\n    timeouts: {response: 9s}\n"]
)
async def test_same_users_told_apart_the_same_way_go_on(theatre: Begun, after: str) -> None:
    found = await theatre(service="    sticky: {cookie: c}\n")
    await found.conductor.start("r", WHO)
    await found.looks()
    await found.control.take_file(document(RUNNING, service=after))
    await found.looks()
    assert found.conductor.book.view("r").state == "running"


# -- written anew


async def test_start_takes_a_plan_that_was_edited_after_an_abort(theatre: Begun) -> None:
    found = await theatre()
    await found.conductor.start("r", WHO)
    await found.looks()
    await found.conductor.signal("r", "abort", WHO)
    with pytest.raises(Refusal, match="retry begins it again"):
        await found.conductor.start("r", WHO)
    found = await theatre(before=found)
    with pytest.raises(Refusal, match="retry begins it again"):  # what was kept is no edit
        await found.conductor.start("r", WHO)
    other = RUNNING.replace("10%", "20%")
    await found.control.take_file(document(other))
    await found.conductor.start("r", WHO)
    await found.looks()
    assert (found.conductor.book.view("r").number, found.split()) == (2, {"blue": 80, "canary": 20})


async def test_retry_keeps_the_pinned_plan(theatre: Begun) -> None:
    found = await theatre()
    await found.conductor.start("r", WHO)
    await found.looks()
    await found.conductor.signal("r", "abort", WHO)
    await found.control.take_file(document(RUNNING.replace("10%", "20%")))
    await found.conductor.signal("r", "retry", WHO)
    await found.looks()
    assert (found.conductor.book.view("r").number, found.split()) == (2, {"blue": 90, "canary": 10})


# -- written into the file


async def test_split_to_be_persisted_outlives_the_controller(theatre: Begun) -> None:
    rollouts = "  r: {service: shop, candidate: canary, steps: [flip], on_success: persist}\n"
    first = await theatre(rollouts=rollouts)
    first.persist_waits = True
    await first.conductor.start("r", WHO)
    await first.looks()
    assert (first.conductor.book.view("r").state, first.persisted) == ("succeeded", [])
    second = await theatre(before=first, rollouts=rollouts)
    await second.looks()
    assert second.persisted == ["shop"]
    third = await theatre(before=second, rollouts=rollouts)
    await third.looks()
    assert third.persisted == []


async def test_split_that_somebody_set_since_is_not_persisted(theatre: Begun) -> None:
    rollouts = "  r: {service: shop, candidate: canary, steps: [flip], on_success: persist}\n"
    first = await theatre(rollouts=rollouts)
    first.persist_waits = True
    await first.conductor.start("r", WHO)
    await first.looks()
    await first.control.split("shop", {"blue": 50.0, "canary": 50.0}, WHO)
    second = await theatre(before=first, rollouts=rollouts)
    await second.looks()
    assert (second.persisted, "rollout_not_persisted" in second.kinds()) == ([], True)


async def test_retry_wants_what_start_wants(theatre: Begun) -> None:
    found = await theatre(pools="      red: {endpoints: [127.0.0.1:4]}\n", split="{blue: 100, canary: 0, red: 0}")
    await found.conductor.start("r", WHO)
    await found.looks()
    await found.conductor.signal("r", "abort", WHO)
    await found.control.split("shop", {"red": 100.0}, WHO)
    with pytest.raises(Refusal, match="must have all of the traffic") as refused:
        await found.conductor.signal("r", "retry", WHO)
    assert refused.value.status == 409
    assert (found.conductor.book.view("r").state, found.split()) == ("aborted", {"red": 100})


@pytest.mark.parametrize("verb", ["undo", "abort"])
async def test_succeeded_one_stays_so_where_it_cannot_be_taken_back(theatre: Begun, verb: Any) -> None:
    found = await theatre("[flip]")
    await found.conductor.start("r", WHO)
    await found.looks()
    assert found.conductor.book.view("r").state == "succeeded"
    found.workers.refuses = ("no",)
    with pytest.raises(Refusal):
        await found.conductor.signal("r", verb, WHO)
    assert (found.conductor.book.view("r").state, found.split()) == ("succeeded", {"canary": 100})
    found.workers.refuses = ()
    await found.conductor.signal("r", verb, WHO)
    assert (found.conductor.book.view("r").state, found.split()) == ("aborted", {"blue": 100})


# -- jobs


async def test_abort_while_stable_drains_brings_it_back_first(theatre: Begun) -> None:
    found = await theatre("[flip, {drain: 30s}]")
    await found.conductor.start("r", WHO)
    await found.looks()
    await found.control.drain("shop", "blue", None, WHO, deadline=30.0, cut=False)  # as the job does
    await found.conductor.signal("r", "abort", WHO)
    assert found.control.state.drains == ()
    assert found.split() == {"blue": 100}


@pytest.mark.parametrize("verb", ["promote", "promote_full"])
async def test_promote_past_a_drain_leaves_nothing_drained(theatre: Begun, verb: Any) -> None:
    found = await theatre("[flip, {drain: 30s}, approve]")
    await found.conductor.start("r", WHO)
    await found.looks()
    await found.control.drain("shop", "blue", None, WHO, deadline=30.0, cut=False)
    await found.conductor.signal("r", verb, WHO)
    await found.looks()
    assert found.control.state.drains == ()


async def test_harm_while_stable_drains_takes_the_traffic_back(theatre: Begun) -> None:
    found = await theatre("[flip, {drain: 30s}]", ", judge: {error_rate: 5%}")
    await found.conductor.start("r", WHO)
    await found.looks()
    await found.control.drain("shop", "blue", None, WHO, deadline=30.0, cut=False)
    found.traffic((400, 400), (0, 0))
    await found.looks()
    assert (found.conductor.book.view("r").state, found.split()) == ("aborted", {"blue": 100})


async def test_result_that_comes_while_a_split_is_set_is_not_lost(theatre: Begun) -> None:
    found = await theatre("[{smoke: {path: /}}, {split: 10%}, {bake: 1h}]")
    await found.conductor.start("r", WHO)
    await found.looks()
    await found.conductor.signal("r", "pause", WHO)
    await found.control.split("shop", {"blue": 50.0, "canary": 50.0}, WHO)
    resuming = asyncio.ensure_future(found.conductor.signal("r", "resume", WHO))
    applied = found.workers.applied
    while found.workers.applied == applied:
        await asyncio.sleep(0)
    found.jobs.ends["smoke"].set_result(Result(ok=True, text="fine"))
    await resuming
    await found.looks()
    assert found.conductor.book.view("r").step == 2


async def test_gradual_abort_that_is_refused_ends_at_once(theatre: Begun) -> None:
    found = await theatre("[{split: 50%}, {bake: 1h}]", ", on_abort: {gradual: 20s}")
    await found.conductor.start("r", WHO)
    await found.looks()
    found.traffic((400, 400), (400, 0))
    await found.looks()
    await found.go_by(2)
    assert (found.conductor.book.view("r").state, found.split()) == ("aborting", {"blue": 55, "canary": 45})
    found.workers.refuses = ("no",)
    applied = found.workers.applied
    await found.go_by(1)
    assert (found.conductor.book.view("r").state, found.workers.applied - applied) == ("aborted", 2)


async def test_gradual_abort_waits_for_stable(theatre: Begun) -> None:
    found = await theatre("[{split: 50%}, {bake: 1h}]", ", on_abort: {gradual: 20s}")
    await found.conductor.start("r", WHO)
    await found.looks()
    found.traffic((400, 400), (400, 0))
    await found.looks()
    await found.go_by(2)
    found.unusable.add(("shop", "blue"))
    await found.go_by(60)
    assert (found.conductor.book.view("r").state, found.split()) == ("aborting", {"blue": 55, "canary": 45})
    found.unusable.clear()
    await found.go_by(30)
    assert (found.conductor.book.view("r").state, found.split()) == ("aborted", {"blue": 100})
    assert len([event for event in found.kept.journal if event.kind == "rollout_verdict"]) == 1


async def test_pending_one_can_be_aborted_and_is_retried(theatre: Begun) -> None:
    found = await theatre()
    await found.conductor.signal("r", "abort", WHO)
    with pytest.raises(Refusal, match="retry"):
        await found.conductor.start("r", WHO)
    await found.conductor.signal("r", "retry", WHO)
    await found.looks()
    assert (found.conductor.book.view("r").state, found.split()) == ("running", {"blue": 90, "canary": 10})


@pytest.mark.parametrize("step", ["{mirror: 10m}", "{holdback: {time: 10m}}"])
async def test_promote_past_a_step_ends_what_it_has_set_up(theatre: Begun, step: str) -> None:
    found = await theatre(f"[{step}, approve]")
    await found.conductor.start("r", WHO)
    await found.looks()
    if step.startswith("{mirror"):
        found.jobs.ends["before"].set_result(Result(ok=True, text="none"))
        await found.looks()
        assert found.control.state.courses["shop"].mirror is not None
    await found.conductor.signal("r", "promote", WHO)
    await found.looks()
    assert found.control.state.courses["shop"].mirror is None
    assert found.split() == ({"blue": 100} if "mirror" in step else {"canary": 100})


async def test_paused_one_gives_up_a_dead_candidate(theatre: Begun) -> None:
    found = await theatre()
    await found.conductor.start("r", WHO)
    await found.looks()
    await found.conductor.signal("r", "pause", WHO)
    found.unusable.add(("shop", "canary"))
    await found.go_by(31)
    assert (found.conductor.book.view("r").state, found.split()) == ("aborted", {"blue": 100})


# -- what others hear of it


async def test_verdict_and_alarm_are_told_once_each(theatre: Begun) -> None:
    found = await theatre("[{split: 10%}, {bake: 1h}]", ", hooks: {events: 'http://127.0.0.1:1/'}")
    await found.conductor.start("r", WHO)
    await found.looks()
    found.traffic((3000, 0), (3000, 0))
    await found.go_by(3)
    kinds = found.kinds()
    assert (kinds.count("rollout_verdict"), kinds.count("rollout_alarm"), kinds.count("rollout_step")) == (1, 1, 1)
    texts = [event.text for event in found.kept.journal if event.kind == "rollout_verdict"]
    assert "fails 0 % of 3,000" in texts[0] or "of 3,000" in texts[0]
    assert [each["event"] for each in found.jobs.told] == ["start", "step", "verdict", "alarm"]
    (problem,) = found.conductor.problems()
    assert "canary was to get 0.1 of the requests and got 0.5" in problem
    assert found.conductor.book.view("r").alarm in problem
    found = await theatre(before=found)
    await found.looks()
    assert found.kinds().count("rollout_alarm") == 1
    await found.conductor.signal("r", "abort", WHO)
    assert found.conductor.problems() == ()


async def test_harm_is_told_with_its_sentence(theatre: Begun) -> None:
    found = await theatre()
    await found.conductor.start("r", WHO)
    await found.looks()
    found.traffic((400, 400), (4000, 0))
    await found.looks()
    texts = [event.text for event in found.kept.journal if event.kind == "rollout_verdict"]
    assert len(texts) == 1
    assert texts[0].startswith("r: harm: canary fails ")
    assert any("canary fails" in line.text for line in found.conductor.book.view("r").log)


async def test_what_goes_to_the_candidate_besides_its_share_is_in_the_journal(theatre: Begun) -> None:
    found = await theatre("[{header: {headers: {x-key: one}}}, {mirror: {time: 10m, share: 50%}}, approve]")
    await found.conductor.start("r", WHO)
    await found.looks()
    found.jobs.ends["before"].set_result(Result(ok=True, text="none"))
    await found.conductor.signal("r", "promote", WHO)
    told = [(each.kind, each.text) for each in found.kept.journal if each.kind in ("rollout_route", "rollout_mirror")]
    assert told == [
        ("rollout_route", "r: requests with x-key: one to canary besides its share"),
        ("rollout_mirror", "r: requests with x-key: one and copies of 50% of the requests to canary besides its share"),
        ("rollout_mirror", "r: requests with x-key: one to canary besides its share"),
    ]


async def test_secrets_of_steps_are_told_nowhere_and_still_work(theatre: Begun) -> None:
    found = await theatre("[{smoke: {path: /s3cret-path}}, {header: {headers: {x-key: s3cret-path}}}, approve]")
    found.secret = "s3cret-path"
    await found.conductor.start("r", WHO)
    await found.looks()
    found.jobs.ends["smoke"].set_result(Result(ok=True, text="GET /s3cret-path is fine"))
    await found.looks()
    assert found.jobs.begun[0].options["path"] == "/s3cret-path"
    shown = (found.conductor.book.view("r"), found.conductor.book.plan_view("r"), found.kept.journal, found.jobs.told)
    assert b"s3cret" not in msgspec.json.encode(shown)
    assert b"***" in msgspec.json.encode(shown)
    found = await theatre(before=found)
    assert "s3cret-path" in str(found.conductor.book.plan("r").steps)


async def test_numbers_tell_what_a_run_is_judged_by(theatre: Begun) -> None:
    found = await theatre("[{split: 10%}, {bake: 1h}]", ", judge: {slower_than: [250ms]}")
    (pending,) = found.conductor.now()
    assert (pending.state, pending.requests) == ("pending", {})
    await found.conductor.start("r", WHO)
    await found.looks()
    found.traffic((40, 3), (400, 1))
    await found.looks()
    (now,) = found.conductor.now()
    assert (now.state, now.step, now.share, now.verdict) == ("running", 1, 0.1, "not_yet")
    assert now.requests == {"blue": 400, "canary": 40}
    assert now.events == {
        ("blue", "errors"): 1,
        ("blue", "slower_than_250ms"): 0,
        ("canary", "errors"): 3,
        ("canary", "slower_than_250ms"): 0,
    }
    await found.conductor.signal("r", "abort", WHO)
    (now,) = found.conductor.now()
    assert (now.state, now.share, now.ended) == ("aborted", 0.0, {"aborted": 1})


async def test_posted_rollouts_are_bounded(theatre: Begun) -> None:
    found = await theatre()
    for number in range(MOST_POSTED + 5):
        await found.conductor.add(RolloutSpec(f"p{number}", "shop", "blue", "canary"), WHO)
        if number == 0:
            await found.conductor.start("p0", WHO)
    names = found.conductor.book.names()
    assert len(names) == MOST_POSTED + 1
    assert "p0" in names  # it is under way
    assert "p1" not in names
    assert f"p{MOST_POSTED + 4}" in names


async def test_rollouts_that_stand_nowhere_any_more_are_forgotten(theatre: Begun) -> None:
    found = await theatre()
    for number in range(30):
        spec = RolloutSpec(f"p{number}", "shop", candidate="canary")
        await found.conductor.add(spec, WHO)
        await found.conductor.start(spec.name, WHO)
        await found.conductor.signal(spec.name, "abort", WHO)
        found.conductor.book.added.clear()
    names = found.conductor.book.names()
    assert "p29" in names
    assert "p0" not in names
    assert len(names) <= 23


async def test_failure_in_a_look_while_aborting_takes_all_back(theatre: Begun) -> None:
    found = await theatre("[{split: 50%}, {bake: 1h}]", ", on_abort: {gradual: 20s}")
    await found.conductor.start("r", WHO)
    await found.looks()
    found.traffic((400, 400), (400, 0))
    await found.looks()
    assert found.conductor.book.view("r").state == "aborting"
    live = found.conductor.book.find("r")[1]
    assert live is not None
    live.judge = None  # type: ignore[assignment]
    await found.go_by(1)
    assert (found.conductor.book.view("r").state, found.split()) == ("aborted", {"blue": 100})
