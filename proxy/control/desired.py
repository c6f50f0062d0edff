"""The desired document: the file's, with every override put in; and who wins when the file changes. Pure.

The last writer wins, field by field. An override remembers the file's value that it replaced: once the file says
something else there, the override is over; any other change of the file leaves it as it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from proxy.control import flag_overrides
from proxy.control.state import Course, EndpointOverride, Shares, State, same_shares
from proxy.routing.split import BucketTable
from proxy.snapshot.document import Document, Endpoint, Pool, Route, Service


@dataclass(frozen=True, slots=True)
class Ended:
    """An override that the file has put an end to, as one sentence."""

    service: str
    what: str


def desired(file: Document, state: State, cookie_key: str) -> Document:
    """What is to be in force. `cookie_key` signs where the file has no key."""
    services = tuple(_service(service, state) for service in file.services)
    routes = tuple(route for each in file.routes for route in (*_rollout_routes(each, state), each))
    return replace(
        file,
        services=services,
        routes=routes,
        cookie_keys=file.cookie_keys or (cookie_key,),
        flag_overrides={key: each.value for key, each in state.flags.items()},
    )


def reconciled(file: Document, state: State) -> tuple[State, list[Ended]]:
    """The state as a new file leaves it, and what it has ended."""
    services = {service.name: service for service in file.services}
    ended: list[Ended] = []
    for name, override in tuple(state.splits.items()):
        why = _split_ends(services.get(name), override.file, override.value)
        if why is not None and not _is_held(state, services.get(name)):
            state = replace(state, splits={k: v for k, v in state.splits.items() if k != name})
            ended.append(Ended(name, f"the override of the split ends: {why}"))
    for each in state.endpoints:
        why = _endpoint_ends(services, each)
        if why is not None:
            state = replace(state, endpoints=tuple(other for other in state.endpoints if other is not each))
            ended.append(Ended(each.service, f"the override of {each.pool} {each.address} ends: {why}"))
    for drain in state.drains:
        if not _is_there(services, state, drain.service, drain.pool, drain.address):
            state = replace(state, drains=tuple(other for other in state.drains if other is not drain))
            what = drain.address or "the pool"
            ended.append(Ended(drain.service, f"the drain of {drain.pool} ends: {what} is gone"))
    held = {key for course in state.courses.values() for key in course.flags}
    for key, kept in state.flags.items():
        why = flag_overrides.ends(file.flags, key, kept)
        if why is not None and (key not in held or why == flag_overrides.GONE):
            state = state.with_flag(key, None)
            ended.append(Ended("", f"the override of flag {key} ({flag_overrides.said(kept.value)}) ends: {why}"))
    return _tidy(state, services), ended


def with_tables(state: State, file: Document, before: Mapping[str, Shares]) -> State:
    """The state with a bucket table for every sticky service, moved as little as its split asks for.

    `before` has the splits that the tables stand for.
    """
    for service in file.services:
        table = state.tables.get(service.name)
        if service.sticky is None:
            state = state if table is None else state.with_table(service.name, None)
            continue
        shares = all_shares(service, state)
        if table is None:
            state = state.with_table(service.name, BucketTable.first(shares).encode())
        elif service.name not in before or before[service.name] != shares:
            state = state.with_table(service.name, BucketTable.decode(table).changed(shares).encode())
    return state


def shares_of(service: Service, state: State) -> Shares:
    """The split in force of a service of the file."""
    override = state.splits.get(service.name)
    return service.split if override is None else override.value


def all_shares(service: Service, state: State) -> Shares:
    """The same with every pool in it, those with nothing too."""
    shares = shares_of(service, state)
    return {pool.name: shares.get(pool.name, 0.0) for pool in service.pools}


def _split_ends(service: Service | None, file: Shares, value: Shares) -> str | None:
    if service is None:
        return "the service is gone"
    if same_shares(service.split, value):
        return "the file says the same"
    if not same_shares(service.split, file):
        return "the file says something else now"
    gone = {name for name, share in value.items() if share} - {pool.name for pool in service.pools}
    return f"pool {min(gone)} is gone" if gone else None


def _is_held(state: State, service: Service | None) -> bool:
    """Does a rollout have the split? Then an edit of it waits until the rollout lets go."""
    return service is not None and service.name in state.courses


def _endpoint_ends(services: Mapping[str, Service], override: EndpointOverride) -> str | None:
    pool = _pool_of(services, override.service, override.pool)
    if pool is None:
        return "the pool is gone"
    said = {each.name or each.address: (each.weight, each.backup) for each in pool.endpoints}
    now = said.get(override.address)
    if now == (None if override.value is None else (override.value, override.backup)):
        return "the file says the same"
    file = None if override.file is None else (override.file, override.file_backup)
    return None if now == file else "the file says something else now"


def _is_there(services: Mapping[str, Service], state: State, service: str, pool: str, address: str | None) -> bool:
    found = _pool_of(services, service, pool)
    if found is None or address is None:
        return found is not None
    return any(address in (each.name, each.address) for each in _endpoints(service, found, state))


def _pool_of(services: Mapping[str, Service], service: str, pool: str) -> Pool | None:
    pools = services[service].pools if service in services else ()
    return next((each for each in pools if each.name == pool), None)


def _tidy(state: State, services: Mapping[str, Service]) -> State:
    """Without what is remembered of services that are gone."""
    return replace(
        state,
        epochs={name: epochs for name, epochs in state.epochs.items() if name in services},
        tables={name: table for name, table in state.tables.items() if name in services},
        past={name: past for name, past in state.past.items() if name in services},
        courses={name: course for name, course in state.courses.items() if _has_pools(services.get(name), course)},
    )


def _has_pools(service: Service | None, course: Course) -> bool:
    return service is not None and {course.stable, course.candidate} <= {pool.name for pool in service.pools}


def _rollout_routes(route: Route, state: State) -> Iterator[Route]:
    """What a rollout puts before a route of its service: the same, for fewer requests, to the candidate."""
    course = state.courses.get(route.service or "")
    if course is None or route.pool is not None:
        return
    for matches in course.routes.values():
        yield replace(route, match=(*route.match, *matches), pool=course.candidate, otherwise="split")


def _service(service: Service, state: State) -> Service:
    epochs = state.epochs.get(service.name, {})
    drained = {drain.pool for drain in state.drains if drain.service == service.name and drain.address is None}
    course = state.courses.get(service.name)
    watch = None if course is None else course.watch
    pools = tuple(
        replace(
            pool,
            endpoints=tuple(_endpoints(service.name, pool, state)),
            epoch=epochs.get(pool.name, 0),
            drain=pool.name in drained,
            updated=course.updated if course and watch and watch.is_rolling and pool.name == watch.stable else None,
        )
        for pool in service.pools
    )
    table = state.tables.get(service.name) if service.sticky else None
    filters = (course.mirror, *service.filters) if course is not None and course.mirror else service.filters
    return replace(service, pools=pools, split=shares_of(service, state), table=table, filters=filters, watch=watch)


def _endpoints(service: str, pool: Pool, state: State) -> Iterator[Endpoint]:
    overrides = {each.address: each for each in state.endpoints if (each.service, each.pool) == (service, pool.name)}
    drained = {drain.address for drain in state.drains if (drain.service, drain.pool) == (service, pool.name)}
    for endpoint in pool.endpoints:
        address = endpoint.name or endpoint.address
        drain = address in drained or endpoint.address in drained
        override = overrides.pop(address, None)
        if override is None:
            yield replace(endpoint, drain=drain)
        elif override.value is not None:
            yield replace(endpoint, weight=override.value, backup=override.backup, drain=drain)
    for address, override in overrides.items():
        if override.value is not None:
            yield Endpoint(address, override.value, drain=address in drained, backup=override.backup)
