"""The whole of the YAML."""

from typing import Annotated, Any

from pydantic import Field

from proxy.config.access_log import AnyAccessLog
from proxy.config.flags import FlagSettings
from proxy.config.listeners import Admin, Dns, Listener, Plugins, Restart, Shutdown, Status, Store
from proxy.config.plugins import AsWritten
from proxy.config.rollouts import Rollout
from proxy.config.routes import Route
from proxy.config.services import AnyFilter, Service
from proxy.config.shapes import OrOff, Section
from proxy.config.tree import Scalar
from proxy.config.values import Name, Secret, Written, whole

_WORKERS = whole(1, 1024)


def _workers(scalar: Scalar) -> int | str:
    return "auto" if scalar == "auto" else int(_WORKERS.parse(scalar))


Workers = Annotated[int | str, Written(_workers, {"anyOf": [{"const": "auto"}, _WORKERS.schema]})]


class Root(Section):
    """A configuration of Sluicegate. Keys that begin with `x-` are free, for anchors."""

    listeners: list[Listener] = Field(min_length=1, description="Where clients connect.")
    admin: Admin = Field(default=Admin(), description="The admin API.")
    status: Annotated[Status | None, OrOff()] = Field(
        default=None, description="An address for kubelet and Prometheus."
    )
    workers: Workers = Field(default=1, description="How many processes carry traffic, or auto.")
    store: Store | None = Field(default=None, description="Where state is kept.")
    cookie_keys: list[Secret] = Field(default=[], description="Keys of sticky cookies: the first signs, all verify.")
    shutdown: Shutdown = Field(default=Shutdown(), description="How the proxy ends.")
    restart: Restart = Field(default=Restart(), description="How a restart ends the old processes.")
    dns: Dns = Field(default=Dns(), description="How host names are resolved.")
    access_log: AnyAccessLog = Field(default=None, description="Where requests are logged.")
    plugins: Plugins | None = Field(default=None, description="Where classes of your own are.")
    services: dict[Name, Service] = Field(default={}, description="What routes lead to, by name.")
    filters: list[AnyFilter] = Field(default=[], description="What is changed on every request, before routing.")
    flags: Annotated[Any, AsWritten()] = Field(
        default=None, description="Feature flags as a flagd document ({flags: {…}, $evaluators: {…}}), or {file: …}."
    )
    flag_rules: Annotated[Any, AsWritten()] = Field(
        default=None, description="Feature flags in the short form, by key."
    )
    flag_settings: FlagSettings = Field(default=FlagSettings(), description="What goes with the flags.")
    rollouts: dict[Name, Rollout] = Field(default={}, description="How services move from one pool to another.")
    routes: list[Route] = Field(min_length=1, description="Which requests go where; the first that matches wins.")
