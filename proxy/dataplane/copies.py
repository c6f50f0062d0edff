"""Requests that are to be copied: what is kept of them until the copy can be sent (`shadow`)."""

from typing import TYPE_CHECKING

from proxy.dataplane.aside import aside
from proxy.filters.effects import Shadow

if TYPE_CHECKING:
    from proxy.dataplane.exchange import Exchange


class Copy:
    """One request to be copied: takes its body as it passes, and sends the copy when all of it is here."""

    __slots__ = ("_body", "_size", "shadow")

    def __init__(self, shadow: Shadow, begun: bytes) -> None:
        self.shadow = shadow
        self._body: list[bytes] | None = []
        self._size = 0
        self.take(begun)

    def take(self, data: bytes) -> None:
        """Another piece of the request's body."""
        self._size += len(data)
        if self._size > self.shadow.most:
            self._body = None
        elif self._body is not None and data:
            self._body.append(data)

    def send(self, exchange: "Exchange") -> None:
        """The request is complete, and on its way: send the copy."""
        shadow = self.shadow
        if self._body is None or not exchange.plane.shadows.send(exchange, shadow, b"".join(self._body)):
            shadow.compared("skipped", 0, 0.0)
            return
        aside(exchange).endings.append(lambda _, record: shadow.compared("real", record().status, record().total))


def copy_request(exchange: "Exchange", shadow: Shadow) -> None:
    """Have the request copied, what has come of its body included."""
    begun = b"" if exchange.held is None else exchange.held.whole()
    aside(exchange).copies += (Copy(shadow, begun),)


def send_copies(exchange: "Exchange") -> None:
    """The request is on its way: if all of it is here, send its copies."""
    found = exchange.aside
    if found is not None and found.copies and exchange.request_done:
        copies, found.copies = found.copies, ()
        for copy in copies:
            copy.send(exchange)
