"""What a worker has counted, collected when somebody asks; the ordinary way only adds to plain ints."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from proxy.dataplane.listener import Listener
from proxy.dataplane.plane import Plane
from proxy.filters.site import States
from proxy.pools.endpoint import Endpoint
from proxy.pools.registry import EndpointRegistry
from proxy.pools.state import PoolState
from proxy.telemetry.counters import MirrorCounters, SideCounters
from proxy.telemetry.report import (
    Durations,
    EndpointReport,
    FlagReport,
    MirrorReport,
    MirrorSide,
    PluginReport,
    PoolReport,
    WorkerReport,
    encode,
)


@dataclass(frozen=True, slots=True)
class Besides:
    """What was counted beside the ordinary way. `log_dropped` are lines that the access log has lost."""

    plugins: tuple[PluginReport, ...] = ()
    flags: tuple[FlagReport, ...] = ()
    log_dropped: int = 0


def counted(
    plane: Plane, registry: EndpointRegistry, listeners: Iterable[Listener], states: States, besides: Besides
) -> bytes:
    """The worker's report, encoded."""
    connections: Counter[str] = Counter()
    for listener in listeners:
        connections[listener.bind] += len(listener.connections)
    return encode(
        WorkerReport(
            pools=tuple(map(_pool, registry.states())),
            endpoints=tuple(map(_endpoint, registry)),
            unrouted=tuple(plane.unrouted.requests),
            refusals=dict(plane.refusals),
            connections=dict(connections),
            tunnels=len(plane.tunnels),
            mirrors=tuple(_mirror(kept) for _, kept in states.items() if isinstance(kept, MirrorCounters)),
            plugins=besides.plugins,
            log_dropped=besides.log_dropped,
            flags=besides.flags,
            streams=len(plane.streams),
        )
    )


def _mirror(counters: MirrorCounters) -> MirrorReport:
    real, shadow = map(_side, (counters.real, counters.shadow))
    return MirrorReport(counters.service, counters.pool, real, shadow, dict(counters.without))


def _side(counters: SideCounters) -> MirrorSide:
    return MirrorSide(tuple(counters.requests), Durations.of(counters.duration))


def _pool(state: PoolState) -> PoolReport:
    counters = state.counters
    return PoolReport(
        service=state.service,
        pool=state.name,
        requests=tuple(counters.requests),
        duration=Durations.of(counters.duration),
        upstream=Durations.of(counters.upstream),
        failures=dict(counters.failures),
        retries=counters.retries,
        spilled=counters.spilled,
        panicked=counters.panicked,
        ejections=counters.ejections,
        overflowed=counters.overflowed,
        connections=state.connections,
        pending=len(state.pending),
    )


def _endpoint(endpoint: Endpoint) -> EndpointReport:
    return EndpointReport(
        service=endpoint.service,
        pool=endpoint.pool,
        address=endpoint.address,
        state=endpoint.state.value,
        weight=endpoint.weight,
        in_flight=endpoint.in_flight,
        tunnels=endpoint.tunnels,
        idle=len(endpoint.idle),
    )
