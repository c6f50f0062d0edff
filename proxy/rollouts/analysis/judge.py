"""From evidence to a verdict. Pure: the same evidence gives the same verdict."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Final

from proxy.core.units import format_duration
from proxy.rollouts.analysis import evalues
from proxy.rollouts.analysis.before import worse_than_before
from proxy.rollouts.evidence import Epoch, Evidence
from proxy.rollouts.judging import Judging
from proxy.rollouts.verdict import Verdict

Events = list[tuple[float, int, int]]

_UNEVEN: Final = 0.001  # how often the share check may alarm wrongly, over a run
_FEWEST_BUCKETS: Final = 200
_MOST_FAILED: Final = 0.1  # of the users, up to which their first events still tell who fails more often
_MOST: Final = 700.0  # e^700 is about the largest float


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges a run by its options; `stable` and `candidate` are what its sentences call the two."""

    judging: Judging
    stable: str = "stable"
    candidate: str = "candidate"

    def verdict(self, evidence: Evidence, stage: int) -> Verdict:
        """What is known by now. `stage` is the step that set the split in force: safe begins anew with it."""
        soundness = min(self._soundness(evidence, stage))
        numbers = self._numbers(evidence, soundness)
        guard = self._guard(evidence)
        if guard is not None:
            return Verdict("harm", guard[0], numbers, at_once=guard[1])
        if numbers["harm"] >= 1 / self.judging.errors.alpha:
            return Verdict("harm", self._harmful(evidence, numbers["harm"]), numbers)
        worse = self._worse_than_before(evidence)
        if worse is not None:
            return Verdict("harm", worse, numbers, only_pauses=True)
        is_compared = evidence.epochs and 0 < evidence.epochs[-1].share < 1
        if is_compared and soundness >= log(2 / self.judging.safe.beta) and self._is_enough(evidence, stage):
            return Verdict("safe", self._sound(evidence), numbers)
        return Verdict("not_yet", self._rates(evidence), numbers)

    def alarm(self, evidence: Evidence) -> str | None:
        """A sentence where traffic is not divided as it is configured."""
        sights = [(each.share, each.candidate.sights, each.stable.sights) for each in evidence.epochs]
        if evidence.sticky and sum(mine + theirs for _, mine, theirs in sights) < _FEWEST_BUCKETS:
            return None
        odds = sum(evalues.uneven(*each) for each in sights)
        if odds < -log(_UNEVEN):
            return None
        share, mine, theirs = max(sights, key=lambda each: evalues.uneven(*each))
        what = "users" if evidence.sticky else "requests"
        return (
            f"{self.candidate} was to get {share:.4g} of the {what} and got {mine / (mine + theirs):.4g} of "
            f"{mine + theirs:,}; by chance less often than 1 in {_odds(odds)}"
        )

    # -- harm

    def _numbers(self, evidence: Evidence, soundness: float) -> dict[str, float]:
        candidate, stable = _requests(evidence.epochs)
        return {
            "harm": _plain(self._harm(evidence)),
            "safe": _plain(soundness),
            "candidate_requests": float(candidate),
            "candidate_bad": float(sum(each.candidate.bad for each in evidence.epochs)),
            "stable_requests": float(stable),
            "stable_bad": float(sum(each.stable.bad for each in evidence.epochs)),
        }

    def _criteria(self) -> range:
        return range(1 + len(self.judging.slower_than))

    def _harm(self, evidence: Evidence) -> float:
        """One e-process: half of it counts from the beginning, the other half begins anew with each stage.

        So a long healthy stretch does not make it slow to see what breaks late.
        """
        return evalues.mean(self._harm_by(evidence.epochs, criterion) for criterion in self._criteria())

    def _harm_by(self, epochs: Sequence[Epoch], criterion: int) -> float:
        stages = sorted({each.step for each in epochs})
        tolerated = self.judging.errors.ratio
        logs = [0.0] * len(evalues.RISKS)
        since: list[float] = []  # by stage, from the last to the first: each epoch is looked at once
        for stage in reversed(stages):
            mine = evalues.by_risk(_events((each for each in epochs if each.step == stage), criterion), tolerated)
            logs = [before + more for before, more in zip(logs, mine, strict=True)]
            since.append(evalues.mean(logs))
        parts = [(0.5, evalues.mean(logs))]
        parts += [(0.5 / (number * (number + 1)), odds) for number, odds in enumerate(reversed(since), 1)]
        parts.append((0.5 / (len(stages) + 1), 0.0))  # what is yet to begin
        return evalues.weighted(parts)

    def _worse_than_before(self, evidence: Evidence) -> str | None:
        """With all of the traffic there is nothing to compare with but what stable was like before."""
        worse = worse_than_before(evidence.epochs, self.judging)
        if worse is None:
            return None
        what, was = "fails", "failed"
        if worse.criterion:
            what = f"is slower than {format_duration(self.judging.slower_than[worse.criterion - 1])} for"
            was = "was for"
        once = ", each user counted once" if evidence.sticky else ""
        return (
            f"{self.candidate} {what} {_share(worse.failed, worse.requests)} of {worse.requests:,} since it has all of "
            f"the traffic, {self.stable} {was} {_share(worse.failed_before, worse.requests_before)} of "
            f"{worse.requests_before:,} before{once}; that is no comparison at the same time"
        )

    def _guard(self, evidence: Evidence) -> tuple[str, bool] | None:
        """A limit of its own that the candidate breaks, and whether that cannot wait."""
        judging, recent = self.judging, evidence.candidate
        if recent.connect_failures >= judging.connect_failures:
            return f"{self.candidate} could not be connected to {recent.connect_failures} times in a row", True
        if recent.requests < judging.min_requests:
            return None
        window = format_duration(judging.window)
        if judging.error_rate is not None and recent.bad / recent.requests > judging.error_rate:
            rate = _share(recent.bad, recent.requests)
            limit = f"more than {judging.error_rate * 100:g}%"
            return f"{self.candidate} fails {rate} of {recent.requests:,} in {window}, {limit}", False
        if judging.p99 is not None and recent.p99 is not None and recent.p99 > judging.p99:
            limit = format_duration(judging.p99)
            return f"the p99 of {self.candidate} is {recent.p99 * 1000:.0f} ms in {window}, more than {limit}", False
        return None

    # -- safe

    def _soundness(self, evidence: Evidence, stage: int) -> list[float]:
        """For every criterion the logarithm of the better of two e-values against "it is not safe".

        Each is tested at the full level, as all must agree.
        """
        epochs = [each for each in evidence.epochs if each.step >= stage]
        requests = sum(each.candidate.requests for each in epochs)
        settings = self.judging.safe
        found = []
        for criterion in self._criteria():
            odds = evalues.safe(_events(epochs, criterion), settings.ratio)
            if evidence.sticky and _used_up(evidence.epochs, criterion) > _MOST_FAILED:
                odds = 0.0  # in the end every user has had an event in either pool, however much more often in one
            if requests >= self.judging.min_requests and 0 < settings.or_below < 1:
                bad = sum(_raw(each, criterion) for each in epochs)
                odds = max(odds, evalues.below(bad, requests, settings.or_below))
            found.append(odds)
        return found

    def _is_enough(self, evidence: Evidence, stage: int) -> bool:
        requests = sum(each.candidate.requests for each in evidence.epochs if each.step >= stage)
        return requests >= self.judging.min_requests

    # -- sentences

    def _rates(self, evidence: Evidence) -> str:
        candidate, stable = _requests(evidence.epochs)
        if not candidate + stable:
            return "nothing was seen yet"
        mine = sum(each.candidate.bad for each in evidence.epochs)
        theirs = sum(each.stable.bad for each in evidence.epochs)
        return (
            f"{self.candidate} fails {_share(mine, candidate)} of {candidate:,}, "
            f"{self.stable} {_share(theirs, stable)} of {stable:,}"
        )

    def _harmful(self, evidence: Evidence, odds: float) -> str:
        worst = max(self._criteria(), key=lambda each: self._harm_by(evidence.epochs, each))
        chance = f"by chance at any time so far less often than 1 in {_odds(log(odds))}"
        if worst == 0:
            return f"{self._rates(evidence)}; {chance}"
        limit = format_duration(self.judging.slower_than[worst - 1])
        candidate, stable = _requests(evidence.epochs)
        mine = sum(each.candidate.slow[worst - 1] for each in evidence.epochs)
        theirs = sum(each.stable.slow[worst - 1] for each in evidence.epochs)
        return (
            f"{self.candidate} is slower than {limit} for {_share(mine, candidate)} of {candidate:,}, "
            f"{self.stable} for {_share(theirs, stable)} of {stable:,}; {chance}"
        )

    def _sound(self, evidence: Evidence) -> str:
        settings = self.judging.safe
        return (
            f"{self._rates(evidence)}; {settings.ratio:g} times as often, and {settings.or_below:.4g} or more, "
            f"are ruled out at {settings.beta:g}"
        )


