"""What guards of flags know: a trial for each question, gathered from what workers tell, judged as rollouts are.

Pure: who asks, tells and acts is in `flag_guards`. A trial is a week of one question; the next week begins another.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from proxy.core.hashing import BUCKETS
from proxy.rollouts.analysis.judge import Judge
from proxy.rollouts.evidence import Epoch, Evidence, Tally
from proxy.rollouts.judging import Harm, Judging
from proxy.rollouts.verdict import NOTHING_YET, Verdict
from proxy.telemetry.evidence import CellSeen

_PARTS: Final = 1_000_000
_MOST_SHARES: Final = 100  # of one trial; a rule has one for each of its `fractional`s, and an override sets another


class Asked(Struct, frozen=True):
    """What a guard asks now. `alpha` is for this variant, over all of its trials."""

    of: str
    reference: str
    alpha: float


class Seen(Struct):
    """What one side did in one epoch."""

    requests: int = 0
    bad: int = 0
    events: int = 0

    def tally(self) -> Tally:
        """As the judge takes it."""
        return Tally(self.requests, self.bad, (), (self.events,))


class Trial:
    """One variant beside the default, a week at most. `number` counts the trials of the same question from 1."""

    def __init__(self, asked: Asked, variant: str, week: int, number: int) -> None:
        self.asked = asked
        self.variant = variant
        self.week = week
        self.number = number
        self.is_new = False
        self.verdict: Verdict = NOTHING_YET
        self._sides: dict[tuple[int, int], tuple[Seen, Seen]] = {}
        self._counted = bytearray(BUCKETS)
        alpha = asked.alpha / (number * (number + 1))  # over all trials there ever are they add up to `alpha`
        self._judge = Judge(Judging(errors=Harm(alpha=alpha)), asked.reference, variant)

    def add(self, cell: CellSeen) -> None:
        """What a worker has told."""
        key = cell.epoch, cell.share or 0
        if not 0 < key[1] < _PARTS or (key not in self._sides and len(self._sides) >= _MOST_SHARES):
            return
        reference, candidate = self._sides.setdefault(key, (Seen(), Seen()))
        side = candidate if cell.pool == self.variant else reference
        side.requests += cell.requests
        side.bad += cell.bad
        for bucket in cell.buckets[0] if cell.buckets else ():
            if 0 <= bucket < BUCKETS and not self._counted[bucket]:
                self._counted[bucket] = 1
                side.events += 1
        self.is_new = True

    def judge(self) -> Verdict:
        """What is known by now."""
        epochs = tuple(
            Epoch(number, day, share / _PARTS, reference.tally(), candidate.tally())
            for number, ((day, share), (reference, candidate)) in enumerate(sorted(self._sides.items(), key=_when))
        )
        self.is_new = False
        self.verdict = self._judge.verdict(Evidence(epochs, sticky=True), epochs[-1].step if epochs else 0)
        return self.verdict


def _when(side: tuple[tuple[int, int], tuple[Seen, Seen]]) -> tuple[int, int]:
    return side[0]


class Trials:
    """All that are under way, by flag and variant."""

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, str], Trial] = {}

    def add(self, cell: CellSeen, asked: Mapping[tuple[str, str], Asked]) -> bool:
        """What a worker has told; was it about what is asked, in the week that is judged?"""
        from proxy.filters.flag_guards import Question  # noqa: PLC0415 - only where there are flags

        question = Question.read(cell.run)
        now = None if question is None else asked.get((question.key, question.variant))
        if question is None or now is None or now.of != question.of:
            return False
        key = question.key, question.variant
        trial = self._under_way.get(key)
        if trial is None or trial.asked != now:
            trial = self._under_way[key] = Trial(now, question.variant, question.week, 1)
        elif question.week > trial.week:
            trial = self._under_way[key] = Trial(now, question.variant, question.week, trial.number + 1)
        if question.week < trial.week:
            return False
        trial.add(cell)
        return True

    def verdict(self, key: str, variant: str) -> Verdict:
        """The last one."""
        trial = self._under_way.get((key, variant))
        return NOTHING_YET if trial is None else trial.verdict

    def harmful(self, asked: Mapping[tuple[str, str], Asked]) -> Iterator[tuple[str, Verdict]]:
        """Judge what is new: the flags that do harm. What nobody asks any more is forgotten."""
        for (key, variant), trial in list(self._under_way.items()):
            if (key, variant) not in asked:
                del self._under_way[key, variant]
            elif trial.is_new:
                verdict = trial.judge()
                if verdict.kind == "harm" and not verdict.only_pauses:
                    yield key, verdict

    def forget(self, key: str) -> None:
        """What was seen of this flag counts no more."""
        for each in [each for each in self._under_way if each[0] == key]:
            del self._under_way[each]
