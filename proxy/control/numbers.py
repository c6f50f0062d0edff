"""The numbers of a running proxy: what the workers have counted, and what is the case now, as /metrics tells it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from proxy.control.fleet import WorkerView
from proxy.control.views import ReloadCounts
from proxy.snapshot.document import Document
from proxy.telemetry.exposition import PoolNow, Sight
from proxy.telemetry.report import WorkerReport
from proxy.telemetry.totals import Ledger, PoolKey


def sight(
    ledger: Ledger,
    document: Document,
    workers: Iterable[WorkerView],
    reloads: ReloadCounts,
    **known: Any,
) -> Sight:
    """Everything that /metrics tells; `known` are the fields of Sight that nothing here can tell."""
    reports = ledger.latest.values()
    connections: Counter[str] = Counter({part.bind: 0 for part in document.listeners})
    for report in reports:
        connections.update(report.connections)
    return Sight(
        totals=ledger.totals(),
        pools=_pools(document, list(reports)),
        connections=connections,
        streams=sum(report.streams for report in reports),
        workers=Counter(worker.state for worker in workers),
        reloads={"applied": reloads.applied, "unchanged": reloads.unchanged, "rejected": reloads.rejected},
        **known,
    )


def endpoint_states(reports: Iterable[WorkerReport]) -> Mapping[PoolKey, Mapping[str, str]]:
    """The state of every endpoint by pool and address; where workers differ just now, the last one's."""
    states: defaultdict[PoolKey, dict[str, str]] = defaultdict(dict)
    for report in reports:
        for endpoint in report.endpoints:
            states[endpoint.service, endpoint.pool][endpoint.address] = endpoint.state
    return states


def _pools(document: Document, reports: list[WorkerReport]) -> dict[PoolKey, PoolNow]:
    in_flight: Counter[PoolKey] = Counter()
    tunnels: Counter[PoolKey] = Counter()
    pending: Counter[PoolKey] = Counter()
    for report in reports:
        for endpoint in report.endpoints:
            in_flight[endpoint.service, endpoint.pool] += endpoint.in_flight
            tunnels[endpoint.service, endpoint.pool] += endpoint.tunnels
        for pool in report.pools:
            pending[pool.service, pool.pool] += pool.pending
    states = endpoint_states(reports)
    found = {}
    for service in document.services:
        for each in service.pools:
            key = service.name, each.name
            found[key] = PoolNow(
                weight=service.split.get(each.name, 0.0),
                in_flight=in_flight[key],
                pending=pending[key],
                tunnels=tunnels[key],
                is_draining=each.drain,
                endpoints=Counter(states.get(key, {}).values()),
            )
    return found
