"""Requests that are to be copied: what is kept of them until the copy can be sent (`shadow`).

A request is copied when it is whole and has gone to an endpoint; so what a later filter refuses is not, nor what leaves
before. Whatever becomes of it, its filter is told once.
"""

import logging
from typing import TYPE_CHECKING

from proxy.dataplane.aside import aside
from proxy.filters.effects import Outcome, Shadow

if TYPE_CHECKING:
    from proxy.dataplane.aside import Aside
    from proxy.dataplane.exchange import Exchange
    from proxy.dataplane.shadow import Shadows

log = logging.getLogger("sluice")


class Copy:
    """One request to be copied: takes its body as it passes, and sends the copy when all of it is here.

    What it holds is counted against what all copies of the worker may hold, until it is sent or dropped.
    """

    __slots__ = ("_body", "_lost", "_shadows", "_size", "shadow")

    def __init__(self, shadow: Shadow, shadows: "Shadows", length: int, begun: bytes) -> None:
        self.shadow = shadow
        self._shadows = shadows
        self._body: list[bytes] = []
        self._size = 0
        self._lost = "body" if length > shadow.most else None  # why its body is not here
        self.take(begun)

    def take(self, data: bytes) -> None:
        """Another piece of the request's body."""
        if self._lost is not None or not data:
            return
        if self._size + len(data) > self.shadow.most:
            self._lose("body")
        elif not self._shadows.hold(len(data)):
            self._lose("memory")
        else:
            self._size += len(data)
            self._body.append(data)

    def send(self, exchange: "Exchange") -> None:
        """The request is complete, and on its way: send the copy."""
        if self._lost is not None:
            self.shadow.comparison.skipped(self._lost)
            return
        pair = Pair(self.shadow)
        refused = self._shadows.send(exchange, pair, b"".join(self._body))
        if refused is None:
            self._size = 0  # held by what was sent, from here on
            aside(exchange).endings.append(pair.real_ended)
        else:
            self.shadow.comparison.skipped(refused)

    def drop(self) -> None:
        """Hold nothing any more."""
        self._shadows.let_go(self._size)
        self._size = 0
        self._body.clear()

    def _lose(self, why: str) -> None:
        self._lost = why
        self.drop()


class Pair:
    """A request and its copy: whichever ends last, the filter is told of both."""

    __slots__ = ("_other", "shadow")

    def __init__(self, shadow: Shadow) -> None:
        self.shadow = shadow
        self._other: Outcome | None = None

    def real_ended(self, exchange: "Exchange", _record: object) -> None:
        """The request has ended."""
        real = outcome_of(exchange)
        if self._other is None:
            self._other = real
        else:
            self.shadow.comparison.compared(real, self._other)

    def copy_ended(self, copied: Outcome) -> None:
        """The copy has ended."""
        if self._other is None:
            self._other = copied
        else:
            self.shadow.comparison.compared(self._other, copied)


def outcome_of(exchange: "Exchange") -> Outcome:
    """Its status, and how long the response's head took the endpoint that had it last; without one, how long all."""
    waited = exchange.waited
    return exchange.status, waited if waited >= 0 else exchange.plane.clock() - exchange.started


def copy_request(exchange: "Exchange", shadow: Shadow) -> None:
    """Have the request copied, what has come of its body included."""
    begun = b"" if exchange.held is None else exchange.held.whole()
    aside(exchange).copies += (Copy(shadow, exchange.plane.shadows, exchange.head.length, begun),)


def send_copies(exchange: "Exchange") -> None:
    """If the request is on its way and all of it is here, send its copies."""
    found = exchange.aside
    if found is None or not found.copies or not exchange.request_done or not exchange.attempts:
        return
    copies, found.copies = found.copies, ()
    for copy in copies:
        try:
            copy.send(exchange)
        except Exception:
            # Called in the middle of the real request's way, which must not suffer for it.
            log.exception("a request was not copied: %r", exchange)
            copy.shadow.comparison.skipped("failed")
        finally:
            copy.drop()


def give_up_copies(found: "Aside", exchange: "Exchange") -> None:
    """The request has ended: what was not copied by now is not copied any more."""
    copies, found.copies = found.copies, ()
    for copy in copies:
        copy.drop()
        if exchange.attempts:
            copy.shadow.comparison.skipped("unfinished")
