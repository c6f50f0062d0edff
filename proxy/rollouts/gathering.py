"""What all workers have seen of one run, gathered: tallies by epoch, one event per bucket of users, and a window."""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Final, Self

from msgspec import Struct, msgpack

from proxy.core.hashing import BUCKETS
from proxy.pools.cohorts import PARTS
from proxy.rollouts.evidence import Epoch, Evidence, Recent, Tally
from proxy.rollouts.plan import Plan
from proxy.telemetry.evidence import CellSeen, Watch
from proxy.telemetry.histogram import BOUNDS, Histogram

_MOST_NUMBERS: Final = 200  # of epochs that workers may still tell of
_MOST_EPOCHS: Final = 5_000  # each with a share of its own
_SLOT: Final = 1.0  # seconds that the window is made of, at least
_MOST_SLOTS: Final = 60  # that a long window is made of


class Sum(Struct):
    """What one pool did in one epoch; see proxy.rollouts.evidence.Tally."""

    requests: int = 0
    bad: int = 0
    sights: int = 0
    slow: list[int] = []
    events: list[int] = []


class EpochSum(Struct):
    """One epoch. `share` is the candidate's."""

    number: int
    step: int
    share: float
    stable: Sum
    candidate: Sum


class _Slot(Struct):
    """A stretch of the window of one pool; `at` counts such stretches of the monotonic clock."""

    at: int
    requests: int = 0
    bad: int = 0
    latency: dict[int, int] = {}


class _Kept(Struct, frozen=True):
    name: str
    since: float
    is_sticky: bool
    epochs: list[EpochSum]
    counted: list[bytes]
    sighted: bytes
    window: dict[str, list[_Slot]] = {}


