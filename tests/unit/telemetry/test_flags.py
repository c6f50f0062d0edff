"""What is counted of flags: summed over workers, kept of those that have gone, bounded, and told to Prometheus."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.telemetry.exposition import Sight, exposition
from proxy.telemetry.flag_outcomes import MOST_VARIANTS, FlagOutcomes, report
from proxy.telemetry.report import WorkerReport, decode, encode
from proxy.telemetry.totals import Ledger, Totals


def counted(*cells: tuple[str, str, int, int, float]) -> WorkerReport:
    """A worker's report of (flag, variant, status, requests, seconds each)."""
    outcomes = FlagOutcomes()
    for flag, variant, status, requests, seconds in cells:
        counters = outcomes[flag, variant]
        counters.evaluations += 1
        for _ in range(requests):
            counters.requests[status // 100] += 1
            counters.duration.observe(seconds)
    return decode(encode(WorkerReport((), (), (0,) * 6, {}, {}, 0, flags=report(outcomes))))


def sample(totals: Totals, name: str, **labels: str) -> Any:
    """One sample's value, as Prometheus' own parser reads it; None where it is not told."""
    text = exposition(Sight(totals, {}, {}, {}, {}, 1, 0, "1", "plain")).decode()
    found = [
        each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
        if each.name == name and labels.items() <= each.labels.items()
    ]
    return found[0] if found else None


def test_sum_keeps_what_a_worker_had_that_died() -> None:
    ledger = Ledger()
    ledger.take({1: counted(("a", "on", 200, 3, 0.1)), 2: counted(("a", "on", 500, 2, 0.1))}, [1, 2])
    ledger.take({2: counted(("a", "on", 500, 4, 0.1), ("a", "", 200, 1, 0.1))}, [2])
    totals = ledger.totals()
    assert totals.flags["a", "on"].requests == [0, 0, 3, 0, 0, 4]
    assert totals.flags["a", "on"].evaluations == 2
    assert totals.flags["a", "on"].duration.total == pytest.approx(0.7)
    assert totals.flags["a", ""].requests == [0, 0, 1, 0, 0, 0]


def test_metrics_tell_every_variant_and_nothing_without_flags() -> None:
    totals = Totals()
    assert sample(totals, "sluice_flag_requests_total") is None
    totals.add(counted(("a", "on", 503, 2, 0.2), ("a", "", 200, 1, 0.2)))
    assert sample(totals, "sluice_flag_requests_total", flag="a", variant="on", **{"class": "5xx"}) == 2
    assert sample(totals, "sluice_flag_requests_total", flag="a", variant="", **{"class": "2xx"}) == 1
    assert sample(totals, "sluice_flag_evaluations_total", flag="a", variant="on") == 1
    assert sample(totals, "sluice_flag_request_duration_seconds_bucket", variant="on", le="0.25") == 2
    assert sample(totals, "sluice_flag_request_duration_seconds_bucket", variant="on", le="0.1") == 0


def test_variants_beyond_the_bound_make_room_oldest_first() -> None:
    outcomes, totals = FlagOutcomes(), Totals()
    for number in range(MOST_VARIANTS + 5):
        outcomes["a", str(number)].evaluations += 1
    assert (len(outcomes), ("a", "4") in outcomes, ("a", "5") in outcomes) == (MOST_VARIANTS, False, True)
    for number in range(MOST_VARIANTS + 5):
        totals.add(counted(("a", str(number), 200, 1, 0.1)))
    assert (len(totals.flags), ("a", "4") in totals.flags) == (MOST_VARIANTS, False)
