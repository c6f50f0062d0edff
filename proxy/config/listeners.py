"""The sections of the YAML about the process itself: listeners, admin, and how it starts and ends."""

from typing import Annotated

from pydantic import Field

from proxy.config.shapes import Section
from proxy.config.values import (
    AdminHost,
    Bind,
    Duration,
    FilePath,
    MaybePositive,
    MaybeSecret,
    MaybeSize,
    Name,
    Network,
    Positive,
    PositiveSize,
    Secret,
    Time,
    choice,
)  # fmt: skip
from proxy.snapshot import document

Can = Annotated[str, choice("read", "change")]

_LIMITS = document.ListenerLimits()
_SHUTDOWN = document.Shutdown()


class ListenerLimits(Section):
    """What one listener takes from its clients."""

    head: PositiveSize = Field(default=_LIMITS.head, description="Largest head of a request; beyond it: 431.")
    fields: Positive = Field(default=_LIMITS.fields, description="Most header fields of a request; beyond it: 431.")
    target: PositiveSize = Field(default=_LIMITS.target, description="Longest request target; beyond it: 414.")
    body: MaybeSize = Field(default=_LIMITS.body, description="Largest body of a request; beyond it: 413.")
    head_timeout: Time = Field(default=_LIMITS.head_timeout, description="How long a head may take to arrive.")
    keep_alive: Time = Field(default=_LIMITS.keep_alive, description="How long an idle connection is kept.")
    min_rate: MaybeSize = Field(default=_LIMITS.min_rate, description="Least bytes per second of a body.")
    connections: Positive = Field(default=_LIMITS.connections, description="Most connections at once.")
    per_client: MaybePositive = Field(
        default=_LIMITS.per_client, description="Most connections at once of one client address."
    )


class Listener(Section):
    """A bound address and its limits."""

    bind: Bind = Field(description="host:port, [v6]:port or unix:/path; port 0 is any free one.")
    trusted_proxies: list[Network] = Field(default=[], description="Networks whose forwarding fields are believed.")
    limits: ListenerLimits = Field(default=ListenerLimits(), description="What it takes from its clients.")


class AdminToken(Section):
    """One more bearer token, with a name for the journal."""

    name: Name = Field(description="Who has it; changes are journalled as made by this name.")
    value: Secret = Field(description="The token itself.")
    can: list[Can] = Field(
        default=["read", "change"], min_length=1, description="What it is good for: read, change or both."
    )


class Admin(Section):
    """Where the admin API listens and who may call it."""

    bind: Bind | None = Field(
        default=None, description="Default 127.0.0.1:9900. Not loopback, nor unix: needs a token."
    )
    token: MaybeSecret = Field(default=None, description="Bearer token that every call has to carry.")
    tokens: list[AdminToken] = Field(default=[], description="Further bearer tokens, by name.")
    hosts: list[AdminHost] = Field(default=[], description="Further names that are accepted in Host.")


class Status(Section):
    """A second address with only GET /healthz, /readyz and /metrics."""

    bind: Bind = Field(description="host:port, [v6]:port or unix:/path.")


class Store(Section):
    """Where overrides, bucket tables and the journal are kept."""

    path: FilePath = Field(description="A directory of this instance alone, relative to the file.")


class Plugins(Section):
    """Where classes of your own are."""

    path: FilePath = Field(description="A directory of Python files, relative to this file.")


class Shutdown(Section):
    """How the proxy ends."""

    delay: Duration = Field(default=_SHUTDOWN.delay, description="Not ready, but still taking requests.")
    idle: Duration = Field(
        default=_SHUTDOWN.idle, description="An idle connection is closed after this long without a request."
    )
    grace: Duration = Field(default=_SHUTDOWN.grace, description="What is left is cut after this long.")


class Restart(Section):
    """How a restart ends the old processes."""

    grace: Duration = Field(default=document.Document(()).restart_grace, description="How long tunnels may go on.")


class Dns(Section):
    """How host names of endpoints are resolved."""

    interval: Time = Field(default=document.Document(()).dns_interval, description="How often they are resolved again.")
