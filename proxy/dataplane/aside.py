"""What only some exchanges have: those that a filter holds back, limits, copies, or wants to see the end of."""

import logging
from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.dataplane.copies import Copy
    from proxy.dataplane.exchange import Exchange
    from proxy.dataplane.gathering import Gathering
    from proxy.dataplane.held_response import Late
    from proxy.dataplane.sighting import Sighting
    from proxy.dataplane.waiting import Waiting
    from proxy.filters.effects import Run
    from proxy.http1.facts import Facts
    from proxy.telemetry.record import Record

log = logging.getLogger("sluice")


class Aside:
    """Beside an exchange, from when the first filter asks for it.

    `waiting` is what it waits for. `most` is how many bytes its body may have, `gathering` its body that an action
    wants whole. `chosen` are called when its pool is known, `endings` when it has ended; `copies` are its shadows,
    `notes` what filters keep. `late` is what came of a response whose head a filter holds back, `sighting` what a
    rollout sees of it, if `is_counted`. `lasts`: its connection goes on as a stream, whose end is what is logged.
    """

    __slots__ = (
        "chosen", "copies", "endings", "gathering", "is_counted", "lasts", "late", "most", "notes", "sighting",
        "waiting",
    )  # fmt: skip

    def __init__(self) -> None:
        self.waiting: Waiting | None = None
        self.gathering: Gathering | None = None
        self.most = inf
        self.chosen: tuple[Callable[[Facts], None], ...] = ()
        self.late: Late | None = None
        self.endings: list[Callable[[Exchange, Callable[[], Record]], Run | None]] = []
        self.copies: tuple[Copy, ...] = ()
        self.notes: dict[object, Any] = {}
        self.sighting: Sighting | None = None
        self.is_counted = True
        self.lasts = False

    def leave(self) -> None:
        """Wait for nothing any more."""
        self.late = self.gathering = None
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            waiting.leave()

    def end(self, exchange: "Exchange", record: "Callable[[], Record]") -> None:
        """The exchange has ended; `record` makes what came of it."""
        endings, self.endings = self.endings, []
        for each in endings:
            try:
                run = each(exchange, record)
                if run is not None:
                    exchange.plane.afterwards(run)
            except Exception:
                # One filter's fault must stay its own.
                log.exception("a filter failed at the end of %r", exchange)


def aside(exchange: "Exchange") -> Aside:
    """The exchange's; made where there is none yet."""
    found = exchange.aside
    if found is None:
        found = exchange.aside = Aside()
    return found
