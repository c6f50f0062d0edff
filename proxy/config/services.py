"""The sections of the YAML about a service: pools, split, and how its requests are sent."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from proxy.config.plugins import one_of
from proxy.config.problems import WrongError
from proxy.config.shapes import OrOff, OrScalar, Section, Shaped, as_key, under
from proxy.config.values import (
    Duration,
    EndpointAddress,
    Flag,
    MaybeTime,
    MaybeToken,
    Method,
    Name,
    Positive,
    RetryOn,
    Share,
    Size,
    SplitPart,
    StatusRange,
    Time,
    UrlPath,
    Weight,
    Whole,
    choice,
)  # fmt: skip
from proxy.filters import FILTERS
from proxy.pools.balancers import BALANCERS
from proxy.snapshot import document

_HEALTH = document.Health("/")
_EJECTION = document.Ejection()
_RETRY = document.Retry()
_TIMEOUTS = document.Timeouts()
_LIMITS = document.Limits()
_STICKY = document.Sticky()

if TYPE_CHECKING:
    AnyFilter = document.Plugin
    Balance = document.Plugin
else:
    AnyFilter = one_of(FILTERS, "Filter")
    Balance = Annotated[one_of(BALANCERS, "Balance"), OrScalar(as_key, {"enum": list(BALANCERS.names())})]
Idempotent = Annotated[str, choice("idempotent")]


class Endpoint(Section):
    """One address of a pool."""

    address: EndpointAddress = Field(description="host:port, [v6]:port or unix:/path.")
    weight: Weight = Field(default=1.0, description="How much it takes relative to the pool's other endpoints.")
    backup: Flag = Field(default=False, description="Take requests only while no other endpoint is usable.")


class Pool(Section):
    """One colour of a service: interchangeable endpoints."""

    endpoints: list[Annotated[Endpoint, OrScalar(under("address"), {"type": "string"})]] = Field(
        min_length=1, description="Its endpoints: an address each, or {address, weight, backup}."
    )
    allow_link_local: Flag = Field(
        default=False, description="Take link-local addresses (169.254.0.0/16, fe80::/10) too."
    )

    @model_validator(mode="after")
    def not_backups_alone(self) -> "Pool":
        """A backup stands behind something."""
        if all(endpoint.backup for endpoint in self.endpoints):
            raise WrongError("every endpoint of the pool is a backup", "leave `backup` out where requests go first")
        return self


class StickyKey(Section):
    """Where a user's own identity stands."""

    header: MaybeToken = Field(default=None, description="A header field of the request.")
    cookie: MaybeToken = Field(default=None, description="A cookie of the application.")

    @model_validator(mode="after")
    def exactly_one(self) -> "StickyKey":
        """Header or cookie, not both."""
        if (self.header is None) == (self.cookie is None):
            raise WrongError("a key is exactly one of header and cookie", "write {header: x-user-id} or {cookie: uid}")
        return self


class Sticky(Section):
    """Who keeps their pool: by a signed cookie of ours, or by an identity of the application's."""

    cookie: MaybeToken = Field(default=None, description="Name of our signed cookie.")
    key: StickyKey | None = Field(
        default=None, description="The application's own identity, instead of a cookie of ours."
    )
    ttl: Time = Field(
        default=_STICKY.ttl, description="How long the cookie lasts; it is renewed with the same identity."
    )
    on_change: Annotated[Literal["move", "hold"], choice("move", "hold")] = Field(
        default=_STICKY.on_change, description="When the split changes: sessions move with it, or keep their pool."
    )
    hold_for: Time = Field(default=_STICKY.hold_for, description="With hold: how long a session keeps its pool.")
    endpoint: Flag = Field(default=_STICKY.endpoint, description="Keep the endpoint too, not just the pool.")

    @model_validator(mode="after")
    def exactly_one(self) -> "Sticky":
        """Cookie or key, not both; holding is written into the cookie."""
        if (self.cookie is None) == (self.key is None):
            raise WrongError("sticky needs exactly one of cookie and key", "write {cookie: sluice_shop}, for example")
        if self.on_change == "hold" and self.cookie is None:
            raise WrongError("on_change: hold needs a cookie", "what is held stands in it; with a key use move")
        return self


