"""/metrics: what is known, in Prometheus' text format. Labels come from the configuration, never from a request."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from proxy.telemetry.classic import CLASSES, classic
from proxy.telemetry.flags import of_flags
from proxy.telemetry.rollouts import RolloutNow, of_rollouts
from proxy.telemetry.totals import MirrorTotals, PoolKey, PoolTotals, Totals

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_OF_POOL: Final = ["service", "pool"]
_OWN: Final = "What a plug-in counts."
_UNFIT: Final = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(frozen=True, slots=True)
class PoolNow:
    """One pool at this moment; `weight` is its share of the split, 0 to 1, `endpoints` how many are in which state."""

    weight: float = 0.0
    in_flight: int = 0
    pending: int = 0
    tunnels: int = 0
    is_draining: bool = False
    endpoints: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that /metrics tells. `connections` go by listener, `workers` by state, `reloads` by result."""

    totals: Totals
    pools: Mapping[PoolKey, PoolNow]
    connections: Mapping[str, int]
    workers: Mapping[str, int]
    reloads: Mapping[str, int]
    generation: int
    worker_restarts: int
    version: str
    build: str
    rollouts: tuple[RolloutNow, ...] = ()
    flag_kills: Mapping[str, int] = field(default_factory=dict)
    streams: int = 0


def exposition(sight: Sight) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Sighted(sight))
    text: bytes = generate_latest(registry)
    return text


class _Sighted(Collector):
    def __init__(self, sight: Sight) -> None:
        self._sight = sight

    def describe(self) -> list[Metric]:
        return []  # nothing is known before somebody asks

    def collect(self) -> Iterator[Metric]:
        sight = self._sight
        yield from _of_pools(sight.totals)
        if sight.totals.mirrors:
            yield from _of_mirrors(sight.totals.mirrors)
        yield from _now(sight.pools)
        yield from of_rollouts(sight.rollouts)
        yield from of_flags(sight.totals.flags)
        if sight.flag_kills:
            yield _counts("sluice_flag_kills", "Flags that their guard has killed.", "flag", sight.flag_kills)
        yield _by("sluice_connections", "Client connections now, by listener.", "listener", sight.connections)
        yield _one("sluice_flag_streams", "Clients that follow the flags on listeners now.", sight.streams)
        yield _by("sluice_workers", "Worker processes now, by state.", "state", sight.workers)
        yield from _of_plugins(sight.totals)
        yield _counts("sluice_replies", "Replies of our own, by reason.", "reason", sight.totals.replies)
        dropped = CounterMetricFamily("sluice_access_log_dropped", "Lines of the access log that were lost.")
        dropped.add_metric([], sight.totals.log_dropped)
        yield dropped
        yield _counts("sluice_config_reloads", "Reloads of the configuration, by result.", "result", sight.reloads)
        yield _one("sluice_config_generation", "The generation in force.", sight.generation)
        restarts = CounterMetricFamily("sluice_worker_restarts", "Workers that died and were replaced.")
        restarts.add_metric([], sight.worker_restarts)
        yield restarts
        info = GaugeMetricFamily("sluice_build_info", "What runs: always 1.", labels=["version", "build"])
        info.add_metric([sight.version, sight.build], 1)
        yield info


def _of_pools(totals: Totals) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "sluice_requests",
        "Requests that have ended, by status class; no service: not routed.",
        labels=[*_OF_POOL, "code"],
    )
    failures = CounterMetricFamily(
        "sluice_attempt_failures", "Attempts at an endpoint that failed, by reason.", labels=[*_OF_POOL, "reason"]
    )
    for key, pool in (*totals.pools.items(), (("", ""), PoolTotals(requests=totals.unrouted))):
        for name, count in zip(CLASSES, pool.requests, strict=True):
            if count or key != ("", ""):
                requests.add_metric([*key, name], count)
        for reason, count in pool.failures.items():
            failures.add_metric([*key, reason], count)
    yield requests
    yield failures
    for name, what in _COUNTED.items():
        family = CounterMetricFamily(f"sluice_{name}", what, labels=_OF_POOL)
        for key, pool in totals.pools.items():
            family.add_metric(key, pool.counted[name])
        yield family
    duration = HistogramMetricFamily(
        "sluice_request_duration_seconds", "From a request's head to the end of its response.", labels=_OF_POOL
    )
    upstream = HistogramMetricFamily(
        "sluice_upstream_response_seconds", "From the beginning of an attempt to its response's head.", labels=_OF_POOL
    )
    for key, pool in totals.pools.items():
        duration.add_metric(key, buckets=classic(pool.duration), sum_value=pool.duration.total)
        upstream.add_metric(key, buckets=classic(pool.upstream), sum_value=pool.upstream.total)
    yield duration
    yield upstream


