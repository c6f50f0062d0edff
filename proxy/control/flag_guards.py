"""Guards of flags: what workers have seen of each variant that chance gave, judged once a second at most.

Harm kills the flag by the one road for changes. What was seen lives as long as this controller: the next one begins
anew.
"""

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

from proxy.control.control import Control, Who
from proxy.control.flag_trials import Asked, Trials
from proxy.control.flag_views import GuardView
from proxy.control.refusal import Refusal
from proxy.flags.spec import FlagOverride
from proxy.rollouts.verdict import Verdict
from proxy.telemetry.evidence import CellSeen

if TYPE_CHECKING:
    from proxy.filters.flagging import FlagBoard

log = logging.getLogger("sluice")

PACE: Final = 1.0  # seconds between two judgements


class FlagGuards:
    """All guards. `kills` counts flags that were killed by theirs, since this controller began."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._news = asyncio.Event()
        self._board: FlagBoard | None = None
        self._questions: dict[tuple[str, str], Asked] = {}
        self._trials = Trials()
        self.kills: Counter[str] = Counter()

    def views(self, key: str) -> tuple[GuardView, ...]:
        """What is known of a flag's variants."""
        verdicts = [(variant, self._trials.verdict(key, variant)) for flag, variant in self._asked() if flag == key]
        return tuple(GuardView(variant, verdict.kind, verdict.sentence) for variant, verdict in verdicts)

    def seen(self, cells: list[CellSeen]) -> None:
        """A worker has seen something; what is of rollouts, or of what nobody asks any more, is not ours."""
        for cell in cells:
            if cell.run.startswith("flag\0") and self._trials.add(cell, self._asked()):
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
            for key, verdict in dict(self._trials.harmful(self._asked())).items():
                await self._kill(key, verdict)
            await asyncio.sleep(PACE)

    async def _kill(self, key: str, verdict: Verdict) -> None:
        who = Who(f"guard {key}", verdict.sentence)
        try:
            await self._control.override_flag(key, FlagOverride(killed=True), who, "flag_killed")
        except Refusal as refusal:
            log.warning("guard %s: the flag does harm and could not be killed: %s", key, refusal.detail)
            return
        self.kills[key] += 1
        log.warning("guard %s: killed: %s", key, verdict.sentence)
        self._trials.forget(key)  # once somebody has cleared it, it is judged anew
