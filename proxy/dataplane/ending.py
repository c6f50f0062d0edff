"""The end of an exchange, told to the filters and logs that want to know of it."""

import logging
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from proxy.dataplane.copies import give_up_copies
from proxy.http1 import fields
from proxy.http1.message import RequestHead
from proxy.telemetry.record import Record

if TYPE_CHECKING:
    from proxy.dataplane.downstream import Downstream
    from proxy.dataplane.exchange import Exchange
    from proxy.dataplane.plane import Plane
    from proxy.dataplane.tunnel import Tunnel

log = logging.getLogger("sluice")

SWITCHED: Final = 101  # logged when its tunnel has ended
_TRACE: Final = slice(3, 35)  # of a traceparent: version-trace-parent-flags (W3C Trace Context §3.2)


def tell(exchange: "Exchange", seconds: float) -> None:
    """Tell everybody who wants to know. `seconds` is how long it took."""
    give_up_copies(exchange)
    found, plane = exchange.aside, exchange.plane
    if found is not None and found.sighting is not None:
        found.sighting.end()
    if plane.on_end is None and (found is None or not found.endings):
        return  # what only a rollout wants to know makes no `cache`: 1.5 µs less
    record = cache(lambda: record_of(exchange, seconds))  # made once, where somebody looks: 5 µs
    if found is not None and found.endings:
        found.end(exchange, record)
    if plane.on_end is not None and exchange.status != SWITCHED:
        _note(plane, record())


def tunnel_ending(exchange: "Exchange") -> "Callable[[Tunnel], None] | None":
    """What tells the log of the exchange's tunnel when that has ended; None where nobody wants to know."""
    plane, began = exchange.plane, exchange.started
    if plane.on_end is None:
        return None
    record = record_of(exchange, plane.clock() - began)  # for as long as the tunnel lasts the rest is let go

    def end(tunnel: "Tunnel") -> None:
        received, sent = tunnel.passed
        total = plane.clock() - began
        _note(plane, replace(record, reason=tunnel.reason, total=total, received=received, sent=sent))

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
        user_agent=(head.get(b"user-agent") or b"") if head is not None else b"",
        referer=(head.get(b"referer") or b"") if head is not None else b"",
    )


def record_of(exchange: "Exchange", seconds: float) -> Record:
    """What came of it."""
    head, endpoint = exchange.head, exchange.endpoint
    return Record(
        time=exchange.plane.wall() - seconds,
        client=exchange.client,
        scheme=exchange.scheme,
        method=head.method,
        target=exchange.asked,
        host=head.host,
        minor=head.minor,
        status=exchange.status,
        reason=exchange.reason,
        route=exchange.route_name,
        service=exchange.service_name,
        pool=exchange.pool_name,
        endpoint=endpoint.address if endpoint else "",
        attempts=exchange.attempts,
        bucket=_bucket(exchange),
        connect=exchange.connecting if exchange.connecting >= 0 else None,
        first_byte=exchange.waited if exchange.waited >= 0 else None,
        total=seconds,
        received=exchange.received,
        sent=exchange.sent,
        request_id=exchange.request_id,
        trace_id=(fields.get(exchange.block, b"traceparent") or b"")[_TRACE],
        user_agent=head.get(b"user-agent") or b"",
        referer=head.get(b"referer") or b"",
    )


def _bucket(exchange: "Exchange") -> int | None:
    identity = exchange.identity
    service = exchange.route.service if identity is not None else None
    return None if identity is None or service is None else service.bucket(identity)
