"""E-processes: numbers that stay small while a hypothesis holds, however often and whenever somebody looks.

Ville's inequality: a non-negative supermartingale that begins at 1 ever reaches 1/a with a probability of at most a.
So a test by one of these is valid at every moment. All values are natural logarithms.
"""

from collections.abc import Iterable
from functools import lru_cache
from math import exp, inf, lgamma, log, log1p
from typing import Final

RISKS: Final = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""Relative risks, over the one that is tolerated, that harm may show as; each as likely as the others."""

_PARTS: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)  # of the rate that is to be excluded
_PRIOR: Final = 100.0  # how many draws' worth the prior of the share check knows


def mean(logs: Iterable[float]) -> float:
    """The logarithm of the mean: a mean of e-values is an e-value."""
    values = list(logs)
    highest = max(values)
    if highest in (inf, -inf):
        return highest
    return highest + log(sum(exp(value - highest) for value in values) / len(values))


def weighted(parts: Iterable[tuple[float, float]]) -> float:
    """The logarithm of a weighted sum of (weight, log e-value), where the weights add up to at most 1."""
    values = [(log(weight) + value) for weight, value in parts if weight > 0]
    highest = max(values)
    if highest in (inf, -inf):
        return highest
    return highest + log(sum(exp(value - highest) for value in values))


def candidates_part(share: float, ratio: float) -> float:
    """How likely an event is the candidate's that has this share of the requests and fails `ratio` times as often."""
    return share * ratio / (share * ratio + 1 - share)


def conditional(share: float, candidate: int, stable: int, ratio: float, against: float) -> float:
    """Whose the events of one epoch are, if the relative risk is `ratio` rather than `against`.

    The likelihood ratio of the events' origin, given that they happened: what both fail by together cancels (Lindon
    and Malek, "Anytime-Valid Inference for Multinomial Count Data", 2022).
    """
    if not 0 < share < 1 or not (candidate or stable):
        return 0.0  # where one of the two gets nothing, an event's origin says nothing
    mine, theirs = _weights(share, ratio, against)
    return candidate * mine + stable * theirs


@lru_cache(4096)  # the same shares and risks again and again: a quarter less for a verdict
def _weights(share: float, ratio: float, against: float) -> tuple[float, float]:
    """What an event of the candidate, and one of stable, add to the logarithm."""
    one, other = candidates_part(share, ratio), candidates_part(share, against)
    return log(one / other), log((1 - one) / (1 - other))


def harm(events: Iterable[tuple[float, int, int]], tolerated: float) -> float:
    """Against "the candidate fails at most `tolerated` times as often": of (share, candidate's, stable's) by epoch.

    Valid for every smaller risk too: each factor's mean is at most 1 for them.
    """
    return mean(by_risk(events, tolerated))


def by_risk(events: Iterable[tuple[float, int, int]], tolerated: float) -> list[float]:
    """What `harm` is the mean of: for each of RISKS its own, to which later events can be added."""
    epochs = list(events)
    return [
        sum(conditional(share, mine, theirs, tolerated * risk, tolerated) for share, mine, theirs in epochs)
        for risk in RISKS
    ]


def safe(events: Iterable[tuple[float, int, int]], excluded: float) -> float:
    """Against "the candidate fails at least `excluded` times as often": the very likelihood of failing equally."""
    return sum(conditional(share, mine, theirs, 1.0, excluded) for share, mine, theirs in events)


def below(bad: int, requests: int, rate: float) -> float:
    """Against "at least this rate of requests is bad", for a rate between 0 and 1: smaller ones, mixed."""
    return mean(_bernoulli(bad, requests, rate * part, rate) for part in _PARTS)


def above(bad: int, requests: int, rate: float) -> float:
    """Against "at most this rate of requests is bad": larger ones, mixed."""
    return mean(_bernoulli(bad, requests, min(rate * risk, (1 + rate) / 2), rate) for risk in RISKS)


@lru_cache(64)  # of what was before, which stays as it is, at every look
def upper(bad: int, requests: int, alpha: float) -> float:
    """The upper limit of a confidence sequence for a rate: every higher one is excluded at 1/alpha."""
    if not requests:
        return 1.0
    low, high = bad / requests, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if 0 < middle < 1 and below(bad, requests, middle) >= -log(alpha):
            high = middle
        else:
            low = middle
    return high


def uneven(share: float, candidate: float, stable: float, prior: float = _PRIOR) -> float:
    """Against "each request is the candidate's with a probability of exactly `share`": a beta mixture around it.

    `prior` is how many draws' worth it knows. It is the Dirichlet mixture of Lindon and Malek (2022) for two, and the
    beta-binomial one of Howard et al. ("Time-uniform, nonparametric, nonasymptotic confidence sequences", 2021).
    """
    if not 0 < share < 1:
        return 0.0
    a, b = prior * share, prior * (1 - share)
    seen = _beta(a + candidate, b + stable) - _beta(a, b)
    return seen - candidate * log(share) - stable * log1p(-share)


def _bernoulli(bad: int, requests: int, rate: float, against: float) -> float:
    good = (requests - bad) * (log1p(-rate) - log1p(-against))
    if not bad:
        return good
    return -inf if rate == 0 else bad * log(rate / against) + good


def _beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
