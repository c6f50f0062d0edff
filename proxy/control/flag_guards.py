"""Guards of flags: what workers have seen of each variant that chance gave, judged once a second at most.

Harm kills the flag by the one road for changes. What was seen lives as long as this controller: the next one begins
anew.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.control.control import Control, Who
from proxy.control.flag_views import GuardView
from proxy.control.refusal import Refusal
from proxy.core.hashing import BUCKETS
from proxy.flags.spec import FlagOverride
from proxy.rollouts.analysis.judge import Judge
from proxy.rollouts.evidence import Epoch, Evidence, Tally
from proxy.rollouts.judging import Harm, Judging
from proxy.rollouts.verdict import NOTHING_YET, Verdict
from proxy.telemetry.evidence import CellSeen

if TYPE_CHECKING:
    from proxy.filters.flagging import FlagBoard

log = logging.getLogger("sluice")

PACE: Final = 1.0  # seconds between two judgements
_PARTS: Final = 1_000_000
_MOST_SHARES: Final = 100  # of one run; a rule has one for each of its `fractional`s, and an override sets another


class Asked(Struct, frozen=True):
    """What a guard asks now. `alpha` is for this variant, over all of its runs."""

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


class Watched:
    """A run: one variant beside the default, a week at most. `number` counts the runs of the same question from 1."""

    def __init__(self, asked: Asked, variant: str, week: int, number: int) -> None:
        self.asked = asked
        self.variant = variant
        self.week = week
        self.number = number
        self.is_new = False
        self.verdict: Verdict = NOTHING_YET
        self._sides: dict[tuple[int, int], tuple[Seen, Seen]] = {}
        self._counted = bytearray(BUCKETS)
        alpha = asked.alpha / (number * (number + 1))  # over all runs there ever are they add up to `alpha`
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


class FlagGuards:
    """All guards. `kills` counts flags that were killed by theirs, since this controller began."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._news = asyncio.Event()
        self._board: FlagBoard | None = None
        self._questions: dict[tuple[str, str], Asked] = {}
        self.watched: dict[tuple[str, str], Watched] = {}
        self.kills: Counter[str] = Counter()

    def views(self, key: str) -> tuple[GuardView, ...]:
        """What is known of a flag's variants."""
        found = []
        for flag, variant in self._asked():
            run = self.watched.get((flag, variant))
            if flag == key:
                verdict = NOTHING_YET if run is None else run.verdict
                found.append(GuardView(variant, verdict.kind, verdict.sentence))
        return tuple(found)

    def seen(self, cells: list[CellSeen]) -> None:
        """A worker has seen something; what is of rollouts, or of what nobody asks any more, is not ours."""
        for cell in cells:
            if cell.run.startswith("flag\0"):
                self._add(cell)

    def _add(self, cell: CellSeen) -> None:
        from proxy.filters.flag_guards import Question  # noqa: PLC0415 - only where there are flags

        question = Question.read(cell.run)
        asked = None if question is None else self._asked().get((question.key, question.variant))
        if question is None or asked is None or asked.of != question.of:
            return
        key = question.key, question.variant
        run = self.watched.get(key)
        if run is None or run.asked != asked:
            run = self.watched[key] = Watched(asked, question.variant, question.week, 1)
        elif question.week > run.week:
            run = self.watched[key] = Watched(asked, question.variant, question.week, run.number + 1)
        if question.week == run.week:
            run.add(cell)
            self._news.set()

    def _asked(self) -> dict[tuple[str, str], Asked]:
        """What guards ask of flags that are on."""
        flags = self._control.document.flags
        board = self._control.flag_board.board(self._control.document)
        if flags is None or board is None or not flags.settings.guards:
            return {}
        if board is self._board:
            return self._questions
        from proxy.filters.flag_guards import reference, version  # noqa: PLC0415

        found = {}
        for key, guard in flags.settings.guards.items():
            flag = board.flags.flags.get(key)
            compared = None if flag is None else reference(flag)
            if flag is not None and compared is not None and flag.enabled:
                others = [name for name in flag.variants if name != compared]
                for name in others:
                    of = version(board.defined, key, guard)
                    found[key, name] = Asked(of, compared, guard.errors.alpha / len(others))
        self._board, self._questions = board, found
        return found

    async def guard(self) -> None:
        """Judge what is new, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            for key, verdict in list(self._harmed()):
                await self._kill(key, verdict)
            await asyncio.sleep(PACE)

    def _harmed(self) -> Iterator[tuple[str, Verdict]]:
        asked = self._asked()
        for (key, variant), run in list(self.watched.items()):
            if (key, variant) not in asked:
                del self.watched[key, variant]
            elif run.is_new:
                verdict = run.judge()
                if verdict.kind == "harm" and not verdict.only_pauses:
                    yield key, verdict

    async def _kill(self, key: str, verdict: Verdict) -> None:
        who = Who(f"guard {key}", verdict.sentence)
        try:
            await self._control.override_flag(key, FlagOverride(killed=True), who, "flag_killed")
        except Refusal as refusal:
            log.warning("guard %s: the flag does harm and could not be killed: %s", key, refusal.detail)
            return
        self.kills[key] += 1
        log.warning("guard %s: killed: %s", key, verdict.sentence)
        for each in [each for each in self.watched if each[0] == key]:
            del self.watched[each]  # once somebody has cleared it, it is judged anew
