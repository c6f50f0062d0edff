"""A simulated rollout. Only users, requests and the clock are made up: whatever is counted, told and judged is the code
of the proxy.

A request is counted into the cells of one of two workers (`telemetry.evidence`), whose reports are encoded and decoded
as on their way to the controller, gathered there (`rollouts.gathering`), judged (`rollouts.analysis`), and made a
decision of (`rollouts.run.look`), which sets the split anew (`routing.split`): what the conductor does at each look.
It looks after every bad event, which is oftener than it does ten times a second, and after every 200 requests.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sin
from random import Random
from typing import Final

from msgspec.structs import replace

from proxy.core.hashing import BUCKETS, stable_hash
from proxy.rollouts.analysis import Judge
from proxy.rollouts.evidence import Evidence
from proxy.rollouts.gathering import Gathered
from proxy.rollouts.judging import Judging
from proxy.rollouts.plan import Plan
from proxy.rollouts.run import Sight, look, started
from proxy.rollouts.step import Act, SetSplit, Step
from proxy.rollouts.steps.bake import Bake
from proxy.rollouts.steps.split import Split as SplitStep
from proxy.routing.split import BucketTable, Split
from proxy.telemetry.evidence import Cell, Seeing, Watch, Watched, decode

STABLE, CANDIDATE = "blue", "green"
PACE: Final = 200.0  # requests per second, where the load does not change
LOOK: Final = 200  # requests after which it is looked at without a bad event

Load = Callable[[float], tuple[float, float]]
"""At a time in seconds: how many requests per second, and how many times the error rate of both pools."""


def steady(_now: float) -> tuple[float, float]:
    """Always the same."""
    return PACE, 1.0


def changing(now: float) -> tuple[float, float]:
    """Between 20 and 380 requests a second, fewer and more errors in an hour, and outages that hit both pools."""
    outage = 10.0 if now % 97 < 8 else 1.0
    return PACE * (1 + 0.9 * sin(now / 11)), outage * (1 + 0.8 * sin(now / 40))


def stages(*shares: float, each: float, until_safe: bool = False) -> tuple[Step, ...]:
    """These shares, for so many seconds each; until it is safe, at most, and then given up."""
    bake = Bake(until="safe", at_most=each, otherwise="abort") if until_safe else Bake(time=each)
    return tuple(step for share in shares for step in (SplitStep(share), bake))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a rollout meets. `risk` is how many times as often the candidate fails as stable, which does at `base`.

    With `users` they keep their pool; some ask much more often than others, and `failing` of them always fail, in
    either pool. With `come_and_go` somebody else takes the place of one at each look, and their luck. `thresholds` are
    those of `slower_than`: an error is slow, too, and as many others are.
    """

    steps: tuple[Step, ...]
    risk: float = 1.0
    base: float = 0.01
    users: int = 0
    failing: int = 0
    come_and_go: bool = False
    load: Load = steady
    thresholds: tuple[float, ...] = ()
    most: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of it, after how many requests: harm, safe (it went all the way) or neither; was an alarm raised?"""

    kind: str
    requests: int
    alarmed: bool = False


class Worker:
    """Counts as a worker does."""

    def __init__(self) -> None:
        self.seeing = Seeing()
        self.cells: tuple[Cell, Cell]

    def watch(self, watch: Watch) -> None:
        """The split has changed."""
        run = self.seeing.run(watch.run, 1 + len(watch.slower_than), BUCKETS)
        watched = Watched(watch, lambda pool, share: Cell(self.seeing, run, watch.epoch, pool, share))
        self.cells = watched.cells[STABLE], watched.cells[CANDIDATE]


class Crowd:
    """Users, by bucket, and who of them always fails. A tenth of them makes a third of the requests."""

    def __init__(self, random: Random, scene: Scene) -> None:
        self._random = random
        self._born = 0
        self.buckets = [self.somebody() for _ in range(scene.users)]
        self.ill = bytearray(scene.users)
        for user in random.sample(range(scene.users), scene.failing):
            self.ill[user] = 1

    def somebody(self) -> int:
        """The bucket of a new user."""
        self._born += 1
        return stable_hash(b"%d" % self._random.getrandbits(64), b"split", b"u%d" % self._born) % BUCKETS

    def turn(self) -> None:
        """Somebody has gone, and somebody else comes."""
        self.buckets[self._random.randrange(len(self.buckets))] = self.somebody()


class Rollout:
    """One run, from start to end."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene = scene
        self.random = Random(seed)
        self.chance = self.random.random
        self.rates = scene.base, scene.base * scene.risk
        judging = Judging(slower_than=scene.thresholds, window=5.0)  # nothing is guarded
        self.plan = Plan(name="r", service="s", stable=STABLE, candidate=CANDIDATE, steps=scene.steps, judge=judging)
        self.judge = Judge(judging, *self.plan.sides)
        self.seen = Gathered("r#1", self.plan, is_sticky=bool(scene.users), since=0.0)
        self.workers = Worker(), Worker()
        self.crowd = Crowd(self.random, scene) if scene.users else None
        self.now = self.looked_at = self.checked_at = 0.0
        self.alarmed = False
        self.run = started("r", 1, {STABLE: 100.0, CANDIDATE: 0.0}, 0.0)
        self.table = BucketTable.first({STABLE: 1.0, CANDIDATE: 0.0})
        self._perform(SetSplit(0.0))
        self._look()

    def _perform(self, act: Act) -> None:
        assert isinstance(act, SetSplit)
        shares = {STABLE: 1.0 - act.share, CANDIDATE: act.share}
        self.table = self.table.changed(shares)
        self.split = Split(shares, self.chance)
        self.of_candidate = self.table.slots.translate(bytes(name == CANDIDATE for name in self.table.names).ljust(256))
        self.drawn = [name == CANDIDATE for name in self.split.names]
        epoch, step = self.run.epoch + 1, self.run.step
        watch = self.seen.watch(epoch=epoch, step=step, share=act.share, since=self.now)
        for worker in self.workers:
            worker.watch(watch)
        self.run = replace(self.run, share=act.share, epoch=epoch, stage=step)

    def _hear(self) -> None:
        for number, worker in enumerate(self.workers):
            if worker.seeing.has_news:
                for cell in decode(worker.seeing.tell()):
                    self.seen.add(number, cell, self.now)

    def _look(self) -> None:
        """As the conductor does."""
        self._hear()
        passed, self.looked_at = self.now - self.looked_at, self.now
        for _ in range(10):
            was = self.run
            evidence = self.seen.evidence(self.now)
            self._check(evidence)
            verdict = self.judge.verdict(evidence, was.stage)
            requests = sum(epoch.candidate.requests for epoch in evidence.epochs)
            self.run, acts = look(was, self.plan, Sight(passed, self.now, verdict, requests))
            passed = 0.0
            for act in acts:
                self._perform(act)
            if not acts and (was.step, was.phase) == (self.run.step, self.run.phase):
                break

    def _check(self, evidence: Evidence) -> None:
        """Once a second."""
        if self.now >= self.checked_at + 1.0:
            self.checked_at = self.now
            self.alarmed = self.alarmed or self.judge.alarm(evidence) is not None

    def play(self) -> Ended:
        """Requests until it is over."""
        scene, number = self.scene, 0
        request = self._drawn if self.crowd is None else self._of_user
        while self.run.state == "running" and number < scene.most:
            pace, times = scene.load(self.now)
            self.rates = scene.base * times, scene.base * times * scene.risk
            due = number + LOOK
            while number < due:
                number += 1
                self.now += 1 / pace
                if request(number):
                    self._look()
                    break
            else:
                self._look()
            if self.crowd is not None and scene.come_and_go:
                self.crowd.turn()
        kind = "harm" if self.run.harmed else "safe" if self.run.state == "succeeded" else "neither"
        return Ended(kind, number, self.alarmed)

    def _drawn(self, number: int) -> bool:
        """A request of anybody's; is it an event?"""
        is_candidate = self.drawn[self.split.draw()]
        cell = self.workers[number & 1].cells[is_candidate]
        cell.sight(None)
        is_bad = self.chance() < self.rates[is_candidate]
        if self.scene.thresholds:
            self._slow(cell, is_bad=is_bad)
        cell.outcome(None, is_bad=is_bad)
        return is_bad

    def _of_user(self, number: int) -> bool:
        """A request of somebody who keeps their pool; is it an event that this worker had not told of?"""
        crowd = self.crowd
        assert crowd is not None
        user = int(len(crowd.buckets) * self.chance() ** 2)
        bucket = crowd.buckets[user]
        is_candidate = self.of_candidate[bucket]
        cell = self.workers[number & 1].cells[is_candidate]
        cell.sight(bucket)
        is_bad = self.chance() < self.rates[is_candidate] or bool(crowd.ill[user])
        cell.outcome(bucket, is_bad=is_bad)
        return is_bad and bool(cell.buckets[0])

    def _slow(self, cell: Cell, *, is_bad: bool) -> None:
        for threshold in range(len(self.scene.thresholds)):
            if is_bad or self.chance() < self.scene.base:
                cell.late(threshold, None)


def rollout(seed: int, scene: Scene) -> Ended:
    """One rollout of its own seed."""
    return Rollout(scene, seed).play()
