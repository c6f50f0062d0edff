"""What /metrics tells of flags. Labels come from the configuration, and only of flags that it observes."""

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from proxy.telemetry.classic import CLASSES, classic
from proxy.telemetry.totals import FlagKey, FlagTotals

_OF: Final = ["flag", "variant"]


def of_flags(flags: Mapping[FlagKey, FlagTotals]) -> Iterator[Metric]:
    """All that were counted; nothing where there are none. No variant: the caller had its own default."""
    if not flags:
        return
    evaluations = CounterMetricFamily(
        "sluice_flag_evaluations", "Answers to clients that asked for the flag.", labels=_OF
    )
    requests = CounterMetricFamily(
        "sluice_flag_requests",
        "Requests that have ended and were routed, or told their upstream, by the flag; by status class.",
        labels=[*_OF, "class"],
    )
    duration = HistogramMetricFamily(
        "sluice_flag_request_duration_seconds", "From their head to the end of their response.", labels=_OF
    )
    for key, totals in sorted(flags.items()):
        evaluations.add_metric(key, totals.evaluations)
        for name, count in zip(CLASSES, totals.requests, strict=True):
            requests.add_metric([*key, name], count)
        duration.add_metric(key, buckets=classic(totals.duration), sum_value=totals.duration.total)
    yield from (evaluations, requests, duration)