class Health(Section):
    """An active probe of every endpoint."""

    path: UrlPath = Field(description="What is asked for.")
    interval: Time = Field(default=_HEALTH.interval, description="Between two probes.")
    timeout: Time = Field(default=_HEALTH.timeout, description="How long an answer may take.")
    passes: Positive = Field(default=_HEALTH.passes, description="This many in a row bring an endpoint back.")
    fails: Positive = Field(default=_HEALTH.fails, description="This many in a row take it out.")
    expect: Annotated[Any, Shaped(scalar=StatusRange, sequence=Annotated[list[StatusRange], Field(min_length=1)])] = (
        Field(default=_HEALTH.expect[0], description="A status, a range of them, or a list of both.")
    )


class Ejection(Section):
    """When an endpoint that keeps failing is taken out, and for how long."""

    consecutive_errors: Positive = Field(default=_EJECTION.consecutive_errors, description="Failures in a row.")
    base: Time = Field(default=_EJECTION.base, description="How long the first time; each further time as much longer.")
    max: Time = Field(default=_EJECTION.max, description="How long at most.")
    max_share: Share = Field(
        default=_EJECTION.max_share, description="The most of a pool that may be out; never the last one."
    )


class Retry(Section):
    """Which failed attempts are made again."""

    retries: Whole = Field(default=_RETRY.retries, description="How often at most.")
    on: list[RetryOn] = Field(default=list(_RETRY.on), description="connect, reset, timeout, 5xx or a status.")
    methods: Annotated[Any, Shaped(scalar=Idempotent, sequence=list[Method])] = Field(
        default=_RETRY.methods, description="Which methods may be sent twice: idempotent, or a list."
    )
    body: Size = Field(default=_RETRY.body, description="The largest body that is kept to be sent again.")
    per_try: MaybeTime = Field(default=_RETRY.per_try, description="How long one attempt may take.")
    budget: Share = Field(
        default=_RETRY.budget,
        description="The most retries relative to requests, beside ways around an endpoint that takes no connection.",
    )


class Timeouts(Section):
    """How long an exchange waits for its upstream."""

    connect: Time = Field(default=_TIMEOUTS.connect, description="For a connection.")
    response: MaybeTime = Field(default=_TIMEOUTS.response, description="For the head of the response.")
    body_idle: MaybeTime = Field(default=_TIMEOUTS.body_idle, description="Without a byte of the body.")
    tunnel_idle: MaybeTime = Field(default=_TIMEOUTS.tunnel_idle, description="Without a byte in a tunnel.")
    total: MaybeTime = Field(default=_TIMEOUTS.total, description="For everything, retries included.")
    upstream_idle: Duration = Field(default=_TIMEOUTS.upstream_idle, description="Idle connections are kept this long.")


class Limits(Section):
    """How much a pool takes at once, over all workers."""

    connections: Positive = Field(default=_LIMITS.connections, description="Connections to all its endpoints.")
    pending: Whole = Field(default=_LIMITS.pending, description="Requests that wait for one.")
    pending_timeout: Time = Field(default=_LIMITS.pending_timeout, description="How long they wait.")


class Service(Section):
    """What a route leads to: named pools and how traffic is split between them."""

    pools: dict[Name, Pool] = Field(min_length=1, description="Its pools by name: blue, green, canary, …")
    split: dict[Name, SplitPart] | None = Field(
        default=None, description="Parts relative to each other, or all in %; required with several pools."
    )
    sticky: Annotated[Sticky | None, OrOff()] = Field(default=None, description="Who keeps their pool.")
    balance: Balance = Field(
        default=document.Plugin("least_requests"), description="Which endpoint of the pool is taken."
    )
    health: Annotated[Health | None, OrOff()] = Field(default=None, description="Active probes.")
    ejection: Annotated[Ejection | None, OrOff()] = Field(
        default=Ejection(), description="Failing endpoints are taken out."
    )
    retry: Retry = Field(default=Retry(), description="Which failed attempts are made again.")
    timeouts: Timeouts = Field(default=Timeouts(), description="How long an exchange waits for its upstream.")
    limits: Limits = Field(default=Limits(), description="How much a pool takes at once.")
    slow_start: MaybeTime = Field(default=None, description="How long a new endpoint takes to get its full weight.")
    filters: list[AnyFilter] = Field(default=[], description="What is changed on the way of its requests.")
