"""Responses on their way through filters, which may hold a head back: what comes behind it waits with it."""

from typing import TYPE_CHECKING

from proxy.dataplane.aside import aside
from proxy.dataplane.waiting import wait
from proxy.filters.effects import Effect, Reply, Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.dataplane.exchange import Exchange
    from proxy.filters.registry import ResponseFilter
    from proxy.http1.message import ResponseHead


class Late:
    """What came of a response while its head was held back: not much, since the upstream is paused."""

    __slots__ = ("is_ended", "pieces", "trailers")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.is_ended = False
        self.trailers = b""

    def take(self, data: bytes) -> None:
        """Another piece of the body."""
        if data:
            self.pieces.append(data)

    def end(self, data: bytes, trailers: bytes) -> None:
        """The last piece, and the trailers."""
        self.take(data)
        self.is_ended, self.trailers = True, trailers


def filter_response(
    exchange: "Exchange",
    head: "ResponseHead",
    then: "Callable[[], None]",
    filters: "tuple[ResponseFilter, ...] | None" = None,
) -> None:
    """Run response filters and go on with `then`, perhaps later; unless one of them answers in its place."""
    filters = exchange.response_filters if filters is None else filters
    for position, each in enumerate(filters, 1):
        effect = each.on_response(exchange, head)
        if effect is not None:
            _perform(exchange, head, then, effect, filters[position:])
            return
    exchange.give_identity(head)
    then()


def _perform(
    exchange: "Exchange",
    head: "ResponseHead",
    then: "Callable[[], None]",
    effect: "Reply | Run",
    rest: "tuple[ResponseFilter, ...]",
) -> None:
    if isinstance(effect, Reply):
        exchange.substitute(effect)
        return

    def awake(effect: "Effect | None") -> None:
        if isinstance(effect, Reply):
            exchange.substitute(effect)
        else:
            filter_response(exchange, head, then, rest)

    wait(exchange, effect, awake)


def pass_on_filtered(exchange: "Exchange", head: "ResponseHead", body: bytes, done: bool) -> None:
    """Pass an upstream's response on as soon as its head has been through the filters."""
    # What nearly always holds, without a closure or anything put aside.
    filters = exchange.response_filters
    for position, each in enumerate(filters):
        effect = each.on_response(exchange, head)
        if effect is not None:
            _pass_on_later(exchange, head, body, done, (effect, filters[position + 1 :]))
            return
    exchange.give_identity(head)
    exchange.pass_on(head, body, done)


def _pass_on_later(
    exchange: "Exchange",
    head: "ResponseHead",
    body: bytes,
    done: bool,
    begun: "tuple[Reply | Run, tuple[ResponseFilter, ...]]",
) -> None:
    """The same where one of them answers or has to wait; `begun` is what it wants, and those behind it."""
    late = Late()
    is_held = False

    def then() -> None:
        if not is_held:
            exchange.pass_on(head, body, done)
            return
        aside(exchange).late = None
        whole = b"".join((body, *late.pieces))
        ends_plainly = late.is_ended and not late.trailers
        exchange.pass_on(head, whole, done or ends_plainly)
        if late.trailers:
            exchange.response_end(b"", late.trailers)
        exchange.resume_response()

    _perform(exchange, head, then, *begun)
    found = exchange.aside
    if found is not None and found.waiting is not None and not exchange.responded:
        is_held = True
        found.late = late
        exchange.pause_response()