def _of_mirrors(mirrors: Mapping[PoolKey, MirrorTotals]) -> Iterator[Metric]:
    of_side = [*_OF_POOL, "side"]
    requests = CounterMetricFamily(
        "sluice_mirror_requests",
        "Requests that were copied to this pool (real), and their copies (shadow), by status class.",
        labels=[*of_side, "code"],
    )
    duration = HistogramMetricFamily(
        "sluice_mirror_duration_seconds", "From sending them to the response's head, both sides alike.", labels=of_side
    )
    skipped = CounterMetricFamily(
        "sluice_mirror_skipped", "Requests that were not copied, by reason.", labels=[*_OF_POOL, "reason"]
    )
    for key, mirror in mirrors.items():
        for side, totals in (("real", mirror.real), ("shadow", mirror.shadow)):
            for name, count in zip(CLASSES, totals.requests, strict=True):
                requests.add_metric([*key, side, name], count)
            duration.add_metric([*key, side], buckets=classic(totals.duration), sum_value=totals.duration.total)
        for reason, count in mirror.skipped.items():
            skipped.add_metric([*key, reason], count)
    yield from (requests, duration, skipped)


_COUNTED: Final = {
    "retries": "Attempts that were made again.",
    "spilled": "Requests that went to another pool, because theirs had no usable endpoint.",
    "panicked": "Requests that went to an endpoint that is not usable, for want of one that is.",
    "ejections": "Endpoints that were taken out because requests kept failing on them.",
    "overflowed": "Requests refused because their pool was full.",
}


def _of_plugins(totals: Totals) -> Iterator[Metric]:
    """Failed hooks, and whatever plug-ins count themselves: each name of theirs is a metric."""
    failures = CounterMetricFamily(
        "sluice_plugin_hook_failures", "Hooks of plug-ins that failed, by how.", labels=["plugin", "at", "reason"]
    )
    own: dict[str, CounterMetricFamily] = {}
    for (name, at), plugin in totals.plugins.items():
        for reason, count in plugin.failures.items():
            failures.add_metric([name, at, reason], count)
        counted: dict[str, float] = defaultdict(float)
        for counter, count in plugin.counters.items():  # two names may come to the same, and no sample may stand twice
            counted[f"sluice_plugin_{_UNFIT.sub('_', counter.removesuffix('_total'))}"] += count
        for metric, summed in counted.items():
            if metric != failures.name:
                family = own.setdefault(metric, CounterMetricFamily(metric, _OWN, labels=["plugin", "at"]))
                family.add_metric([name, at], summed)
    yield failures
    yield from own.values()


def _now(pools: Mapping[PoolKey, PoolNow]) -> Iterator[Metric]:
    families = {
        "weight": GaugeMetricFamily("sluice_split_weight", "The pool's share of the split, 0 to 1.", labels=_OF_POOL),
        "in_flight": GaugeMetricFamily("sluice_in_flight", "Requests under way now.", labels=_OF_POOL),
        "pending": GaugeMetricFamily("sluice_pending", "Requests that wait for a connection now.", labels=_OF_POOL),
        "tunnels": GaugeMetricFamily("sluice_tunnels", "WebSockets open now.", labels=_OF_POOL),
    }
    draining = GaugeMetricFamily("sluice_drain_in_flight", "What still runs on pools that drain.", labels=_OF_POOL)
    endpoints = GaugeMetricFamily("sluice_endpoints", "Endpoints now, by state.", labels=[*_OF_POOL, "state"])
    for key, pool in pools.items():
        for name, family in families.items():
            family.add_metric(key, getattr(pool, name))
        if pool.is_draining:
            draining.add_metric(key, pool.in_flight + pool.tunnels)
        for state, count in pool.endpoints.items():
            endpoints.add_metric([*key, state], count)
    yield from (*families.values(), draining, endpoints)


def _by(name: str, what: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counts(name: str, what: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, what, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _one(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)
