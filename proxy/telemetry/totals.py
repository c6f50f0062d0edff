"""Counters added up over workers, those that have gone included: a sum that never falls while the controller lives."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from proxy.telemetry.flag_outcomes import MOST_VARIANTS, FlagOutcomes, report
from proxy.telemetry.histogram import Histogram
from proxy.telemetry.report import Durations, FlagReport, MirrorReport, PoolReport, WorkerReport

PoolKey = tuple[str, str]
"""Service and pool."""

FlagKey = tuple[str, str]
"""Flag and variant; "" where the flag had none."""

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
        self.requests = _sum(self.requests, report.requests)
        _add(self.duration, report.duration)
        _add(self.upstream, report.upstream)
        self.failures.update(report.failures)
        self.counted.update({name: getattr(report, name) for name in COUNTED})


@dataclass(slots=True)
class SideTotals:
    """One side of a comparison, over all workers."""

    requests: list[int] = field(default_factory=lambda: [0] * 6)
    duration: Histogram = field(default_factory=Histogram)


@dataclass(slots=True)
class MirrorTotals:
    """What was copied to a pool, over all workers: the requests, the copies, and those that were not copied."""

    real: SideTotals = field(default_factory=SideTotals)
    shadow: SideTotals = field(default_factory=SideTotals)
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, report: MirrorReport) -> None:
        """Add one worker's."""
        for mine, its in ((self.real, report.real), (self.shadow, report.shadow)):
            mine.requests = _sum(mine.requests, its.requests)
            _add(mine.duration, its.duration)
        self.skipped.update(report.skipped)

    def merge(self, other: "MirrorTotals") -> None:
        """Add other workers'."""
        for mine, its in ((self.real, other.real), (self.shadow, other.shadow)):
            mine.requests = _sum(mine.requests, its.requests)
            mine.duration.add(its.duration)
        self.skipped.update(other.skipped)


@dataclass(slots=True)
class PluginTotals:
    """What a plug-in at one place has counted in all workers, and how its hooks failed."""

    counters: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class FlagTotals:
    """What all workers have counted of one variant of a flag. `requests` goes by status class."""

    evaluations: int = 0
    requests: list[int] = field(default_factory=lambda: [0] * 6)
    duration: Histogram = field(default_factory=Histogram)

    def add(self, report: FlagReport) -> None:
        """Add one worker's."""
        self.evaluations += report.evaluations
        self.requests = _sum(self.requests, report.requests)
        _add(self.duration, report.duration)

    def merge(self, other: "FlagTotals") -> None:
        """Add other workers'."""
        self.evaluations += other.evaluations
        self.requests = _sum(self.requests, other.requests)
        self.duration.add(other.duration)


@dataclass(slots=True)
class Totals:
    """Everything that only ever grows. `plugins` go by name and place."""

    pools: dict[PoolKey, PoolTotals] = field(default_factory=dict)
    mirrors: dict[PoolKey, MirrorTotals] = field(default_factory=dict)
    unrouted: list[int] = field(default_factory=lambda: [0] * 6)
    replies: Counter[str] = field(default_factory=Counter)
    plugins: dict[tuple[str, str], PluginTotals] = field(default_factory=dict)
    log_dropped: int = 0
    flags: dict[FlagKey, FlagTotals] = field(default_factory=dict)

    def add(self, report: WorkerReport) -> None:
        """Add one worker's."""
        for pool in report.pools:
            self.pools.setdefault((pool.service, pool.pool), PoolTotals()).add(pool)
        for mirror in report.mirrors:
            self.mirrors.setdefault((mirror.service, mirror.pool), MirrorTotals()).add(mirror)
        self.unrouted = _sum(self.unrouted, report.unrouted)
        self.replies.update(report.refusals)
        for plugin in report.plugins:
            mine = self.plugins.setdefault((plugin.plugin, plugin.at), PluginTotals())
            mine.counters.update(plugin.counters)
            mine.failures.update(plugin.failures)
        self.log_dropped += report.log_dropped
        for flag in report.flags:
            self.flag((flag.flag, flag.variant)).add(flag)

    def flag(self, key: FlagKey) -> FlagTotals:
        """One variant of a flag; where there are too many, what was first counted makes room, as in a worker."""
        found = self.flags.get(key)
        if found is None:
            if len(self.flags) >= MOST_VARIANTS:
                del self.flags[next(iter(self.flags))]
            found = self.flags[key] = FlagTotals()
        return found


class Ledger:
    """Knows the last report of each worker, and keeps what those that have gone had counted.

    `told` is what the controller itself has answered to who asks it for flags.
    """

    def __init__(self) -> None:
        self._latest: dict[int, WorkerReport] = {}
        self._of_the_gone = Totals()
        self.told = FlagOutcomes()

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
        """The sum over all workers that there ever were, and the controller."""
        totals = Totals()
        _merge(totals, self._of_the_gone)
        for each in self._latest.values():
            totals.add(each)
        for flag in report(self.told):
            totals.flag((flag.flag, flag.variant)).add(flag)
        return totals


def _merge(into: Totals, other: Totals) -> None:
    for key, pool in other.pools.items():
        mine = into.pools.setdefault(key, PoolTotals())
        mine.requests = _sum(mine.requests, pool.requests)
        mine.duration.add(pool.duration)
        mine.upstream.add(pool.upstream)
        mine.counted.update(pool.counted)
        mine.failures.update(pool.failures)
    for key, mirror in other.mirrors.items():
        into.mirrors.setdefault(key, MirrorTotals()).merge(mirror)
    for name, plugin in other.plugins.items():
        its = into.plugins.setdefault(name, PluginTotals())
        its.counters.update(plugin.counters)
        its.failures.update(plugin.failures)
    into.unrouted = _sum(into.unrouted, other.unrouted)
    into.replies.update(other.replies)
    into.log_dropped += other.log_dropped
    for key, flag in other.flags.items():
        into.flag(key).merge(flag)


def _sum(some: Sequence[int], others: Sequence[int]) -> list[int]:
    return [one + other for one, other in zip(some, others, strict=True)]


def _add(histogram: Histogram, durations: Durations) -> None:
    for bucket, count in durations.counts.items():
        histogram.counts[bucket] += count
    histogram.total += durations.total
