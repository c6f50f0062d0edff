"""The validated Document: what the configuration says, as plain data that crosses process boundaries.

It is the wall between control and data: config/ writes it, snapshot/ compiles it, msgspec carries it. It holds no
behaviour, no YAML and no source places. Durations are seconds, sizes are bytes, shares are fractions of one; `None`
stands for what the YAML calls `off`.
"""

from typing import Any, Final, Literal

from msgspec import Struct

from proxy.flags.spec import FlagOverride, Flags
from proxy.plugins.files import PluginFiles
from proxy.rollouts.spec import RolloutSpec
from proxy.telemetry.evidence import Watch

PLUGIN: Final = "plugin"
"""The filter that runs what users wrote; its option `use` is `module:Class`."""


class Plugin(Struct, frozen=True):
    """A match, filter, balancer or action by its registered name, with its options as plain data."""

    kind: str
    options: dict[str, Any] = {}


class ListenerLimits(Struct, frozen=True):
    """What one listener takes from its clients."""

    head: int = 32 * 1024
    fields: int = 100
    target: int = 8 * 1024
    body: int | None = None
    head_timeout: float = 10.0
    keep_alive: float = 75.0
    min_rate: int | None = 240
    connections: int = 20_000
    per_client: int | None = None


class Listener(Struct, frozen=True):
    """A bound address and its limits. `bind` is `host:port`, `[v6]:port` or `unix:/path`."""

    bind: str
    trusted_proxies: tuple[str, ...] = ()
    limits: ListenerLimits = ListenerLimits()


class AdminToken(Struct, frozen=True):
    """A bearer token with the name that the journal gives to its owner, and what it is good for."""

    name: str
    value: str
    can: tuple[str, ...] = ("read", "change")


class Admin(Struct, frozen=True):
    """Where the admin API listens and who may call it. `token` is good for everything."""

    bind: str = "127.0.0.1:9900"
    token: str | None = None
    hosts: tuple[str, ...] = ()
    tokens: tuple[AdminToken, ...] = ()


class Shutdown(Struct, frozen=True):
    """How the proxy ends: still taking requests, then closing idle connections, then at the latest."""

    delay: float = 0.0
    idle: float = 2.0
    grace: float = 25.0


class AccessLog(Struct, frozen=True):
    """Where requests are logged, how, and which. `path` is absolute, or `stdout` or `stderr`.

    `format` is `json`, `combined` or a text with {fields} (proxy.telemetry.access_log). Logged are those with one of
    the `statuses` (inclusive ranges) or slower than so many seconds, and of the others the share `sample`.
    """

    path: str
    format: str = "json"
    sample: float = 1.0
    statuses: tuple[tuple[int, int], ...] = ()
    slower_than: float | None = None


class Endpoint(Struct, frozen=True):
    """One address of a pool and its weight among the pool's endpoints.

    `name` is the `host:port` that the address was resolved from, None where it was written as it is. `drain`: a person
    takes it out. `backup`: it is for when no other of its pool is usable.
    """

    address: str
    weight: float = 1.0
    name: str | None = None
    drain: bool = False
    backup: bool = False


class Pool(Struct, frozen=True):
    """One colour of a service. Raising `epoch` voids what binds held sessions to it. `drain`: a person empties it.

    `allow_link_local` was obeyed when the addresses were checked; whoever resolves their names has to obey it too.
    `updated` are the endpoints, as they are written, that a rolling update has updated; None while there is none.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    epoch: int = 0
    drain: bool = False
    allow_link_local: bool = False
    updated: tuple[str, ...] | None = None


class StickyKey(Struct, frozen=True):
    """Where a user's own identity stands: a header, or the application's cookie."""

    source: Literal["header", "cookie"]
    name: str


class Sticky(Struct, frozen=True):
    """Who keeps their pool: by our signed `cookie`, or by the application's own `key`; exactly one is set."""

    cookie: str | None = None
    key: StickyKey | None = None
    ttl: float = 30 * 86_400.0
    on_change: Literal["move", "hold"] = "move"
    hold_for: float = 3_600.0
    endpoint: bool = False


