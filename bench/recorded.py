"""What a load recorded, and the rules that it has to keep: pure, so that a run can be judged when it is over."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

ROOM = 5.0
"""Standard deviations that a share may be off: once in some million windows by chance."""


class Record(NamedTuple):
    """One request; times in seconds of the machine's monotonic clock."""

    kind: str
    session: str
    began: float
    ended: float
    status: int
    colour: str
    endpoint: str
    mark: str
    is_whole: bool

    @property
    def is_bad_release(self) -> bool:
        """An error that the canary itself answered, which no proxy can know before."""
        return self.kind == "release" and self.status == 500 and self.colour == "canary"

    @property
    def failed(self) -> bool:
        return (self.status != 200 or not self.is_whole) and not self.is_bad_release


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests of `kind` ("" for all) that began and ended in the window have one of `allowed` in their `field`."""

    why: str
    kind: str
    since: float
    until: float
    field: str
    allowed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Share:
    """How the colours of a window's requests are spread."""

    kind: str
    since: float
    until: float
    shares: Mapping[str, float]


class Records:
    """All of a run, by kind and in the order in which they began."""

    def __init__(self, found: Iterable[Record]) -> None:
        self.all = sorted(found, key=lambda each: each.began)
        self._kinds: dict[str, list[Record]] = {"": self.all}
        for each in self.all:
            self._kinds.setdefault(each.kind, []).append(each)

    def window(self, kind: str, since: float, until: float) -> list[Record]:
        """Those that began and ended in it and did not fail."""
        some = self._kinds.get(kind, [])
        first = bisect_left(some, since, key=lambda each: each.began)
        last = bisect_left(some, until, key=lambda each: each.began)
        return [each for each in some[first:last] if each.ended <= until and not each.failed]

    @property
    def rate(self) -> float:
        """Requests per second, from the first to the last."""
        took = max(each.ended for each in self.all) - self.all[0].began if self.all else 0.0
        return len(self.all) / took if took else 0.0

    def milliseconds(self) -> str:
        """Median and 99 % of what does not wait on purpose."""
        took = [(each.ended - each.began) * 1000 for each in self._kinds.get("member", [])]
        if len(took) < 2:
            return "too few to tell"
        cuts = quantiles(took, n=100)
        return f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms"


def read(path: Path) -> Records:
    """What `bench/locustfile.py` wrote; a line that was cut off raises ValueError."""
    found = []
    for line in path.read_text().splitlines():
        kind, session, began, ended, status, colour, endpoint, mark, is_whole = line.split("\t")
        times = float(began), float(ended)
        found.append(Record(kind, session, *times, int(status), colour, endpoint, mark, is_whole == "1"))
    return Records(found)


def failures(records: Records) -> list[str]:
    """Every kind of failed request, with how many there were."""
    found = Counter((each.kind, each.status, each.colour) for each in records.all if each.failed)
    return [f"{count} of {kind} failed: status {status}, {colour}" for (kind, status, colour), count in found.items()]


def broken(records: Records, rules: Iterable[Rule]) -> tuple[int, list[str]]:
    """How many requests were looked at, and a line for each rule that some broke."""
    looked, lines = 0, []
    for rule in rules:
        some = records.window(rule.kind, rule.since, rule.until)
        looked += len(some)
        wrong = Counter(getattr(each, rule.field) for each in some if getattr(each, rule.field) not in rule.allowed)
        if wrong:
            lines.append(f"{rule.why}: {dict(wrong)} of {len(some)} instead of {'/'.join(sorted(rule.allowed))}")
    return looked, lines


def fickle(records: Records) -> tuple[int, list[str]]:
    """How many sessions there were, and a line for each that saw more than one colour."""
    seen: dict[str, set[str]] = defaultdict(set)
    for each in records.all:
        if each.kind in {"entry", "member"} and not each.failed:
            seen[each.session].add(each.colour)
    return len(seen), [f"session {name} saw {sorted(some)}" for name, some in seen.items() if len(some) > 1]


def uneven(records: Records, shares: Iterable[Share]) -> tuple[int, list[str]]:
    """How many requests were counted, and a line for each window whose colours are not spread as they should be."""
    counted, lines = 0, []
    for each in shares:
        found = Counter(record.colour for record in records.window(each.kind, each.since, each.until))
        total, whole = found.total(), sum(each.shares.values())
        counted += total
        for colour, share in each.shares.items():
            part = share / whole
            room = ROOM * sqrt(total * part * (1 - part)) + 1
            if abs(found[colour] - total * part) > room:
                lines.append(f"{each.kind}: {found[colour]} of {total} to {colour}, which has {part:.0%}")
    return counted, lines