class Gathered:
    """One run's evidence. `name` is the run's, `since` when it began (wall time)."""

    def __init__(self, name: str, plan: Plan, *, is_sticky: bool, since: float) -> None:
        self.name = name
        self.since = since
        self.is_sticky = is_sticky
        self._plan = plan
        self._thresholds = len(plan.judge.slower_than)
        self._epochs: list[EpochSum] = []
        self._of: dict[int, EpochSum] = {}
        self._drawn: dict[tuple[int, float], EpochSum] = {}  # of cohorts, by step and share
        self._counted = [bytearray(BUCKETS) for _ in range(self._thresholds + 1)]
        self._sighted = bytearray(BUCKETS)
        self._width = max(_SLOT, plan.judge.window / _MOST_SLOTS)
        self._stable, self._candidate = plan.sides
        self._window: dict[str, deque[_Slot]] = {each: deque() for each in plan.sides}
        self._failed: dict[str, dict[int, int]] = {each: {} for each in plan.sides}

    def watch(self, *, epoch: int, step: int, share: float, since: float | None = None) -> Watch:
        """A new epoch begins: what workers are to count for it.

        `since` is its beginning (wall time), from which sessions count that are held; without it, the run's. Who was
        assigned by an earlier split is divided as that was, not by this `share`.
        """
        last = self._drawn.get((step, share)) if self._plan.is_rolling else next(reversed(self._epochs), None)
        if last is None or (last.step, last.share) != (step, share):
            last = self._new(epoch, step, share)
        last.number = epoch  # the same again adds up: whoever sets it a thousand times makes no thousand epochs
        self._of[epoch] = last
        if len(self._of) > _MOST_NUMBERS:
            del self._of[next(iter(self._of))]
        plan = self._plan
        return Watch(
            run=self.name,
            epoch=epoch,
            step=step,
            stable=plan.stable,
            candidate=plan.candidate,
            statuses=plan.judge.errors.statuses,
            slower_than=plan.judge.slower_than,
            since=self.since if since is None else since,
        )

    def add(self, worker: int, cell: CellSeen, now: float) -> bool:
        """What a worker has told at `now` (monotonic); was anything bad in it? What is of another run is not ours."""
        epoch = self._of.get(cell.epoch)
        if cell.run != self.name or epoch is None or cell.pool not in self._window:
            return False
        if (len(cell.slow) + 1, len(cell.events), len(cell.buckets)) != (self._thresholds + 1,) * 3:
            return False
        if cell.share is not None:
            epoch = self._drawn_by(epoch, cell.share)
        total = epoch.candidate if cell.pool == self._candidate else epoch.stable
        total.requests += cell.requests
        total.bad += cell.bad
        total.sights += cell.sights + _fresh(self._sighted, cell.sighted)
        for index, count in enumerate(cell.slow):
            total.slow[index] += count
        for index, (count, buckets) in enumerate(zip(cell.events, cell.buckets, strict=True)):
            total.events[index] += count + _fresh(self._counted[index], buckets)
        self._note_recent(worker, cell, now)
        return bool(cell.bad or any(cell.slow) or cell.failed_to_connect)

    def evidence(self, now: float) -> Evidence:
        """All of it, as the judge takes it."""
        return Evidence(
            tuple(
                Epoch(each.number, each.step, each.share, _tally(each.stable), _tally(each.candidate))
                for each in self._epochs
            ),
            self._recent(self._stable, now),
            self._recent(self._candidate, now),
            self.is_sticky,
        )

    # -- what the next controller gets

    def encode(self) -> bytes:
        """All of it but which worker could not connect; the window goes by a clock that outlives a controller."""
        counted = [bytes(each) for each in map(_packed, self._counted)]
        window = {pool: list(slots) for pool, slots in self._window.items()}
        kept = _Kept(self.name, self.since, self.is_sticky, self._epochs, counted, _packed(self._sighted), window)
        return msgpack.encode(kept)

    @classmethod
    def decode(cls, data: bytes, plan: Plan) -> Self:
        """What `encode` made; msgspec.DecodeError for anything else."""
        kept = msgpack.decode(data, type=_Kept)
        gathered = cls(kept.name, plan, is_sticky=kept.is_sticky, since=kept.since)
        gathered._epochs = kept.epochs
        gathered._of = {each.number: each for each in kept.epochs}
        gathered._drawn = {(each.step, each.share): each for each in kept.epochs} if plan.is_rolling else {}
        for mine, theirs in zip(gathered._counted, kept.counted, strict=False):
            mine[:] = _unpacked(theirs)
        gathered._sighted[:] = _unpacked(kept.sighted)
        for pool in gathered._window.keys() & kept.window.keys():
            gathered._window[pool].extend(kept.window[pool])
        return gathered

    # -- inside

    def _drawn_by(self, epoch: EpochSum, thousandths: int) -> EpochSum:
        """Where requests of this epoch are counted whose cohort was drawn with this share.

        Should there ever be too many, the rest is counted where it compares nothing: with a share of all.
        """
        share = min(max(thousandths / PARTS, 0.0), 1.0)
        found = self._drawn.get((epoch.step, share))
        if found is not None:
            return found
        if len(self._epochs) >= _MOST_EPOCHS:
            return self._drawn.get((epoch.step, 1.0), epoch)
        return self._new(epoch.number, epoch.step, share)

    def _new(self, number: int, step: int, share: float) -> EpochSum:
        new = EpochSum(number, step, share, self._sum(), self._sum())
        self._epochs.append(new)
        if self._plan.is_rolling:
            self._drawn[step, share] = new
        return new

    def _sum(self) -> Sum:
        return Sum(slow=[0] * self._thresholds, events=[0] * (self._thresholds + 1))

    def _note_recent(self, worker: int, cell: CellSeen, now: float) -> None:
        window = self._in_window(cell.pool, now)
        at = int(now / self._width)
        if not window or window[-1].at != at:
            window.append(_Slot(at))
        slot = window[-1]
        slot.requests += cell.requests
        slot.bad += cell.bad
        if self._plan.judge.p99 is not None:
            for index, count in cell.latency.items():
                slot.latency[index] = slot.latency.get(index, 0) + count
        failed = self._failed[cell.pool]
        if cell.connected:
            failed.clear()
        failed[worker] = failed.get(worker, 0) + cell.failed_to_connect

    def _in_window(self, pool: str, now: float) -> deque[_Slot]:
        """What is recent at `now`; slots of a later time are of a clock that began anew with the machine."""
        window = self._window[pool]
        while window and window[-1].at > now / self._width:
            window.pop()
        while window and window[0].at < (now - self._plan.judge.window) / self._width:
            window.popleft()
        return window

    def _recent(self, pool: str, now: float) -> Recent:
        window = self._in_window(pool, now)
        return Recent(
            requests=sum(slot.requests for slot in window),
            bad=sum(slot.bad for slot in window),
            p99=_quantile(window) if self._plan.judge.p99 is not None else None,
            connect_failures=sum(self._failed[pool].values()),
        )


def _tally(total: Sum) -> Tally:
    return Tally(total.requests, total.bad, tuple(total.slow), tuple(total.events), total.sights)


def _fresh(seen: bytearray, buckets: tuple[int, ...]) -> int:
    """How many of these nobody has told of before; from now on they are known."""
    fresh = 0
    for bucket in buckets:
        if 0 <= bucket < BUCKETS and not seen[bucket]:
            seen[bucket] = 1
            fresh += 1
    return fresh


def _quantile(window: deque[_Slot]) -> float | None:
    together: Counter[int] = Counter()
    for slot in window:
        together.update(slot.latency)
    return _histogram(together).quantile(0.99)


def _histogram(counts: Mapping[int, int]) -> Histogram:
    found = Histogram()
    for index, count in counts.items():
        if 0 <= index <= len(BOUNDS):
            found.counts[index] = count
    return found


def _packed(seen: bytearray) -> bytes:
    """A bit for each bucket."""
    return int(seen.translate(_DIGITS), 2).to_bytes(BUCKETS // 8, "big")


def _unpacked(packed: bytes) -> bytes:
    return format(int.from_bytes(packed, "big"), f"0{BUCKETS}b").encode().translate(_NUMBERS)[-BUCKETS:]


_DIGITS: Final = bytes.maketrans(b"\0\1", b"01")
_NUMBERS: Final = bytes.maketrans(b"01", b"\0\1")
