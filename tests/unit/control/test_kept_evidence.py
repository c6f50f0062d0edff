"""What a run's evidence is counted from, and what the next controller has of it."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from proxy.control.rollout_keeping import Kept, revived
from proxy.rollouts.planning import to_data
from proxy.rollouts.run import Run
from proxy.rollouts.spec import RolloutSpec
from proxy.telemetry.evidence import Watch
from tests.unit.control.stage import WHO, Theatre, document

Begun = Callable[..., Awaitable[Theatre]]


@pytest.fixture
async def theatre() -> AsyncIterator[Begun]:
    """A factory: await theatre(the rollout's keys), or the next controller after `before`."""
    found: list[Theatre] = []

    async def begin(keys: str, before: Theatre | None = None) -> Theatre:
        if before is not None:
            await before.end()
        file = document(f"  r: {{service: shop, candidate: canary, {keys}}}\n")
        found.append(Theatre(file, before))
        await found[-1].begin()
        return found[-1]

    yield begin
    for each in found:
        await each.end()


def _watch(found: Theatre) -> Watch:
    watch = found.control.state.courses["shop"].watch
    assert watch is not None
    return watch


async def test_held_sessions_count_from_the_split_that_assigned_them(theatre: Begun) -> None:
    found = await theatre("steps: [{split: 10%}, approve, {split: 50%}, approve]")
    await found.conductor.start("r", WHO)
    await found.looks()
    first = _watch(found)
    await found.go_by(60)
    assert _watch(found) == first
    await found.conductor.signal("r", "promote", WHO)
    await found.looks()
    assert (_watch(found).step, _watch(found).since) == (2, first.since + 60)


async def test_runs_of_rollouts_of_the_same_name_are_told_apart(theatre: Begun) -> None:
    found = await theatre("steps: [{split: 10%}, approve]")
    runs = []
    for _ in range(2):
        await found.conductor.add(RolloutSpec("x", "shop", "blue", "canary"), WHO)
        await found.conductor.start("x", WHO)
        runs.append(_watch(found).run)
        await found.conductor.signal("x", "abort", WHO)
        await found.go_by(1)
    assert len(set(runs)) == 2


async def test_guard_goes_on_with_its_window_in_the_next_controller(theatre: Begun) -> None:
    keys = "steps: [{split: 10%}, {bake: 1h}], judge: {error_rate: 10%, min_requests: 100, errors: {alpha: 0.01%}}"
    first = await theatre(keys)
    await first.conductor.start("r", WHO)
    await first.looks()
    first.traffic((90, 9), (810, 81))
    await first.go_by(2)
    found = await theatre(keys, first)
    found.traffic((20, 3), (180, 27))
    await found.looks()
    assert found.conductor.book.view("r").reason == "canary fails 10.9 % of 110 in 1m, more than 10%"


async def test_evidence_that_cannot_be_read_is_counted_from_nothing(theatre: Begun) -> None:
    found = await theatre("steps: [{split: 10%}, {bake: 1h}]")
    plan = found.conductor.book.plan("r")
    spec = found.conductor.book.specs()["r"]
    run = Run(name="r", number=1, state="running", phase="step", step=1, asked=5_000, started=1.0)
    live = revived(Kept(run, spec, "shop", "blue", "canary", to_data(plan), b"\xc1"), 2.0)
    assert (live.run.state, live.run.asked) == ("paused", None)
    assert live.run.reason == "what it had seen so far cannot be read; resume counts anew"
    assert live.seen.watch(epoch=1, step=0, share=0.1).run.startswith("r#1@")
