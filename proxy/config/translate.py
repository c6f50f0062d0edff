"""The validated sections to the Document: the last place that knows pydantic."""

from typing import Any, TypeVar

from msgspec import Struct
from pydantic import BaseModel

from proxy.config import split
from proxy.config.access_log import AccessLog
from proxy.config.listeners import Admin, Listener
from proxy.config.rollouts import to_spec
from proxy.config.root import Root
from proxy.config.routes import ACTION_NAMES, Destination
from proxy.config.services import Pool, Retry, Service, Sticky, Timeouts
from proxy.snapshot import document

S = TypeVar("S", bound=Struct)


def to_document(root: Root) -> document.Document:
    """The Document that a configuration without problems says."""
    services = tuple(_service(name, service) for name, service in root.services.items())
    by_name = {service.name: service for service in services}
    return document.Document(
        listeners=tuple(map(_listener, root.listeners)),
        services=services,
        routes=tuple(_route(route, by_name) for route in root.routes),
        filters=tuple(root.filters),
        admin=_admin(root.admin),
        status=None if root.status is None else str(root.status.bind),
        workers=root.workers,  # type: ignore[arg-type]  # the only text is auto
        store=None if root.store is None else root.store.path,
        cookie_keys=tuple(root.cookie_keys),
        shutdown=_same(document.Shutdown, root.shutdown),
        restart_grace=root.restart.grace,
        dns_interval=root.dns.interval,
        access_log=None if root.access_log is None else _access_log(root.access_log),
        rollouts=tuple(to_spec(name, rollout) for name, rollout in root.rollouts.items()),
    )


def _same(cls: type[S], section: BaseModel, **other: Any) -> S:
    """A struct with the section's values under the same names; `other` where they differ."""
    values = {name: getattr(section, name) for name in cls.__struct_fields__ if name not in other}
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}, **other)


def _merged(cls: type[S], of_service: S, section: BaseModel | None) -> S:
    """The service's struct with what the route says instead."""
    if section is None:
        return of_service
    given = _same(cls, section)
    kept = {name: getattr(of_service, name) for name in cls.__struct_fields__}
    return cls(**kept | {name: getattr(given, name) for name in section.model_fields_set})


def _listener(listener: Listener) -> document.Listener:
    limits = _same(document.ListenerLimits, listener.limits)
    return document.Listener(str(listener.bind), tuple(listener.trusted_proxies), limits)


def _admin(admin: Admin) -> document.Admin:
    default = document.Admin()
    bind = default.bind if admin.bind is None else str(admin.bind)
    tokens = (document.AdminToken(each.name, each.value, tuple(each.can)) for each in admin.tokens)
    return document.Admin(bind, admin.token, tuple(admin.hosts), tuple(tokens))


def _access_log(section: AccessLog) -> document.AccessLog:
    only = section.condition
    return document.AccessLog(
        path=section.path,
        format=section.format,
        sample=(1.0 if only is None else 0.0) if section.sample is None else section.sample,
        statuses=() if only is None or only.status is None else _ranges(only.status),
        slower_than=None if only is None else only.slower_than,
    )


def _service(name: str, service: Service) -> document.Service:
    parts = service.split
    return document.Service(
        name=name,
        pools=tuple(_pool(pool_name, pool) for pool_name, pool in service.pools.items()),
        split=dict.fromkeys(service.pools, 1.0) if parts is None else split.shares(parts),
        sticky=None if service.sticky is None else _sticky(service.sticky),
        balance=service.balance,
        health=None
        if service.health is None
        else _same(document.Health, service.health, expect=_ranges(service.health.expect)),
        ejection=None if service.ejection is None else _same(document.Ejection, service.ejection),
        retry=_same(document.Retry, service.retry),
        timeouts=_same(document.Timeouts, service.timeouts),
        limits=_same(document.Limits, service.limits),
        slow_start=service.slow_start,
        filters=tuple(service.filters),
    )


def _pool(name: str, pool: Pool) -> document.Pool:
    endpoints = (document.Endpoint(str(each.address), each.weight, backup=each.backup) for each in pool.endpoints)
    return document.Pool(name, tuple(endpoints), allow_link_local=pool.allow_link_local)


def _sticky(sticky: Sticky) -> document.Sticky:
    key = sticky.key
    if key is None:
        return _same(document.Sticky, sticky)
    source = document.StickyKey("header", key.header) if key.header else document.StickyKey("cookie", key.cookie or "")
    return _same(document.Sticky, sticky, key=source)


def _ranges(expect: Any) -> tuple[tuple[int, int], ...]:
    return tuple(expect) if isinstance(expect, list) else (expect,)


def _route(route: Destination, services: dict[str, document.Service]) -> document.Route:
    return document.Route(
        name=route.name,
        match=route.match,
        service=route.service,
        pool=route.pool,
        otherwise=route.otherwise,
        action=_action(route),
        timeouts=_route_timeouts(route.timeouts, services.get(route.service or "")),
        retry=_route_retry(route.retry, services.get(route.service or "")),
        filters=tuple(route.filters),
    )


def _route_timeouts(section: Timeouts | None, service: document.Service | None) -> document.Timeouts | None:
    return None if section is None or service is None else _merged(document.Timeouts, service.timeouts, section)


def _route_retry(section: Retry | None, service: document.Service | None) -> document.Retry | None:
    return None if section is None or service is None else _merged(document.Retry, service.retry, section)


def _action(route: Destination) -> document.Plugin | None:
    given = (name for name in ACTION_NAMES if getattr(route, name) is not None)
    return next((document.Plugin(name, getattr(route, name)) for name in given), None)
