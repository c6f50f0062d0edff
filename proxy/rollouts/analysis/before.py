"""After 100 %: what the candidate does beside what stable did before, as there is nothing to compare with any more.

Two times are compared, and much may have changed between them but the version: so whatever is found only pauses.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log

from proxy.rollouts.analysis import evalues
from proxy.rollouts.evidence import Epoch, Tally
from proxy.rollouts.judging import Judging


@dataclass(frozen=True, slots=True)
class Worse:
    """One criterion, 0 for errors, by which the candidate is worse than stable was: events and requests of both."""

    criterion: int
    failed: int
    requests: int
    failed_before: int
    requests_before: int


def worse_than_before(epochs: Sequence[Epoch], judging: Judging) -> Worse | None:
    """The criterion that says so most clearly, at `alpha` over all of them; None where none does.

    It goes by events, like every test: where users stick to their pool each counts once in a run, so somebody who
    always fails, and came to the candidate with the rest, is one event and not a rate.
    """
    before = [each.stable for each in epochs if each.share < 1]
    alone = [each.candidate for each in epochs if each.share >= 1]
    requests, mine = (sum(each.requests for each in some) for some in (before, alone))
    if requests < judging.min_requests or mine < judging.min_requests:
        return None
    criteria = 1 + len(judging.slower_than)
    alpha = judging.errors.alpha / (2 * criteria)  # half for the limit of the earlier rate, half for being above it
    found = []
    for criterion in range(criteria):
        failed, failed_before = _events(alone, criterion), _events(before, criterion)
        limit = evalues.upper(failed_before, requests, alpha) * judging.errors.ratio
        odds = evalues.above(failed, mine, limit) if limit < 1 else 0.0
        found.append((odds, Worse(criterion, failed, mine, failed_before, requests)))
    odds, worst = max(found, key=lambda each: each[0])
    return worst if odds >= -log(alpha) else None


def _events(tallies: Iterable[Tally], criterion: int) -> int:
    return sum(each.events[criterion] for each in tallies if criterion < len(each.events))
