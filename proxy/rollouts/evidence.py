"""What a run has seen: the judge's input. Plain values; who counted them, and how, is known elsewhere."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tally:
    """What one pool did with the eligible requests of one epoch.

    `requests` have an outcome, `bad` of them are bad, and `slow` were slower than each of the thresholds (in the order
    of the judge's `slower_than`): every one counts. `events` are what the tests go by: the bad ones, then the slow ones
    of each threshold, where a bucket of users counts at most once per criterion and run; without buckets they equal
    `(bad, *slow)`. `sights` are requests that the split gave to the pool or, with buckets, buckets seen in it for the
    first time in the run.
    """

    requests: int = 0
    bad: int = 0
    slow: tuple[int, ...] = ()
    events: tuple[int, ...] = (0,)
    sights: int = 0


@dataclass(frozen=True, slots=True)
class Epoch:
    """The time between two changes of the split. `share` is the candidate's part of what it and stable get, 0 to 1."""

    number: int
    step: int
    share: float
    stable: Tally
    candidate: Tally


@dataclass(frozen=True, slots=True)
class Recent:
    """One pool in the window of the guards.

    Requests and bad ones, the p99 in seconds if there is any, and how many attempts in a row, up to now, could not
    connect.
    """

    requests: int = 0
    bad: int = 0
    p99: float | None = None
    connect_failures: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a run has seen until now; `sticky` where the split goes by buckets of users."""

    epochs: tuple[Epoch, ...] = ()
    stable: Recent = Recent()
    candidate: Recent = Recent()
    sticky: bool = False
