"""The numbers of rollouts, as /metrics tells them."""

from collections.abc import Iterable

from proxy.control.rollout_keeping import Live
from proxy.core.units import format_duration
from proxy.rollouts.evidence import Epoch
from proxy.telemetry.rollouts import RolloutNow


def rollout_now(live: Live, now: float, ended: dict[str, int]) -> RolloutNow:
    """One rollout that was started, at `now` (monotonic)."""
    run, plan = live.run, live.plan
    epochs = live.seen.evidence(now).epochs
    criteria = ("errors", *(f"slower_than_{format_duration(each)}" for each in plan.judge.slower_than))
    return RolloutNow(
        name=run.name,
        service=plan.service,
        state=run.state,
        step=run.step,
        share=run.share if live.is_active else 0.0,
        verdict=run.verdict.kind,
        requests=_requests(epochs, *plan.sides),
        events={
            (pool, criterion): sum(_events(each, index, is_candidate=pool == plan.sides[1]) for each in epochs)
            for pool in plan.sides
            for index, criterion in enumerate(criteria)
        },
        ended=ended,
    )


def _requests(epochs: Iterable[Epoch], stable: str, candidate: str) -> dict[str, int]:
    found = list(epochs)
    return {
        stable: sum(each.stable.requests for each in found),
        candidate: sum(each.candidate.requests for each in found),
    }


def _events(epoch: Epoch, index: int, *, is_candidate: bool) -> int:
    events = (epoch.candidate if is_candidate else epoch.stable).events
    return events[index] if index < len(events) else 0
