"""Routes of a document, compiled."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from proxy.filters import ACTIONS
from proxy.filters.registry import Act, Filter, RequestFilter, ResponseFilter
from proxy.filters.site import Site
from proxy.http1.facts import Facts
from proxy.pools.pool import Pool
from proxy.routing.matches import MATCHES, Match, Path, Place, ShareOf, Test
from proxy.routing.matches.path import Kind
from proxy.routing.matches.registry import by_chance
from proxy.routing.route import Route
from proxy.routing.router import Router, Row
from proxy.routing.service import Service
from proxy.snapshot import document as doc
from proxy.snapshot.problems import Problems
from proxy.snapshot.services import Sources, build_filters

if TYPE_CHECKING:
    from proxy.filters.flagging import FlagBoard

_IDEMPOTENT: Final = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")  # RFC 9110 §9.2.2
_DEFAULT_TIMEOUTS: Final = doc.Timeouts()
_DEFAULT_RETRY: Final = doc.Retry()


@dataclass(frozen=True, slots=True)
class RouteCompiler:
    """Compiles the routes of one document. `services` are its own by name, None for one with problems."""

    services: Mapping[str, Service | None]
    sources: Sources
    problems: Problems
    flags: "FlagBoard | None" = None

    def router(self, routes: tuple[doc.Route, ...], before: Sequence[Row] = ()) -> Generator[None, None, Router]:
        """The route table, made in slices; what is wrong with it is in `problems`.

        `before` are the rows of these very routes in an earlier generation: those whose service is the same go on.
        """
        rows = []
        for position, route in enumerate(routes, 1):
            row = before[position - 1] if before else None
            if row is None or row.route.service is not self.services.get(route.service or ""):
                row = self._row(position, route)
                yield
            rows.append(row)
        return (yield from Router.making(rows))

    def _row(self, position: int, route: doc.Route) -> Row:
        where = f"route #{position}{f' {route.name}' if route.name else ''}"
        service = self._service(route, where)
        matches = self._matches(route, where)
        identity = service.identity if service else by_chance
        flags = self.flags.flags if self.flags else None
        tests = self._tests(matches, Place(route.name, self.sources.chance, identity, flags), where)
        prefixes = _prefixes(matches)
        site = self._site(service, prefixes, route.name, where)
        filters = placed(build_filters(route.filters, where, self.problems), site)
        of_service = placed(service.filters, replace(site, where=f"service {service.name}")) if service else ()
        chain = compile_filters((*of_service, *filters), where, self.problems)
        timeouts = route.timeouts or (service.timeouts if service else None) or _DEFAULT_TIMEOUTS
        retry = route.retry or (service.retry if service else None) or _DEFAULT_RETRY
        compiled = Route(
            name=route.name,
            service=service,
            pool=self._pool(route, service, where),
            otherwise=route.otherwise == "split",
            request_filters=chain.requests,
            chosen_filters=chain.chosen,
            response_filters=chain.responses,
            action=self._action(route, site, where),
            timeouts=timeouts,
            retry=retry,
            retry_methods=_methods(retry),
        )
        return Row(compiled, tuple(matches), tests)

    def _site(self, service: Service | None, prefixes: tuple[bytes, ...], name: str | None, where: str) -> Site:
        """Where the route's filters stand. A name goes with its route wherever it moves; a number does not."""
        pools = tuple(service.pools) if service else ()
        sources = self.sources
        where = f"route {name}" if name else where
        of = service.name if service else ""
        return Site(
            prefixes, where, 1, pools, sources.chance, sources.workers, sources.states, sources.plugins, of,
            has_flags=self.flags is not None,
        )  # fmt: skip

    def _service(self, route: doc.Route, where: str) -> Service | None:
        if (route.service is None) == (route.action is None):
            self.problems.add(where, "it leads either to a service or to an action such as redirect or respond")
        if route.service is None:
            return None
        if route.service not in self.services:
            self.problems.add(where, f"service {route.service!r} does not exist; {_there_is(self.services)}")
        return self.services.get(route.service)

    def _pool(self, route: doc.Route, service: Service | None, where: str) -> Pool | None:
        if route.pool is None:
            if route.otherwise is not None:
                self.problems.add(where, "`otherwise` needs a pool that it stands in for")
            return None
        if route.service is None:
            self.problems.add(where, "a pool needs a service")
        if service is None:
            return None
        if route.pool not in service.pools:
            what = f"pool {route.pool!r} does not exist in service {service.name}; {_there_is(service.pools)}"
            self.problems.add(where, what)
        return service.pools.get(route.pool)

    def _matches(self, route: doc.Route, where: str) -> list[Match]:
        built = (self.problems.attempt(where, MATCHES.build, plugin.kind, plugin.options) for plugin in route.match)
        # A share is of what matches otherwise, so chance is asked last.
        return sorted(filter(None, built), key=lambda match: isinstance(match, ShareOf))

    def _tests(self, matches: list[Match], place: Place, where: str) -> tuple[Test, ...]:
        tests = (self.problems.attempt(where, match.compile, place) for match in matches)
        return tuple(test or _never for test in tests)

    def _action(self, route: doc.Route, site: Site, where: str) -> Act | None:
        if route.action is None:
            return None
        action = self.problems.attempt(where, ACTIONS.build, route.action.kind, route.action.options)
        return None if action is None else self.problems.attempt(where, action.compile, site)


@dataclass(frozen=True, slots=True)
class FilterChain:
    """What filters do to requests and to the chosen way, in order, and to responses, in reverse."""

    requests: tuple[RequestFilter, ...] = ()
    chosen: tuple[Callable[[Facts], None], ...] = ()
    responses: tuple[ResponseFilter, ...] = ()


def compile_filters(filters: Iterable[tuple[Filter, Site]], where: str, problems: Problems) -> FilterChain:
    """The filters as run, each where it stands."""
    compiled = (problems.attempt(where, each.compile, site) for each, site in filters)
    hooks = [hook for hook in compiled if hook is not None]
    return FilterChain(
        tuple(hook.request for hook in hooks if hook.request),
        tuple(hook.chosen for hook in hooks if hook.chosen),
        tuple(hook.response for hook in reversed(hooks) if hook.response),
    )


def placed(filters: Sequence[Filter], site: Site) -> Iterator[tuple[Filter, Site]]:
    """Each filter of one list with its own place."""
    return ((each, replace(site, position=position)) for position, each in enumerate(filters, 1))


def _prefixes(matches: list[Match]) -> tuple[bytes, ...]:
    paths = [path for match in matches if isinstance(match, Path) for path in match.patterns()]
    return tuple(path.value for path in paths if path.kind is Kind.PREFIX)


def _methods(retry: doc.Retry) -> frozenset[bytes]:
    methods = _IDEMPOTENT if retry.methods == "idempotent" else retry.methods
    return frozenset(method.encode() for method in methods)


def _never(_facts: object) -> bool:
    return False


def _there_is(names: Mapping[str, object]) -> str:
    return f"there is {', '.join(names)}" if names else "there is none"
