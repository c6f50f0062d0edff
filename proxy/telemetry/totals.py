"""Counters added up over workers, those that have gone included: a sum that never falls while the controller lives."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from proxy.telemetry.histogram import Histogram
from proxy.telemetry.report import Durations, PoolReport, WorkerReport

PoolKey = tuple[str, str]
"""Service and pool."""

COUNTED = ("retries", "spilled", "panicked", "ejections", "overflowed")


@dataclass(slots=True)
class PoolTotals:
    """What all workers have counted of one pool. `requests` goes by status class, `counted` by the names in COUNTED."""

    requests: list[int] = field(default_factory=lambda: [0] * 6)
    duration: Histogram = field(default_factory=Histogram)
    upstream: Histogram = field(default_factory=Histogram)
    counted: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def add(self, report: PoolReport) -> None:
        """Add one worker's."""
        self.requests = [mine + its for mine, its in zip(self.requests, report.requests, strict=True)]
        _add(self.duration, report.duration)
        _add(self.upstream, report.upstream)
        self.failures.update(report.failures)
        self.counted.update({name: getattr(report, name) for name in COUNTED})


@dataclass(slots=True)
class Totals:
    """Everything that only ever grows."""

    pools: dict[PoolKey, PoolTotals] = field(default_factory=dict)
    unrouted: list[int] = field(default_factory=lambda: [0] * 6)
    replies: Counter[str] = field(default_factory=Counter)
    log_dropped: int = 0

    def add(self, report: WorkerReport) -> None:
        """Add one worker's."""
        for pool in report.pools:
            self.pools.setdefault((pool.service, pool.pool), PoolTotals()).add(pool)
        self.unrouted = [mine + its for mine, its in zip(self.unrouted, report.unrouted, strict=True)]
        self.replies.update(report.refusals)
        self.log_dropped += report.log_dropped


class Ledger:
    """Knows the last report of each worker, and keeps what those that have gone had counted."""

    def __init__(self) -> None:
        self._latest: dict[int, WorkerReport] = {}
        self._of_the_gone = Totals()

    @property
    def latest(self) -> Mapping[int, WorkerReport]:
        """The last report of every worker there is."""
        return self._latest

    def take(self, reports: Mapping[int, WorkerReport], there: Iterable[int]) -> None:
        """Reports by worker; whoever is not `there` has gone, and counts on with its last one."""
        self._latest.update(reports)
        for worker in self._latest.keys() - set(there):
            self._of_the_gone.add(self._latest.pop(worker))

    def totals(self) -> Totals:
        """The sum over all workers that there ever were."""
        totals = Totals()
        _merge(totals, self._of_the_gone)
        for report in self._latest.values():
            totals.add(report)
        return totals


def _merge(into: Totals, other: Totals) -> None:
    for key, pool in other.pools.items():
        mine = into.pools.setdefault(key, PoolTotals())
        mine.requests = [a + b for a, b in zip(mine.requests, pool.requests, strict=True)]
        mine.duration.add(pool.duration)
        mine.upstream.add(pool.upstream)
        mine.counted.update(pool.counted)
        mine.failures.update(pool.failures)
    into.unrouted = [a + b for a, b in zip(into.unrouted, other.unrouted, strict=True)]
    into.replies.update(other.replies)
    into.log_dropped += other.log_dropped


def _add(histogram: Histogram, durations: Durations) -> None:
    for bucket, count in durations.counts.items():
        histogram.counts[bucket] += count
    histogram.total += durations.total