class Health(Struct, frozen=True):
    """An active probe. `expect` is a list of inclusive status ranges."""

    path: str
    interval: float = 2.0
    timeout: float = 1.0
    passes: int = 2
    fails: int = 3
    expect: tuple[tuple[int, int], ...] = ((200, 399),)


class Ejection(Struct, frozen=True):
    """When an endpoint that keeps failing is taken out, and for how long."""

    consecutive_errors: int = 5
    base: float = 30.0
    max: float = 300.0
    max_share: float = 0.5


class Retry(Struct, frozen=True):
    """Which failed attempts are made again. `on` holds `connect`, `reset`, `timeout`, `5xx` or a status as text."""

    retries: int = 1
    on: tuple[str, ...] = ("connect", "reset")
    methods: tuple[str, ...] | Literal["idempotent"] = "idempotent"
    body: int = 64 * 1024
    per_try: float | None = None
    budget: float = 0.2


class Timeouts(Struct, frozen=True):
    """How long an exchange waits for its upstream. `total` includes retries."""

    connect: float = 2.0
    response: float | None = 60.0
    body_idle: float | None = 60.0
    tunnel_idle: float | None = 3_600.0
    total: float | None = None
    upstream_idle: float = 4.0


class Limits(Struct, frozen=True):
    """How much a pool takes at once, over all workers."""

    connections: int = 1024
    pending: int = 1024
    pending_timeout: float = 5.0


class Service(Struct, frozen=True):
    """What a route leads to. `split` has the share of every pool that has one, as fractions that add up to 1.

    `table` is the bucket table of a sticky service (proxy.routing.split.BucketTable, encoded): it remembers how the
    split came to be what it is, so only the controller makes one; None where there was none before.
    """

    name: str
    pools: tuple[Pool, ...]
    split: dict[str, float]
    sticky: Sticky | None = None
    balance: Plugin = Plugin("least_requests")
    health: Health | None = None
    ejection: Ejection | None = Ejection()
    retry: Retry = Retry()
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    slow_start: float | None = None
    filters: tuple[Plugin, ...] = ()
    table: bytes | None = None
    watch: Watch | None = None


class Route(Struct, frozen=True):
    """Which requests, and where they go: to a service, or to a reply of our own (`redirect`, `respond`).

    `match` holds one Plugin per match key, in the order of the YAML; all must hold. `timeouts` and `retry` are already
    merged over the service's, `None` where the route says nothing.
    """

    name: str | None = None
    match: tuple[Plugin, ...] = ()
    service: str | None = None
    pool: str | None = None
    otherwise: Literal["split"] | None = None
    action: Plugin | None = None
    timeouts: Timeouts | None = None
    retry: Retry | None = None
    filters: tuple[Plugin, ...] = ()


class Document(Struct, frozen=True):
    """Everything one configuration says."""

    listeners: tuple[Listener, ...]
    services: tuple[Service, ...] = ()
    routes: tuple[Route, ...] = ()
    filters: tuple[Plugin, ...] = ()
    admin: Admin = Admin()
    status: str | None = None
    workers: int | Literal["auto"] = 1
    store: str | None = None
    cookie_keys: tuple[str, ...] = ()
    shutdown: Shutdown = Shutdown()
    restart_grace: float = 3_600.0
    dns_interval: float = 5.0
    access_log: AccessLog | None = None
    plugins: PluginFiles | None = None
    rollouts: tuple[RolloutSpec, ...] = ()
    flags: Flags | None = None
    flag_overrides: dict[str, FlagOverride] = {}

    @property
    def uses(self) -> tuple[str, ...]:
        """The plug-in classes that it names, each once."""
        of_services = (service.filters for service in self.services)
        everywhere = (self.filters, *of_services, *(route.filters for route in self.routes))
        found = (each.options["use"] for filters in everywhere for each in filters if each.kind == PLUGIN)
        return tuple(dict.fromkeys(found))

    @property
    def binds(self) -> tuple[str, ...]:
        """Every address that we listen at: for traffic, for the admin, for the status."""
        status = (self.status,) if self.status else ()
        return (*(listener.bind for listener in self.listeners), self.admin.bind, *status)