def _events(epochs: Iterable[Epoch], criterion: int) -> Events:
    return [(each.share, _of(each.candidate.events, criterion), _of(each.stable.events, criterion)) for each in epochs]


def _of(counts: tuple[int, ...], criterion: int) -> int:
    return counts[criterion] if criterion < len(counts) else 0


def _used_up(epochs: Iterable[Epoch], criterion: int) -> float:
    """The part of the users seen that have had their one event of this criterion."""
    events, users = 0, 0
    for tally in (tally for each in epochs for tally in (each.stable, each.candidate)):
        events += _of(tally.events, criterion)
        users += tally.sights
    return events / max(users, 1)


def _raw(epoch: Epoch, criterion: int) -> int:
    tally = epoch.candidate
    return tally.bad if criterion == 0 else _of(tally.slow, criterion - 1)


def _requests(epochs: Iterable[Epoch]) -> tuple[int, int]:
    found = list(epochs)
    return sum(each.candidate.requests for each in found), sum(each.stable.requests for each in found)


def _plain(odds: float) -> float:
    return exp(max(-_MOST, min(odds, _MOST)))


def _odds(odds: float) -> str:
    """e to this, for people."""
    return f"{exp(odds):,.0f}" if odds < log(1e9) else f"10^{odds / log(10):.0f}"


def _share(part: int, whole: int) -> str:
    if not whole:
        return "none"
    per_cent = 100 * part / whole
    return f"{per_cent:.1f} %" if part == 0 or per_cent >= 0.1 else f"{per_cent:.2g} %"
