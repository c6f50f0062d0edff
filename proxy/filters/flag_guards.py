"""The guard of a flag in a worker: what became of requests whom chance gave the default, and of the others.

Each other variant is compared with the default by itself. Evidence is told like that of rollouts, as the difference to
what was told before; the controller judges it (proxy/control/flag_guards.py).
"""

from collections.abc import Mapping
from hashlib import sha1
from typing import Any, Final

import msgspec
from msgspec import Struct

from proxy.core.hashing import BUCKETS
from proxy.flags.definitions import FlagSet
from proxy.flags.draws import Drawer
from proxy.flags.evaluation import Flag
from proxy.flags.spec import FlagGuard, FlagSettings
from proxy.telemetry.evidence import Cell, RunSeen, Seeing

DAY: Final = 86_400
WEEK: Final = 7
"""Days of a run; the next one counts every user's first failure again."""
PARTS: Final = 1_000_000
"""What shares are told in."""
_MARK: Final = "flag"


class Question(Struct, frozen=True):
    """What a guard asks: does `variant` of the flag fail more often than `reference`? `of` changes with the flag."""

    key: str
    variant: str
    of: str
    week: int

    def name(self) -> str:
        """As it travels, as the name of a run."""
        return "\0".join((_MARK, self.key, self.variant, self.of, str(self.week)))

    @classmethod
    def read(cls, name: str) -> "Question | None":
        """From that; None for the run of a rollout."""
        parts = name.split("\0")
        if len(parts) != 5 or parts[0] != _MARK:
            return None
        return cls(parts[1], parts[2], parts[3], int(parts[4]))


def reference(flag: Flag) -> str | None:
    """The variant that others are compared with: the default, or `off`."""
    return flag.default or ("off" if "off" in flag.variants else None)


def version(defined: FlagSet, key: str, guard: FlagGuard) -> str:
    """What changes with a flag's definition and its guard, and not with overrides."""
    flag = defined.flags[key]
    known = [flag.variants, flag.default, flag.targeting, dict(defined.shared), guard]
    return sha1(msgspec.json.encode(known), usedforsecurity=False).hexdigest()


class Guarding:
    """One guarded flag in a worker. ValueError where nothing of it can be compared."""

    def __init__(self, drawer: Drawer, compared: str, guard: FlagGuard, of: str, seeing: Seeing) -> None:
        self._drawer = drawer
        self._compared = compared
        self._of = of
        self._seeing = seeing
        statuses = guard.errors.statuses
        self.is_bad = bytes(
            status == 0 or any(first <= status <= last for first, last in statuses) for status in range(1000)
        )
        self._day = 0
        self._runs: dict[str, RunSeen] = {}
        self._cells: dict[tuple[str, str, int], Cell] = {}

    def count(self, context: Mapping[str, Any], now: float, status: int) -> None:
        """A request has ended; `status` is what its first attempt came to, 0 where that had no response."""
        draw = self._drawer.draw(context, now)
        if draw is None:
            return
        day = int(now // DAY)
        if day != self._day:
            self._begin(day)
        against = draw.weights.get(self._compared, 0)
        for other in draw.weights if draw.variant == self._compared else (draw.variant,):
            weight = draw.weights[other]
            if other != self._compared and weight and against:
                share = min(max(round(PARTS * weight / (weight + against)), 1), PARTS - 1)
                self._cell(other, draw.variant, share).outcome(draw.unit % BUCKETS, is_bad=bool(self.is_bad[status]))

    def _begin(self, day: int) -> None:
        if day // WEEK != self._day // WEEK:
            self._runs.clear()
        self._day = day
        self._cells.clear()

    def _cell(self, other: str, variant: str, share: int) -> Cell:
        found = self._cells.get((other, variant, share))
        if found is None:
            run = self._runs.get(other)
            if run is None:
                name = Question(self._drawer.flag.key, other, self._of, self._day // WEEK).name()
                run = self._runs[other] = self._seeing.run(name, 1, BUCKETS)
            found = self._cells[other, variant, share] = Cell(self._seeing, run, self._day, variant, share)
        return found


def guardings(made: FlagSet, defined: FlagSet, settings: FlagSettings, seeing: Seeing) -> dict[str, Guarding]:
    """Every guard whose flag is on and drawn by chance."""
    found = {}
    for key, guard in settings.guards.items():
        flag = made.flags.get(key)
        compared = None if flag is None else reference(flag)
        if flag is None or compared is None or not flag.enabled or flag.rule is None or flag.problem:
            continue
        try:
            drawer = Drawer.of(flag, made.generation, made.shared)
        except ValueError:
            continue  # shown as "nothing was seen yet"
        found[key] = Guarding(drawer, compared, guard, version(defined, key, guard), seeing)
    return found
