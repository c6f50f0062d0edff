"""What /metrics tells of rollouts. Labels come from the configuration, and from what was posted within its bounds."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

STATES: Final = ("pending", "running", "paused", "aborting", "aborted", "succeeded")
VERDICTS: Final = ("harm", "safe", "not_yet")
_OF: Final = ["rollout", "service"]


@dataclass(frozen=True, slots=True)
class RolloutNow:
    """One rollout. `step` counts from 0, `share` is the candidate's part of what it and stable have, 0 to 1.

    `requests` go by pool, `events` by pool and criterion, both of its last run; `ended` by result since the start.
    """

    name: str
    service: str
    state: str
    step: int = 0
    share: float = 0.0
    verdict: str = "not_yet"
    requests: Mapping[str, int] = field(default_factory=dict)
    events: Mapping[tuple[str, str], int] = field(default_factory=dict)
    ended: Mapping[str, int] = field(default_factory=dict)


def of_rollouts(rollouts: Iterable[RolloutNow]) -> Iterator[Metric]:
    """All of them; nothing where there are none."""
    found = list(rollouts)
    if found:
        yield from _gauges(found)
        yield from _counters(found)


def _gauges(rollouts: Iterable[RolloutNow]) -> Iterator[Metric]:
    state = GaugeMetricFamily("sluice_rollout_state", "1 for the state that a rollout has.", labels=[*_OF, "state"])
    verdict = GaugeMetricFamily(
        "sluice_rollout_verdict", "1 for what the judge says of a rollout.", labels=[*_OF, "verdict"]
    )
    step = GaugeMetricFamily("sluice_rollout_step", "The step that a rollout is in, from 0.", labels=_OF)
    share = GaugeMetricFamily("sluice_rollout_share", "The candidate's share, 0 to 1.", labels=_OF)
    for each in rollouts:
        key = [each.name, each.service]
        for name in STATES:
            state.add_metric([*key, name], float(each.state == name))
        for name in VERDICTS:
            verdict.add_metric([*key, name], float(each.verdict == name))
        step.add_metric(key, each.step)
        share.add_metric(key, each.share)
    yield from (state, verdict, step, share)


def _counters(rollouts: Iterable[RolloutNow]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "sluice_rollout_requests", "Requests that a run is judged by; each run begins at 0.", labels=[*_OF, "pool"]
    )
    events = CounterMetricFamily(
        "sluice_rollout_events",
        "Bad and slow requests, by criterion, that a run is judged by; of sticky users one each.",
        labels=[*_OF, "pool", "criterion"],
    )
    ended = CounterMetricFamily("sluice_rollout_ended", "Runs that have ended, by result.", labels=[*_OF, "result"])
    for each in rollouts:
        key = [each.name, each.service]
        for pool, count in each.requests.items():
            requests.add_metric([*key, pool], count)
        for (pool, criterion), count in each.events.items():
            events.add_metric([*key, pool, criterion], count)
        for result in ("aborted", "succeeded"):
            ended.add_metric([*key, result], each.ended.get(result, 0))
    yield from (requests, events, ended)
