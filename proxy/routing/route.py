"""A compiled route: everything a request needs to know once it has matched."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from proxy.filters.registry import Act, RequestFilter, ResponseFilter
from proxy.http1.facts import Facts
from proxy.pools.endpoint import Endpoint
from proxy.pools.pool import Pool
from proxy.routing.service import Found, Service


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """Where a request goes and what is done on the way: to `service`, or `action` answers it; one of the two is set.

    `pool` is the pool that the route names, whatever the split says; `otherwise` whether others help it out. The
    filters are the service's and the route's, in the order they run. `timeouts` and `retry` are those of
    proxy.snapshot.document, `retry_methods` the methods that `retry` allows to be repeated. `draws` is the service
    whose split alone chooses the pool, where nothing else has a say and nobody watches: no filter, stickiness, name of
    a pool or rollout.
    """

    name: str | None = None
    service: Service | None = None
    pool: Pool | None = None
    otherwise: bool = False
    request_filters: tuple[RequestFilter, ...] = ()
    chosen_filters: tuple[Callable[[Facts], None], ...] = ()
    response_filters: tuple[ResponseFilter, ...] = ()
    action: Act | None = None
    timeouts: Any = None
    retry: Any = None
    retry_methods: frozenset[bytes] = frozenset()
    draws: Service | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        service = self.service
        is_plain = self.action is None and self.pool is None and not self.has_filters
        if is_plain and service is not None and not service.is_sticky and service.watched is None:
            object.__setattr__(self, "draws", service)

    @property
    def has_filters(self) -> bool:
        """Does anything happen to its requests on the way?"""
        return bool(self.request_filters or self.chosen_filters or self.response_filters)

    def endpoint(self, pool: Pool, facts: Facts, tried: tuple[Endpoint, ...] = ()) -> Found | None:
        """Where a request of this pool goes, and to which pool's account; None where nothing can take it (503)."""
        service = self.service
        if service is None:
            return None
        if pool is self.pool:
            return service.named(pool, facts, tried, otherwise=self.otherwise)
        return service.endpoint(pool, facts, tried)
