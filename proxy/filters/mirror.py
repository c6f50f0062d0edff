"""Filter `mirror`."""

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from proxy.core.units import Bytes, Share
from proxy.filters.effects import Shadow
from proxy.filters.registry import FILTERS, Hooks, RequestFilter
from proxy.filters.site import Site
from proxy.http1.facts import Facts
from proxy.http1.message import WEBSOCKET
from proxy.telemetry.counters import MirrorCounters

MARK: Final = b"x-sluice-shadow"
"""The field that tells a copy from a request. Like all that proxies tell, only trusted peers' is passed on."""

_MOST_BODY: Final = 1024 * 1024  # bytes; a copy is kept in memory until it is sent
_METHOD: Final = re.compile(r"[A-Z][A-Z-]{0,31}")
_SUFFIX: Final = re.compile(r"[A-Za-z0-9-]{0,31}[A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class _Counted:
    """What the counters are kept by: they outlive changes of the filter, and all of a service's share them."""

    pool: str


@FILTERS.register("mirror")
@dataclass(frozen=True, slots=True)
class Mirror:
    """Sends copies to another `pool` of the service and throws its answers away; clients and real requests never wait.

    `share` of the requests with one of `methods` and a body of at most `body` (up to 1MiB) are copied, without Cookie,
    Authorization and Proxy-Authorization unless `credentials`, and with `host_suffix` behind the first label of the
    Host. Copies carry `x-sluice-shadow: 1` and what later filters have changed. Requests that a filter answers,
    upgrades, and copies themselves are not copied.
    """

    pool: str
    share: Share = 1.0
    methods: tuple[str, ...] = ("GET", "HEAD", "OPTIONS")
    credentials: bool = False
    body: Bytes = 64 * 1024
    host_suffix: str = ""

    def __post_init__(self) -> None:
        if not self.methods:
            raise ValueError("mirror has no methods and copies nothing; leave them out for GET, HEAD and OPTIONS")
        for method in self.methods:
            if not _METHOD.fullmatch(method) or method == "CONNECT":
                raise ValueError(f"{method!r} is not a method to copy; write it like GET or POST")
        if self.body > _MOST_BODY:
            raise ValueError("the body is kept in memory until it is copied; 1MiB is the most")
        if self.host_suffix and not _SUFFIX.fullmatch(self.host_suffix):
            raise ValueError(f"{self.host_suffix!r} cannot end a label of a host name; write it like -shadow")

    def compile(self, site: Site) -> Hooks:
        self._require_pool(site)
        of_service = replace(site, where=f"service {site.service}", position=0)
        counters = of_service.keep(_Counted(self.pool), partial(MirrorCounters, site.service, self.pool))
        shadow = Shadow(self.pool, self.body, self.credentials, self.host_suffix.encode(), counters)
        methods = frozenset(method.encode() for method in self.methods)
        share, chance = self.share, site.chance

        def on_request(facts: Facts) -> Shadow | None:
            head = facts.head
            if head.method not in methods or head.flags & WEBSOCKET or (head.forwarded and MARK in head.forwarded):
                return None
            return shadow if share >= 1 or chance() < share else None

        return Hooks(request=RequestFilter(on_request))

    def _require_pool(self, site: Site) -> None:
        """ValueError where there is no such pool, or nothing else to compare it with."""
        if site.pools is None:
            raise ValueError("mirror copies to a pool of the same service; put it into a service or one of its routes")
        if not site.pools:
            raise ValueError("mirror needs a route that leads to a service; an action has no pools")
        if self.pool not in site.pools:
            raise ValueError(f"there is no pool {self.pool!r} in the service; there is {', '.join(site.pools)}")
        if len(site.pools) == 1:
            raise ValueError(f"{self.pool} is the only pool of the service; add the one to copy to")
