"""A request whose body an action wants whole: it is gathered up to a bound, and then answered."""

import logging
from typing import TYPE_CHECKING

from proxy.dataplane.aside import aside
from proxy.dataplane.held import HeldBody
from proxy.dataplane.replies import phrase
from proxy.filters.effects import ReadBody, Reply
from proxy.http1.message import EXPECT_CONTINUE, NO_BODY, ResponseHead

if TYPE_CHECKING:
    from proxy.dataplane.exchange import Exchange

log = logging.getLogger("sluice")


class Gathering:
    """One body on its way in."""

    __slots__ = ("_body", "_exchange", "_wanted")

    def __init__(self, exchange: "Exchange", wanted: ReadBody) -> None:
        self._exchange = exchange
        self._wanted = wanted
        self._body = exchange.held or HeldBody()
        exchange.held = None

    def begin(self) -> None:
        """Answer at once where that can be done; else let the client send."""
        exchange, most = self._exchange, self._wanted.most
        if max(exchange.received, exchange.head.length) > most:
            self._answer(self._wanted.too_large)
            return
        if exchange.request_done:
            self.end()
            return
        if exchange.head.flags & EXPECT_CONTINUE and not exchange.received:  # RFC 9110 §10.1.1
            exchange.downstream.inform(ResponseHead(100, phrase(100), 1, NO_BODY, 0, b"", 0))
        exchange.downstream.resume()

    def take(self, data: bytes) -> None:
        """Another piece."""
        if self._exchange.received > self._wanted.most:
            self._answer(self._wanted.too_large)
        else:
            self._body.add(data)

    def end(self) -> None:
        """All of it is here."""
        try:
            reply = self._wanted.answer(self._body.whole())
        except Exception:
            # One request's fault must stay its own.
            log.exception("a request with a body failed: %r", self._exchange)
            self._exchange.spoil("internal_error")
        else:
            self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        aside(self._exchange).gathering = None
        self._exchange.act(reply)


def gather(exchange: "Exchange", wanted: ReadBody) -> None:
    """Have the body first, and answer then."""
    gathering = aside(exchange).gathering = Gathering(exchange, wanted)
    gathering.begin()
