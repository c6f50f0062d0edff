"""Waiting for a place in a pool that is full: in the order they came, not too many, and not for ever."""

import logging
from typing import TYPE_CHECKING

from proxy.dataplane.sighting import turn_away

if TYPE_CHECKING:
    from proxy.dataplane.exchange import Exchange
    from proxy.pools.pool import Pool
    from proxy.pools.state import PoolState

log = logging.getLogger(__name__)


def wait(exchange: "Exchange", pool: "Pool") -> None:
    """Wait for a place, up to `pending_timeout`; where as many wait already as may, the exchange is refused.

    A copy never waits: it would be before real ones.
    """
    shared = pool.shared
    if exchange.is_copy or not shared.may_wait():
        exchange.counters.overflowed += 1
        turn_away(exchange)
        exchange.reply("overloaded")
        return
    exchange.is_queued = True
    shared.pending.append(exchange)
    service = exchange.route.service
    patience = 0.0 if service is None else service.limits.pending_timeout
    plane = exchange.plane
    plane.wheel.watch(exchange, min(plane.clock() + patience, exchange.total_deadline()))


def leave(exchange: "Exchange") -> None:
    """Wait no more."""
    if exchange.is_queued:
        exchange.is_queued = False
        exchange.pool.shared.pending.remove(exchange)


def admit(shared: "PoolState") -> None:
    """A place has become free: let the exchange in that has waited longest."""
    while shared.pending and shared.may_connect():
        exchange: Exchange = shared.pending.popleft()
        try:
            exchange.admitted()
        except Exception:
            # Called from another exchange's end, which must not suffer for it.
            log.exception("a request that had waited failed: %r", exchange)
            exchange.spoil("internal_error")
