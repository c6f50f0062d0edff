"""The end of an exchange, told to the filters and logs that want to know of it."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from msgspec.structs import replace

from proxy.dataplane.copies import give_up_copies
from proxy.http1 import fields
from proxy.http1.message import TRACEPARENT, RequestHead
from proxy.telemetry.record import Record

if TYPE_CHECKING:
    from proxy.dataplane.downstream import Downstream
    from proxy.dataplane.exchange import Exchange
    from proxy.dataplane.plane import Plane
    from proxy.pools.pool import Pool
    from proxy.routing.route import Route

log = logging.getLogger("sluice")

SWITCHED: Final = 101  # logged when its tunnel has ended
LONGEST: Final = 1024  # bytes of a field that only clients fill: else one of them could crowd out others' lines
_TRACE: Final = slice(3, 35)  # of a traceparent: version-trace-parent-flags (W3C Trace Context §3.2)


def tell(exchange: "Exchange", seconds: float) -> None:
    """Tell everybody who wants to know. `seconds` is how long it took."""
    found, plane = exchange.aside, exchange.plane
    record: Record | None = None
    if found is not None:
        if found.copies:
            give_up_copies(found, exchange)
        if found.sighting is not None:
            found.sighting.end()
        if found.endings:

            def make() -> Record:  # once, where somebody looks
                nonlocal record
                if record is None:
                    record = record_of(exchange, seconds)
                return record

            found.end(exchange, make)
    if plane.on_end is not None and exchange.status != SWITCHED and not (found is not None and found.lasts):
        _note(plane, record or record_of(exchange, seconds))


class Lasting(Protocol):
    """What an exchange's connection has become. `passed` are bytes of the client, and to it; `reason` why it ended."""

    @property
    def passed(self) -> tuple[int, int]: ...

    @property
    def reason(self) -> str | None: ...


def late_ending(exchange: "Exchange") -> Callable[[Lasting], None] | None:
    """What tells the log of the exchange's tunnel or stream when that has ended; None where nobody wants to know."""
    plane, began = exchange.plane, exchange.started
    if plane.on_end is None:
        return None
    record = record_of(exchange, plane.clock() - began)  # for as long as the tunnel lasts the rest is let go

    def end(what: Lasting) -> None:
        received, sent = what.passed
        total = plane.clock() - began
        _note(plane, replace(record, reason=what.reason, total=total, received=received, sent=sent))

    return end


def _note(plane: "Plane", record: Record) -> None:
    if plane.on_end is None:
        return
    try:
        plane.on_end(record)
    except Exception:
        # Whoever writes it down must not keep the client's connection from going on.
        log.exception("the end of a request for %r was not noted", record.target.partition(b"?")[0][:80])


def tell_refused(connection: "Downstream", head: RequestHead | None, status: int, reason: str, sent: int) -> None:
    """Tell the log of a request that never became an exchange; without a `head` only who sent it is known."""
    if connection.plane.on_end is not None:
        _note(connection.plane, _refused(connection, head, status, reason, sent))


def _refused(connection: "Downstream", head: RequestHead | None, status: int, reason: str, sent: int) -> Record:
    return Record(
        time=connection.plane.wall(),
        client=connection.client,
        scheme=b"http",
        method=head.method if head is not None else b"",
        target=head.target if head is not None else b"",
        host=head.host if head is not None else b"",
        minor=head.minor if head is not None else -1,
        status=status,
        reason=reason,
        route="",
        service="",
        pool="",
        endpoint="",
        attempts=0,
        bucket=None,
        connect=None,
        first_byte=None,
        total=0.0,
        received=0,
        sent=sent,
        request_id=b"",
        trace_id=b"",
        user_agent=fields.first(head.block, b"User-Agent")[:LONGEST] if head is not None else b"",
        referer=fields.first(head.block, b"Referer")[:LONGEST] if head is not None else b"",
    )


def record_of(exchange: "Exchange", seconds: float) -> Record:
    """What came of it."""
    head, endpoint, block = exchange.head, exchange.endpoint, exchange.block
    route: Route | None = getattr(exchange, "route", None)
    pool: Pool | None = getattr(exchange, "pool", None)
    service = None if route is None else route.service
    traced = head.block if head.flags & TRACEPARENT else block
    # By position, and without the properties of the exchange: cheaper than by 24 names.
    return Record(
        exchange.plane.wall() - seconds,
        exchange.client,
        exchange.scheme,
        head.method,
        exchange.asked,
        head.host,
        head.minor,
        exchange.status,
        exchange.reason,
        "" if route is None else route.name or "",
        "" if service is None else service.name,
        "" if pool is None else pool.name,
        "" if endpoint is None else endpoint.address,
        exchange.attempts,
        None if exchange.identity is None or service is None else service.bucket(exchange.identity),
        exchange.connecting if exchange.connecting >= 0 else None,
        exchange.waited if exchange.waited >= 0 else None,
        seconds,
        exchange.received,
        exchange.sent,
        _own(block, b"\r\nX-Request-Id: "),
        (fields.first(traced, b"traceparent") if traced is not block else _own(block, b"\r\ntraceparent: "))[_TRACE],
        fields.first(head.block, b"User-Agent")[:LONGEST],
        fields.first(head.block, b"Referer")[:LONGEST],
    )


def _own(block: bytes, start: bytes) -> bytes:
    """The value of a line that the proxy has written, and nobody else may: the last one, as it was written."""
    at = block.rfind(start)
    return block[at + len(start) : block.find(b"\r\n", at + 2)] if at >= 0 else b""
