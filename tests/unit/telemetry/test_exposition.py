"""/metrics: what a scraper reads is what was counted, also when workers have come and gone."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.telemetry.classic import SECONDS
from proxy.telemetry.counters import PoolCounters
from proxy.telemetry.exposition import PoolNow, Sight, exposition
from proxy.telemetry.report import Durations, PoolReport, WorkerReport
from proxy.telemetry.totals import Ledger, Totals

KEY = ("shop", "blue")
ORDER = ("service", "pool", "code", "reason", "state", "version", "build", "le")


def report(requests: int, seconds: float = 0.01) -> WorkerReport:
    counters = PoolCounters()
    for _ in range(requests):
        counters.duration.observe(seconds)
    pool = PoolReport(
        *KEY,
        (0, 0, requests, 0, 0, 0),
        Durations.of(counters.duration),
        Durations.of(counters.upstream),
        {"try_timeout": 1},
        retries=2,
    )
    return WorkerReport((pool,), (), (0, 0, 0, 0, 1, 0), {"no_route": 1}, {"127.0.0.1:1": 3}, 0)


def samples(totals: Totals, pools: dict[tuple[str, str], PoolNow] | None = None) -> dict[str, float]:
    """Every sample by its name and labels, as Prometheus' own parser reads them."""
    now = {KEY: PoolNow(weight=0.25, in_flight=4, tunnels=1, endpoints={"up": 2})} if pools is None else pools
    sight = Sight(totals, now, {"127.0.0.1:1": 3}, {"ready": 1}, {"applied": 2}, 7, 1, "1.0", "plain")
    found = {}
    for family in text_string_to_metric_families(exposition(sight).decode()):
        assert family.documentation.endswith((".", "1.")), family.name
        for sample in family.samples:
            labels = ",".join(f"{name}={sample.labels[name]}" for name in ORDER if name in sample.labels)
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def totals_of(*reports: WorkerReport) -> Totals:
    totals = Totals()
    for each in reports:
        totals.add(each)
    return totals


def test_counters_are_the_sum_of_all_workers() -> None:
    found = samples(totals_of(report(3), report(4)))
    assert found["sluice_requests_total{service=shop,pool=blue,code=2xx}"] == 7
    assert found["sluice_requests_total{service=,pool=,code=4xx}"] == 2
    assert found["sluice_retries_total{service=shop,pool=blue}"] == 4
    assert found["sluice_attempt_failures_total{service=shop,pool=blue,reason=try_timeout}"] == 2
    assert found["sluice_replies_total{reason=no_route}"] == 2
    assert found["sluice_request_duration_seconds_count{service=shop,pool=blue}"] == 7
    assert found["sluice_request_duration_seconds_sum{service=shop,pool=blue}"] == pytest.approx(0.07)


def test_gauges_are_of_now() -> None:
    found = samples(Totals())
    assert found["sluice_split_weight{service=shop,pool=blue}"] == 0.25
    assert found["sluice_in_flight{service=shop,pool=blue}"] == 4
    assert found["sluice_tunnels{service=shop,pool=blue}"] == 1
    assert found["sluice_endpoints{service=shop,pool=blue,state=up}"] == 2
    assert found["sluice_config_generation{}"] == 7
    assert found["sluice_worker_restarts_total{}"] == 1
    assert found["sluice_build_info{version=1.0,build=plain}"] == 1
    assert "sluice_drain_in_flight{service=shop,pool=blue}" not in found
    draining = samples(Totals(), {KEY: PoolNow(in_flight=4, tunnels=1, is_draining=True)})
    assert draining["sluice_drain_in_flight{service=shop,pool=blue}"] == 5


@pytest.mark.parametrize("seconds", [0.0, 0.0004, 0.003, 0.04, 0.9, 2.0, 59.0, 1e6])
def test_buckets_hold_what_lies_below_their_bound(seconds: float) -> None:
    found = samples(totals_of(report(1, seconds)))
    counts = {
        bound: found[f"sluice_request_duration_seconds_bucket{{service=shop,pool=blue,le={bound}}}"]
        for bound in SECONDS
    }
    assert list(counts.values()) == sorted(counts.values())
    assert all(count == 0 for bound, count in counts.items() if seconds > bound)
    assert all(count == 1 for bound, count in counts.items() if seconds < bound / 1.0443)
    assert found["sluice_request_duration_seconds_bucket{service=shop,pool=blue,le=+Inf}"] == 1


def test_sum_never_falls_when_workers_go() -> None:
    ledger = Ledger()
    ledger.take({1: report(3), 2: report(4)}, there=[1, 2])
    assert ledger.totals().pools[KEY].requests[2] == 7
    ledger.take({2: report(5)}, there=[2])
    assert ledger.totals().pools[KEY].requests[2] == 8
    ledger.take({3: report(1)}, there=[2, 3])
    assert ledger.totals().pools[KEY].requests[2] == 9
    ledger.take({}, there=[])
    totals = ledger.totals()
    assert totals.pools[KEY].requests[2] == 9
    assert totals.pools[KEY].duration.count == 9
    assert not ledger.latest


def test_label_is_escaped() -> None:
    name = 'a"b\\c\nd'
    now = {(name, "blue"): PoolNow(weight=1.0)}
    text = exposition(Sight(Totals(), now, {}, {}, {}, 1, 0, "1", "plain")).decode()
    (family,) = [each for each in text_string_to_metric_families(text) if each.name == "sluice_split_weight"]
    assert family.samples[0].labels["service"] == name
