"""Services of a document, compiled."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from proxy.core.hashing import BUCKETS
from proxy.filters import FILTERS
from proxy.filters.registry import Filter
from proxy.filters.site import Classes, States
from proxy.pools.balancer import Balancer
from proxy.pools.balancers import BALANCERS
from proxy.pools.pool import PoolSpec
from proxy.pools.registry import EndpointRegistry
from proxy.pools.state import PoolLimits
from proxy.routing.service import Service, ServiceSpec, Stickiness
from proxy.routing.split import MOST_POOLS, BucketTable, Split, exact_shares
from proxy.routing.sticky import SessionCodec, SessionCookie, cookie_key, header_key
from proxy.snapshot import document as doc
from proxy.snapshot.problems import Problems
from proxy.telemetry.evidence import Cell, Seeing, Watched
from proxy.telemetry.flag_outcomes import FlagOutcomes


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a compile gets what no service says: endpoints, chance, signing keys, random bytes, how many workers.

    `states` is what filters keep, `plugins` are the classes that users wrote, None to run none of them; `seeing` is
    what is counted for rollouts, `outcomes` what for flags.
    """

    registry: EndpointRegistry
    chance: Callable[[], float]
    cookie_keys: tuple[str, ...]
    token: Callable[[int], bytes]
    workers: int = 1
    states: States = field(default_factory=States)
    plugins: Classes | None = None
    seeing: Seeing = field(default_factory=Seeing)
    outcomes: FlagOutcomes = field(default_factory=FlagOutcomes)


def compile_service(
    service: doc.Service, sources: Sources, previous: Service | None, problems: Problems
) -> Service | None:
    """The service, or None where it has problems. From `previous` no more buckets move than the new split asks for."""
    where, before = f"service {service.name}", len(problems.found)
    _check(service, where, problems)
    if service.sticky and service.sticky.cookie and not sources.cookie_keys:
        problems.add(where, "sticky by cookie needs a key to sign with; set cookie_keys")
    balancer = problems.attempt(where, BALANCERS.build, service.balance.kind, service.balance.options)
    filters = build_filters(service.filters, where, problems)
    if balancer is None or len(problems.found) > before:
        return None
    pools = tuple(
        sources.registry.pool(_pool(service, pool, balancer, sources.workers), sources.chance) for pool in service.pools
    )
    return Service(
        ServiceSpec(
            name=service.name,
            pools=pools,
            split=Split(service.split, sources.chance),
            chance=sources.chance,
            sticky=_stickiness(service, sources, previous),
            epochs={pool.name: pool.epoch for pool in service.pools},
            filters=filters,
            timeouts=service.timeouts,
            retry=service.retry,
            ejection=service.ejection,
            limits=service.limits,
            watched=_watched(service, sources.seeing),
        )
    )


def build_filters(plugins: tuple[doc.Plugin, ...], where: str, problems: Problems) -> tuple[Filter, ...]:
    """The filters, less those with problems."""
    built = (problems.attempt(where, FILTERS.build, plugin.kind, plugin.options) for plugin in plugins)
    return tuple(each for each in built if each is not None)


def _check(service: doc.Service, where: str, problems: Problems) -> None:
    names = [pool.name for pool in service.pools]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add(where, f"pool {name!r} is there twice; give each pool its own name")
    for name in service.split:
        if name not in names:
            problems.add(where, f"the split names {name!r}, which is no pool of it; there is {', '.join(names)}")
    if len(names) > MOST_POOLS:
        problems.add(where, f"it has {len(names)} pools; {MOST_POOLS} is the most")
    problems.attempt(where, exact_shares, service.split)
    for pool in service.pools:
        addresses = [endpoint.address for endpoint in pool.endpoints]
        for address in sorted({address for address in addresses if addresses.count(address) > 1}):
            problems.add(where, f"pool {pool.name!r} has {address} twice; give it a weight of 2 instead")
    if service.sticky and (service.sticky.cookie is None) == (service.sticky.key is None):
        problems.add(where, "sticky takes either a cookie or a key")


def _pool(service: doc.Service, pool: doc.Pool, balancer: Balancer, workers: int) -> PoolSpec:
    return PoolSpec(
        service=service.name,
        name=pool.name,
        members=tuple((endpoint.address, endpoint.weight) for endpoint in pool.endpoints),
        balancer=balancer,
        probed=service.health is not None,
        drained=frozenset(endpoint.address for endpoint in pool.endpoints if endpoint.drain or pool.drain),
        backups=frozenset(endpoint.address for endpoint in pool.endpoints if endpoint.backup),
        updated=None if pool.updated is None else _at(pool, pool.updated),
        limits=PoolLimits(ceil(service.limits.connections / workers), ceil(service.limits.pending / workers)),
        budget=service.retry.budget,
    )


def _at(pool: doc.Pool, names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(each.address for each in pool.endpoints if (each.name or each.address) in names)


def _watched(service: doc.Service, seeing: Seeing) -> Watched | None:
    watch = service.watch
    if watch is None:
        return None
    run = seeing.run(watch.run, 1 + len(watch.slower_than), BUCKETS)
    return Watched(watch, lambda pool, share: Cell(seeing, run, watch.epoch, pool, share))


def _stickiness(service: doc.Service, sources: Sources, previous: Service | None) -> Stickiness | None:
    sticky = service.sticky
    if sticky is None:
        return None
    shares = {pool.name: service.split.get(pool.name, 0.0) for pool in service.pools}
    if service.table is not None:
        table = BucketTable.decode(service.table)
    else:
        before = previous.sticky.table if previous and previous.sticky else None
        table = before.changed(shares) if before else BucketTable.first(shares)
    if sticky.key is not None:
        read = header_key if sticky.key.source == "header" else cookie_key
        return Stickiness(table, key=read(sticky.key.name), endpoint=sticky.endpoint)
    codec = SessionCodec(service.name, [key.encode() for key in sources.cookie_keys])
    hold_for = sticky.hold_for if sticky.on_change == "hold" else None
    cookie = SessionCookie(sticky.cookie or "", codec, sources.token, sticky.ttl, hold_for)
    return Stickiness(table, cookie, endpoint=sticky.endpoint)
