"""A document compiled into one immutable generation: all that a request is decided by."""

from collections import Counter
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from proxy.filters.registry import RequestFilter, ResponseFilter, Standing
from proxy.filters.site import Classes, Site
from proxy.http1.facts import Facts
from proxy.pools.registry import EndpointRegistry
from proxy.routing.router import Router
from proxy.routing.service import Service
from proxy.snapshot.document import Document, Listener
from proxy.snapshot.parts import hashes, parts, service_part
from proxy.snapshot.problems import CompileError, Problems
from proxy.snapshot.routes import FilterChain, RouteCompiler, compile_filters, placed
from proxy.snapshot.services import Sources, build_filters, compile_service

if TYPE_CHECKING:
    from proxy.filters.flagging import FlagBoard

FLAGGED: Final = ("flags", "when")
"""Matches that need the flags' engine."""

__all__ = ["CompileError", "Snapshot", "compile_snapshot", "compiling"]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One generation. A request reads it once and lets go of it when its response head is sent.

    `filters` run on every request before it is routed, `chosen_filters` when its pool is known, `response_filters` on
    every response, last. `hashes` has the content hash of every part of the document (proxy.snapshot.parts).
    `standings` are those of all its filters, `flags` the feature flags where there are any.
    """

    generation: int
    hashes: Mapping[str, bytes]
    router: Router
    services: Mapping[str, Service]
    filters: tuple[RequestFilter, ...]
    chosen_filters: tuple[Callable[[Facts], None], ...]
    response_filters: tuple[ResponseFilter, ...]
    listeners: tuple[Listener, ...]
    registry: EndpointRegistry
    standings: frozenset[Standing] = frozenset()
    flags: "FlagBoard | None" = None
    has_filters: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "has_filters", bool(self.filters or self.chosen_filters))

    def activate(self) -> None:
        """Put weights, limits and endpoints of this generation into force; others' endpoints become removed.

        Called once, when the snapshot is published, for the first one too.
        """
        self.registry.activate(pool for service in self.services.values() for pool in service.pools.values())

    def succeed(self, before: "Snapshot | None") -> None:
        """Tell filters whether they stand. Called once, when requests go by this generation already."""
        for each in self.standings:
            each.begin()
        for each in before.standings - self.standings if before else ():
            each.end()


def compile_snapshot(  # noqa: PLR0913  the composition root's call: every source of the undetermined by its name
    document: Document,
    generation: int,
    registry: EndpointRegistry,
    chance: Callable[[], float],
    *,
    previous: Snapshot | None = None,
    cookie_keys: tuple[str, ...] = (),
    token: Callable[[int], bytes],
    plugins: Classes | None = None,
) -> Snapshot:
    """The snapshot of a document; CompileError with every problem there is.

    What has not changed since `previous` is taken from there. `chance` gives numbers in [0, 1), `token` that many
    random bytes; `cookie_keys` stand in where the document has none, `plugins` are users' own classes. Nothing is in
    force before `activate`.
    """
    workers = document.workers if isinstance(document.workers, int) else 1
    keys = document.cookie_keys or cookie_keys
    sources = Sources(registry, chance, keys, token, workers, plugins=plugins)
    steps = compiling(document, hashes(parts(document)), generation, sources, previous)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            snapshot: Snapshot = done.value
            return snapshot


def compiling(
    document: Document,
    digests: Mapping[str, bytes],
    generation: int,
    sources: Sources,
    previous: Snapshot | None,
) -> Generator[None, None, Snapshot]:
    """The same in slices of well under a millisecond: what a loop that carries traffic does in between is its business.

    `digests` are the hashes of the document's parts.
    """
    if previous is not None and previous.hashes.get("plugins") != digests.get("plugins"):
        previous = replace(previous, hashes={})  # other code behind the same words: nothing of it is the same
    job = _Job(document, sources, dict(digests), previous, Problems())
    services: dict[str, Service | None] = {}
    yield from job.services(services)
    filters = job.filters()
    flags = yield from job.flags()
    router = yield from job.router(services, flags)
    job.problems.done()
    compiled = {name: service for name, service in services.items() if service is not None}
    return Snapshot(
        generation,
        job.hashes,
        router,
        compiled,
        filters.requests,
        filters.chosen,
        filters.responses,
        document.listeners,
        sources.registry,
        _standings(filters.requests, router),
        flags,
    )


def _standings(filters: tuple[RequestFilter, ...], router: Router) -> frozenset[Standing]:
    chains = (filters, *(row.route.request_filters for row in router.rows))
    return frozenset(each.standing for chain in chains for each in chain if each.standing is not None)


@dataclass(frozen=True, slots=True)
class _Job:
    """One compile, part by part."""

    document: Document
    sources: Sources
    hashes: dict[str, bytes]
    previous: Snapshot | None
    problems: Problems

    def services(self, compiled: dict[str, Service | None]) -> Generator[None, None, None]:
        names = Counter(service.name for service in self.document.services)
        for name, times in names.items():
            if times > 1:
                self.problems.add(f"service {name}", "it is there twice; give each service its own name")
        for service in self.document.services:
            before = self.previous.services.get(service.name) if self.previous else None
            same = before is not None and self._is_same(service_part(service.name)) and self._is_same("workers")
            if before is not None and same and (self._same_keys() or before.sticky_cookie is None):
                compiled[service.name] = before
            else:
                compiled[service.name] = compile_service(service, self.sources, before, self.problems)
                yield

    def filters(self) -> FilterChain:
        if self.previous and self._is_same("filters") and self._is_same("workers"):
            return FilterChain(self.previous.filters, self.previous.chosen_filters, self.previous.response_filters)
        built = build_filters(self.document.filters, "filters", self.problems)
        sources = self.sources
        site = Site((), "filters", 1, None, sources.chance, sources.workers, sources.states, sources.plugins)
        return compile_filters(placed(built, site), "filters", self.problems)

    def flags(self) -> "Generator[None, None, FlagBoard | None]":
        if self.document.flags is None and not self._uses_flags():
            return None
        from proxy.snapshot.flags import compile_flags  # noqa: PLC0415 - 1.3 MiB and 36 ms for who has none

        version = b"".join(self.hashes.get(part, b"") for part in ("flags", "flag_overrides")).hex()
        before = self.previous.flags if self.previous else None
        if before is not None and before.version == version:
            return before
        same = before is not None and self._is_same("flags")
        return (yield from compile_flags(self.document, self.sources, version, before if same else None))

    def router(
        self, services: Mapping[str, Service | None], flags: "FlagBoard | None"
    ) -> Generator[None, None, Router]:
        compiler = RouteCompiler(services, self.sources, self.problems, flags)
        if self.previous is None or not (self._is_same("routes") and self._is_same("workers") and self._same_rules()):
            return (yield from compiler.router(self.document.routes))
        if services == self.previous.services:
            return self.previous.router
        return (yield from compiler.router(self.document.routes, self.previous.router.rows))

    def _is_same(self, part: str) -> bool:
        return self.previous is not None and self.previous.hashes.get(part) == self.hashes[part]

    def _same_rules(self) -> bool:
        """Is what conditions of routes refer to the same?"""
        return not self._uses_flags() or self._is_same("flags")

    def _uses_flags(self) -> bool:
        return any(match.kind in FLAGGED for route in self.document.routes for match in route.match)

    def _same_keys(self) -> bool:
        return self._is_same("cookie_keys")
