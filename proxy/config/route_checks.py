"""Routes: what they name must exist, and what they say must go together."""

from collections.abc import Callable, Iterator
from typing import Final

from proxy.config.diagnosis import misspelt, nearest
from proxy.config.problems import Problem, WrongError
from proxy.config.tree import Mapping, Scalar, shown
from proxy.filters import ACTIONS, FILTERS
from proxy.filters.site import Site
from proxy.routing.matches.path import Kind, Path
from proxy.snapshot import document

_NEEDS: Final = {"pool": "service", "otherwise": "pool", "timeouts": "service", "retry": "service"}


def route_problems(root: Mapping) -> Iterator[Problem]:
    """Everything that is wrong between the keys of a route, and between routes and services."""
    names: dict[str, Scalar] = {}
    for route in root.sequence("routes").mappings():
        yield from _destination_problems(route)
        yield from _reference_problems(route, root.section("services"))
        yield from _name_problems(route, names)


def placement_problems(made: document.Document, root: Mapping) -> Iterator[Problem]:
    """What filters and actions refuse where they stand: `/new/*` without a `/prefix/*` to take from."""
    yield from _filters_refused(made.filters, Site(), root)
    services = {service.name: service for service in made.services}
    for name, section in root.section("services").sections():
        yield from _filters_refused(services[name].filters, Site(pools=_pools(services[name])), section)
    for route, section in zip(made.routes, root.sequence("routes").mappings(), strict=True):
        pools = _pools(services.get(route.service or ""))
        site = Site(_prefixes(route), pools=pools, has_flags=made.flags is not None)
        yield from _filters_refused(route.filters, site, section)
        if route.action is not None:
            action = ACTIONS.build(route.action.kind, route.action.options)
            yield from _refused(action.compile, site, section, route.action.kind)


def _destination_problems(route: Mapping) -> Iterator[Problem]:
    kinds = ("service", *ACTIONS.names())
    given = [kind for kind in kinds if kind in route]
    choices = f"{', '.join(kinds[:-1])} or {kinds[-1]}"
    if not given and not any(misspelt(kind, route) for kind in kinds):
        yield route.place.problem("the route leads nowhere", f"add {choices}")
    if len(given) > 1:
        key = route.keys_[given[1]]
        yield key.place.problem(f"the route has both {given[0]} and {given[1]}", f"a route has one of {choices}")
    for key_name, needed in _NEEDS.items():
        if key_name in route and needed not in route:
            yield route.keys_[key_name].place.problem(f"{key_name} needs a {needed} beside it")


def _reference_problems(route: Mapping, services: Mapping) -> Iterator[Problem]:
    service, pool = route.scalar("service"), route.scalar("pool")
    if service is None:
        return
    if service not in services:
        yield service.place.problem(f"there is no service {shown(service)}", _near(service, services))
        return
    pools = services.section(service).section("pools")
    if pool is not None and pools and pool not in pools:
        message = f"the service {shown(service)} has no pool {shown(pool)}"
        yield pool.place.problem(message, _near(pool, pools))


def _name_problems(route: Mapping, names: dict[str, Scalar]) -> Iterator[Problem]:
    name = route.scalar("name")
    if name is not None:
        first = names.setdefault(name, name)
        if first is not name:
            hint = f"first at {first.place.line}:{first.place.column}"
            yield name.place.problem(f"two routes are called {shown(name)}", hint)
    share = route.section("match").keys_.get("share")
    if share is not None and "name" not in route:
        yield share.place.problem("share needs a route with a name", "who is in depends on it; add name: …")


def _near(scalar: Scalar, known: Mapping) -> str:
    if scalar.secret or any(key.secret for key in known.keys_.values()):
        return ""
    return nearest(scalar, known)


def _prefixes(route: document.Route) -> tuple[bytes, ...]:
    paths = [match.options["value"] for match in route.match if match.kind == "path"]
    values = [value if isinstance(value, str) else tuple(value) for value in paths]
    return tuple(pattern.value for value in values for pattern in Path(value).patterns() if pattern.kind is Kind.PREFIX)


def _pools(service: document.Service | None) -> tuple[str, ...]:
    return tuple(pool.name for pool in service.pools) if service else ()


def _filters_refused(filters: tuple[document.Plugin, ...], site: Site, section: Mapping) -> Iterator[Problem]:
    for plugin, written in zip(filters, section.sequence("filters"), strict=True):
        built = FILTERS.build(plugin.kind, plugin.options)
        yield from _refused(built.compile, site, written, plugin.kind)


def _refused(compile_in_place: Callable[[Site], object], site: Site, section: Mapping, kind: str) -> Iterator[Problem]:
    try:
        compile_in_place(site)
    except ValueError as error:
        wrong = WrongError.of(error)
        yield section.keys_[kind].place.problem(str(wrong), wrong.hint)
