"""What the views say, from what is in force and what the workers report. Pure.

The workers' numbers are summed. Whether something is drained is not a worker's to say: it is when a person wants it
empty and nothing runs on it in any of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Final

from msgspec import to_builtins
from msgspec.structs import replace

from proxy.control.state import Shares, State, same_shares
from proxy.control.views import (
    EndpointStateName,
    EndpointView,
    MirrorSide,
    MirrorTraffic,
    OverrideView,
    PoolStateName,
    PoolTraffic,
    PoolView,
    Traffic,
    per_cent,
)
from proxy.pools.registry import EndpointKey
from proxy.snapshot.document import Endpoint, Pool, Service
from proxy.telemetry.counters import NO_RESPONSE
from proxy.telemetry.report import EndpointReport, WorkerReport
from proxy.telemetry.totals import MirrorTotals, SideTotals

_ORDER: Final[tuple[EndpointStateName, ...]] = ("down", "ejected", "unproven", "up")
"""Where workers differ, what is shown is the first of these that one of them says."""


def pool_views(
    service: Service,
    split: dict[str, float],
    reports: Iterable[WorkerReport],
    why: Callable[[EndpointKey], str | None] = lambda _: None,
    wanted: Service | None = None,
) -> dict[str, PoolView]:
    """Every pool of a service, and those that were taken out and are not empty yet.

    `split` is in per cent; `why` says why an endpoint is in its state. `wanted` is the service with names in the place
    of addresses: those that have no address are shown too, as they would be missed.
    """
    told = [each for report in reports for each in report.endpoints if each.service == service.name]
    views = {pool.name: _pool(pool, split.get(pool.name, 0.0), told) for pool in service.pools}
    gone = dict.fromkeys(each.pool for each in told if each.pool not in views)
    leaving = {name: _pool(Pool(name, (), drain=True), 0.0, told) for name in gone}
    for pool in wanted.pools if wanted else ():
        views[pool.name] = replace(
            views[pool.name], endpoints=(*views[pool.name].endpoints, *_unresolved(pool, service))
        )
    return {
        name: replace(
            view,
            endpoints=tuple(replace(each, why=why((service.name, name, each.address))) for each in view.endpoints),
        )
        for name, view in (views | {name: view for name, view in leaving.items() if view.endpoints}).items()
    }


def _unresolved(wanted: Pool, service: Service) -> Iterator[EndpointView]:
    (pool,) = [each for each in service.pools if each.name == wanted.name]
    there = {each.address for each in pool.endpoints} | {each.name for each in pool.endpoints}
    for endpoint in wanted.endpoints:
        if endpoint.address not in there:
            yield EndpointView(
                endpoint.address, "unproven", endpoint.weight, 0, 0, name=endpoint.address, backup=endpoint.backup
            )


def _pool(pool: Pool, weight: float, told: Sequence[EndpointReport]) -> PoolView:
    mine = [each for each in told if each.pool == pool.name]
    there = {endpoint.address for endpoint in pool.endpoints}
    removed = sorted({each.address for each in mine if each.address not in there and _runs(each)})
    endpoints = (
        *(_endpoint(pool, endpoint, mine) for endpoint in pool.endpoints),
        *(_removed(address, mine) for address in removed),
    )
    state: PoolStateName = "active"
    if pool.drain:
        state = "draining" if any(each.in_flight or each.tunnels for each in endpoints) else "drained"
    return PoolView(weight, state, endpoints)


def _endpoint(pool: Pool, endpoint: Endpoint, told: Sequence[EndpointReport]) -> EndpointView:
    mine = [each for each in told if each.address == endpoint.address]
    return EndpointView(
        address=endpoint.address,
        state=_state(mine, is_drained=endpoint.drain or pool.drain),
        weight=endpoint.weight,
        in_flight=sum(each.in_flight for each in mine),
        tunnels=sum(each.tunnels for each in mine),
        name=endpoint.name,
        backup=endpoint.backup,
    )


def _removed(address: str, told: Sequence[EndpointReport]) -> EndpointView:
    mine = [each for each in told if each.address == address]
    in_flight, tunnels = sum(each.in_flight for each in mine), sum(each.tunnels for each in mine)
    return EndpointView(address, "removed", 0.0, in_flight, tunnels)


def _state(told: Sequence[EndpointReport], *, is_drained: bool) -> EndpointStateName:
    if is_drained:
        return "draining" if any(map(_runs, told)) else "drained"
    said = {each.state for each in told}
    return next((name for name in _ORDER if name in said), "unproven")


def _runs(report: EndpointReport) -> bool:
    return bool(report.in_flight or report.tunnels)


def overrides(state: State, file: Mapping[str, Shares], conceal: Callable[[str], str]) -> Iterator[OverrideView]:
    """Everything that differs from the file because somebody said so.

    `file` has the splits as they are written now: a rollout keeps its own while that is edited. `conceal` masks what is
    secret.
    """
    for name, split in state.splits.items():
        written = file.get(name, split.file)
        if not same_shares(written, split.value):
            yield OverrideView(name, "split", per_cent(written), per_cent(split.value))
    for name, course in state.courses.items():
        for matches in course.routes.values():
            wanted = {each.kind: _concealed(each.options["value"], conceal) for each in matches}
            yield OverrideView(name, "route", None, wanted, course.candidate)
        if course.mirror is not None:
            yield OverrideView(name, "mirror", None, course.mirror.options["share"], course.candidate)
    for each in state.endpoints:
        where = conceal(each.address)
        yield OverrideView(
            each.service, "endpoint", each.file, each.value, each.pool, where, each.backup, each.file_backup
        )
    for drain in state.drains:
        address = None if drain.address is None else conceal(drain.address)
        value = {"deadline": drain.deadline, "cut": drain.cut}
        yield OverrideView(drain.service, "drain", None, value, drain.pool, address)
    for key, flag in state.flags.items():
        yield OverrideView("", "flag", None, to_builtins(flag.value), flag=key)


def _concealed(named: Mapping[str, str], conceal: Callable[[str], str]) -> dict[str, str]:
    return {name: conceal(value) for name, value in named.items()}


def traffic(reports: Sequence[WorkerReport]) -> Traffic:
    """The counters of all workers, summed."""
    by_pool = attrgetter("service", "pool")
    endpoints = [each for report in reports for each in report.endpoints]
    pools = []
    told = sorted((pool for report in reports for pool in report.pools), key=by_pool)
    for (service, name), group in groupby(told, by_pool):
        same = list(group)
        mine = [each for each in endpoints if (each.service, each.pool) == (service, name)]
        pools.append(
            PoolTraffic(
                service=service,
                pool=name,
                requests=sum(sum(each.requests) for each in same),
                errors=sum(each.requests[5] + each.requests[NO_RESPONSE] for each in same),
                seconds=sum(each.duration.total for each in same),
                retries=sum(each.retries for each in same),
                in_flight=sum(each.in_flight for each in mine),
                tunnels=sum(each.tunnels for each in mine),
            )
        )
    unrouted = sum(sum(report.unrouted) for report in reports)
    connections = sum(sum(report.connections.values()) for report in reports)
    return Traffic(tuple(pools), unrouted, connections, tuple(_mirrors(reports)))


def _mirrors(reports: Sequence[WorkerReport]) -> Iterator[MirrorTraffic]:
    totals: dict[tuple[str, str], MirrorTotals] = {}
    for each in [mirror for report in reports for mirror in report.mirrors]:
        totals.setdefault((each.service, each.pool), MirrorTotals()).add(each)
    for (service, pool), total in sorted(totals.items(), key=itemgetter(0)):
        yield MirrorTraffic(service, pool, _side(total.real), _side(total.shadow), dict(total.skipped))


def _side(side: SideTotals) -> MirrorSide:
    answered = {f"{kind}xx": count for kind, count in enumerate(side.requests) if count and kind != NO_RESPONSE}
    failed = side.requests[5] + side.requests[NO_RESPONSE]
    statuses = {**answered, "5xx": failed} if failed else answered
    duration = side.duration
    return MirrorSide(statuses, duration.total, duration.quantile(0.5), duration.quantile(0.95))
