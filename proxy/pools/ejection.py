"""Passive health: an endpoint that keeps failing real requests is taken out for a while, longer each time."""

from typing import Protocol

from proxy.pools.endpoint import Endpoint, Signal, State
from proxy.pools.pool import Pool


class EjectionSettings(Protocol):
    """When an endpoint is ejected; document.Ejection is one of these. Durations are seconds."""

    @property
    def consecutive_errors(self) -> int: ...
    @property
    def base(self) -> float: ...
    @property
    def max(self) -> float: ...
    @property
    def max_share(self) -> float: ...


def passed(endpoint: Endpoint) -> None:
    """A request went well."""
    endpoint.consecutive_errors = 0


def failed(endpoint: Endpoint, pool: Pool, now: float, settings: EjectionSettings) -> bool:
    """A request failed by the endpoint's fault (5xx, connect error, reset, timeout); whether that ejected it.

    Where it did, `endpoint.ejected_until` says when to call `readmit`. `now` is in seconds, monotonic.
    """
    endpoint.consecutive_errors += 1
    if endpoint.consecutive_errors < settings.consecutive_errors or not _may_eject(endpoint, pool, settings):
        return False
    endpoint.ejections = remembered(endpoint.ejections, endpoint.ejected_until, now, settings) + 1
    endpoint.ejected_until = now + time_out(endpoint.ejections, settings)
    endpoint.signal(Signal.EJECT)
    pool.shared.counters.ejections += 1
    pool.refresh()
    return True


def readmit(endpoint: Endpoint, now: float) -> bool:
    """Take an ejected endpoint back in if its time is over; whether its state changed."""
    if now < endpoint.ejected_until or not endpoint.signal(Signal.READMIT):
        return False
    endpoint.shared.refresh()
    return True


def _may_eject(endpoint: Endpoint, pool: Pool, settings: EjectionSettings) -> bool:
    """Whether it is in, one that is usable would be left, and the share that may be out is not used up."""
    if endpoint.state is not State.UP or not any(e.is_usable for e in pool.endpoints if e is not endpoint):
        return False
    return has_room(sum(e.state is State.EJECTED for e in pool.endpoints), len(pool.endpoints), settings)


def has_room(out: int, size: int, settings: EjectionSettings) -> bool:
    """Whether one more of a pool of `size` endpoints may be ejected where `out` of them are already."""
    # 0.29 * 100 is 28.999…, and a share must not lose an endpoint to that.
    return out + 1 <= int(settings.max_share * size + 1e-9)


def time_out(ejections: int, settings: EjectionSettings) -> float:
    """How long an ejection lasts that is the `ejections`th of those that count."""
    return min(settings.base * ejections, max(settings.base, settings.max))


def remembered(ejections: int, ended: float, now: float, settings: EjectionSettings) -> int:
    """How many of earlier ejections still count: one is forgiven for each `base` since the last one has ended."""
    if settings.base <= 0:
        return 0
    forgiven = max(0.0, now - ended) / settings.base
    return 0 if forgiven >= ejections else ejections - int(forgiven)
