"""What a worker counts for a rollout under way: what each pool did with the requests that the split gave to it.

A run's counters live outside the snapshot; each epoch of its split has a cell per pool. What is counted is told as
differences: a cell that has something to tell is dirty until it was told of.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from weakref import WeakValueDictionary

from msgspec import Struct, msgpack

from proxy.telemetry.histogram import BUCKETS as DURATIONS


class Watch(Struct, frozen=True):
    """What workers count for a rollout under way: one `epoch` of its split, begun in `step` of its `run`.

    `statuses` of the upstream are bad, as inclusive ranges; being slower than one of `slower_than` (seconds) is an
    event, too. Where sessions are held, only those count that a pool took after `since` (wall time).
    """

    run: str
    epoch: int
    step: int
    stable: str
    candidate: str
    statuses: tuple[tuple[int, int], ...] = ((500, 599),)
    slower_than: tuple[float, ...] = ()
    since: float = 0.0

    @property
    def is_rolling(self) -> bool:
        """Is one pool updated in place? Then it is both, and its cohorts are what is counted."""
        return self.stable == self.candidate


def cohort_name(pool: str, *, is_updated: bool) -> str:
    """What one of the two cohorts of a pool is called that is updated in place."""
    return f"{pool} updated" if is_updated else f"{pool} as it was"


class CellSeen(Struct, frozen=True, array_like=True):
    """What one pool, or one cohort of it, did in one epoch since it was told of last.

    `events` go by criterion: errors first, then each threshold; only of requests without a bucket of users. `buckets`
    are those that had their first event of each criterion in this run and worker, `sighted` those that were seen for
    the first time. `latency` is a sparse histogram. `failed_to_connect` is how many attempts in a row, up to now, could
    not connect: since the last one that could where `connected`, otherwise since it was told last. `share` is how
    likely the updated cohort was, in thousandths; None where the epoch's split says it.
    """

    run: str
    epoch: int
    pool: str
    sights: int = 0
    requests: int = 0
    bad: int = 0
    slow: tuple[int, ...] = ()
    events: tuple[int, ...] = ()
    buckets: tuple[tuple[int, ...], ...] = ()
    sighted: tuple[int, ...] = ()
    latency: dict[int, int] = {}
    connected: bool = False
    failed_to_connect: int = 0
    share: int | None = None


class RunSeen:
    """One run in this worker. `seen` has, per bucket of users, 1 where its first event was told: by criterion."""

    __slots__ = ("__weakref__", "name", "seen", "sighted")

    def __init__(self, name: str, criteria: int, buckets: int) -> None:
        self.name = name
        self.seen = tuple(bytearray(buckets) for _ in range(criteria))
        self.sighted = bytearray(buckets)


class Cell:
    """One pool in one epoch of a run; a cohort, where `share` is how likely the updated one was, in thousandths."""

    __slots__ = (
        "bad", "buckets", "connected", "epoch", "events", "failed_to_connect", "is_dirty", "latency", "pool",
        "requests", "run", "seeing", "share", "sighted", "sights", "slow",
    )  # fmt: skip

    def __init__(self, seeing: "Seeing", run: RunSeen, epoch: int, pool: str, share: int | None = None) -> None:
        self.seeing = seeing
        self.share = share
        self.run = run
        self.epoch = epoch
        self.pool = pool
        self._begin()

    def __repr__(self) -> str:
        return f"<Cell {self.run.name} {self.epoch} {self.pool}: {self.bad} bad of {self.requests}>"

    def _begin(self) -> None:
        criteria = len(self.run.seen)
        self.is_dirty = False
        self.sights = self.requests = self.bad = self.failed_to_connect = 0
        self.slow = [0] * (criteria - 1)
        self.events = [0] * criteria
        self.buckets: list[list[int]] = [[] for _ in range(criteria)]
        self.sighted: list[int] = []
        self.latency: dict[int, int] = {}
        self.connected = False

    def sight(self, bucket: int | None) -> None:
        """The split gave a request to the pool; of a bucket of users, where the service is sticky."""
        if bucket is None:
            self.sights += 1
        elif self.run.sighted[bucket]:
            return
        else:
            self.run.sighted[bucket] = 1
            self.sighted.append(bucket)
        self._stir()

    def outcome(self, bucket: int | None, *, is_bad: bool) -> None:
        """A request has an outcome."""
        self.requests += 1
        if is_bad:
            self.fail(bucket)
        self._stir()

    def fail(self, bucket: int | None) -> None:
        """A request turned out bad, after its outcome was counted perhaps."""
        self.bad += 1
        self._event(0, bucket)

    def late(self, threshold: int, bucket: int | None) -> None:
        """A request was slower than this threshold."""
        self.slow[threshold] += 1
        self._event(threshold + 1, bucket)

    def took(self, seconds: float) -> None:
        """An endpoint took so long to begin its response."""
        index = bisect_left(DURATIONS, seconds)
        self.latency[index] = self.latency.get(index, 0) + 1
        self._stir()

    def connecting(self, *, failed: bool) -> None:
        """An attempt could connect, or could not."""
        if failed:
            self.failed_to_connect += 1
        else:
            self.failed_to_connect = 0
            self.connected = True
        self._stir()

    def _event(self, criterion: int, bucket: int | None) -> None:
        self._stir()
        if bucket is None:
            self.events[criterion] += 1
        elif not self.run.seen[criterion][bucket]:
            self.run.seen[criterion][bucket] = 1
            self.buckets[criterion].append(bucket)

    def _stir(self) -> None:
        if not self.is_dirty:
            self.is_dirty = True
            self.seeing.stir(self)

    def told(self) -> CellSeen:
        """What there is to tell; from now on it counts anew."""
        seen = CellSeen(
            self.run.name, self.epoch, self.pool, self.sights, self.requests, self.bad, tuple(self.slow),
            tuple(self.events), tuple(map(tuple, self.buckets)), tuple(self.sighted), self.latency, self.connected,
            self.failed_to_connect, self.share,
        )  # fmt: skip
        self._begin()
        return seen


class Watched:
    """What a compiled service counts into: one epoch of one run. `is_bad` says of every status whether it is bad.

    `by_length` are the numbers of the thresholds, the shortest first. `since` is wall time: where sessions are held,
    only those that a pool took after that count. `make` makes a cell for a name and a share; `is_rolling` where a pool
    is updated in place, whose cohorts have a cell for each share. `ways` are stable and candidate.
    """

    __slots__ = ("_cohorts", "_make", "by_length", "cells", "is_bad", "is_rolling", "since", "thresholds", "ways")

    def __init__(self, watch: Watch, make: Callable[[str, int | None], Cell]) -> None:
        self._make = make
        self._cohorts: dict[tuple[bool, int], Cell] = {}
        self.is_rolling = watch.is_rolling
        self.ways = (watch.stable, watch.candidate)
        self.cells: Mapping[str, Cell] = (
            {} if watch.is_rolling else {pool: make(pool, None) for pool in (watch.stable, watch.candidate)}
        )
        self.is_bad = bytes(any(first <= status <= last for first, last in watch.statuses) for status in range(1000))
        self.thresholds = watch.slower_than
        self.by_length = tuple(sorted(range(len(watch.slower_than)), key=watch.slower_than.__getitem__))
        self.since = watch.since

    def cohort(self, pool: str, is_updated: bool, share: int) -> Cell:
        """Where a cohort of this pool is counted, of those drawn with this share."""
        found = self._cohorts.get((is_updated, share))
        if found is None:
            found = self._cohorts[is_updated, share] = self._make(cohort_name(pool, is_updated=is_updated), share)
        return found


class Seeing:
    """All runs of this worker. `wake` is called when there is something to tell, once until `tell`."""

    def __init__(self) -> None:
        self._runs: WeakValueDictionary[str, RunSeen] = WeakValueDictionary()
        self._dirty: list[Cell] = []
        self.wake: Callable[[], object] = lambda: None

    def run(self, name: str, criteria: int, buckets: int) -> RunSeen:
        """The run of this name, as long as anything counts for it."""
        found = self._runs.get(name)
        if found is None or len(found.seen) != criteria:
            found = self._runs[name] = RunSeen(name, criteria, buckets)
        return found

    def stir(self, cell: Cell) -> None:
        """This cell has something to tell."""
        self._dirty.append(cell)
        if len(self._dirty) == 1:
            self.wake()

    @property
    def has_news(self) -> bool:
        """Is there anything to tell?"""
        return bool(self._dirty)

    def tell(self) -> bytes:
        """All there is to tell, encoded."""
        dirty, self._dirty = self._dirty, []
        return msgpack.encode([cell.told() for cell in dirty])


def decode(report: bytes) -> list[CellSeen]:
    """From bytes; msgspec.DecodeError for anything else."""
    return msgpack.decode(report, type=list[CellSeen])
