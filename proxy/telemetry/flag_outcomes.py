"""What came of flags: per flag and variant how often it was told, and how the requests that had it went."""

from typing import Final

from proxy.telemetry.histogram import Histogram
from proxy.telemetry.report import Durations, FlagReport

MOST: Final = 200  # flags that are counted where nobody says which
MOST_VARIANTS: Final = 1_000  # of all flags that there ever were, 4 KiB each; reloads may bring ever new ones


class FlagCounters:
    """One variant of one flag in this worker, since it started.

    `evaluations` are answers to clients that asked for the flag; `requests` goes by class of the status of exchanges
    that were routed, or told their upstream, by it; `duration` is theirs in seconds.
    """

    __slots__ = ("duration", "evaluations", "requests")

    def __init__(self) -> None:
        self.evaluations = 0
        self.requests = [0] * 6
        self.duration = Histogram()


class FlagOutcomes(dict[tuple[str, str], FlagCounters]):
    """All of a worker, by flag and variant ("" for none).

    Bounded by the flags that a configuration observes; beyond MOST_VARIANTS, what was first counted makes room.
    """

    def __missing__(self, key: tuple[str, str]) -> FlagCounters:
        if len(self) >= MOST_VARIANTS:
            del self[next(iter(self))]
        made = self[key] = FlagCounters()
        return made


def report(outcomes: FlagOutcomes) -> tuple[FlagReport, ...]:
    """What was counted so far."""
    return tuple(
        FlagReport(flag, variant, each.evaluations, tuple(each.requests), Durations.of(each.duration))
        for (flag, variant), each in sorted(outcomes.items())
    )
