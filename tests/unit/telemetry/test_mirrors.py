"""Comparisons add up over workers, those that have gone included, and both sides are shown."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.telemetry.counters import MirrorCounters
from proxy.telemetry.exposition import Sight, exposition
from proxy.telemetry.report import Durations, MirrorReport, MirrorSide, WorkerReport, decode, encode
from proxy.telemetry.totals import Ledger, Totals


def report(*pairs: tuple[tuple[int, float], tuple[int, float]], skipped: int = 0) -> WorkerReport:
    """A worker's that has seen these, and so many requests without a copy."""
    counters = MirrorCounters("shop", "green")
    for real, shadow in pairs:
        counters.compared(real, shadow)
    for _ in range(skipped):
        counters.skipped("full")
    sides = [MirrorSide(tuple(each.requests), Durations.of(each.duration)) for each in (counters.real, counters.shadow)]
    mirror = MirrorReport("shop", "green", *sides, dict(counters.without))
    return decode(encode(WorkerReport((), (), (0,) * 6, {}, {}, 0, mirrors=(mirror,))))


def shown(totals: Totals) -> dict[tuple[str, ...], float]:
    """Every sample of a comparison, by its name and labels."""
    text = exposition(Sight(totals, {}, {}, {}, {}, 1, 0, "1", "plain")).decode()
    return {
        (sample.name, *(sample.labels[name] for name in ("side", "code", "reason", "le") if name in sample.labels)): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("sluice_mirror_")
    }


def test_comparisons_are_the_sum_of_all_workers() -> None:
    ledger = Ledger()
    ledger.take({1: report(((200, 0.1), (500, 3.0)), skipped=1), 2: report(((404, 0.2), (0, 60.0)))}, {1, 2})
    ledger.take({2: report(((404, 0.2), (0, 60.0)), ((200, 0.3), (200, 0.4)), skipped=2)}, {2})
    found = shown(ledger.totals())
    assert found["sluice_mirror_requests_total", "real", "2xx"] == 2
    assert found["sluice_mirror_requests_total", "real", "4xx"] == 1
    assert found["sluice_mirror_requests_total", "shadow", "2xx"] == 1
    assert found["sluice_mirror_requests_total", "shadow", "5xx"] == 1
    assert found["sluice_mirror_requests_total", "shadow", "none"] == 1
    assert found["sluice_mirror_skipped_total", "full"] == 3
    assert found["sluice_mirror_duration_seconds_count", "real"] == 3
    assert found["sluice_mirror_duration_seconds_sum", "real"] == pytest.approx(0.6)
    assert found["sluice_mirror_duration_seconds_sum", "shadow"] == pytest.approx(63.4)
    assert found["sluice_mirror_duration_seconds_bucket", "shadow", "1.0"] == 1


def test_proxy_without_a_mirror_shows_nothing_of_it() -> None:
    assert shown(Totals()) == {}


def test_mirror_without_requests_begins_at_zero() -> None:
    totals = Totals()
    totals.add(report())
    assert shown(totals)["sluice_mirror_requests_total", "shadow", "2xx"] == 0
