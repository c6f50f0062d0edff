"""Filter `plugin`."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Final, Literal

from proxy.core.units import Unit
from proxy.filters.effects import ChoosePool, Effect, Reply, Run, refusal
from proxy.filters.registry import FILTERS, Hooks, RequestFilter, ResponseFilter
from proxy.filters.site import Classes, Site
from proxy.http1.facts import Facts
from proxy.http1.message import ResponseHead
from proxy.plugins.files import split_use
from proxy.plugins.host import NOTHING, Host, Outcome, PluginError, reply_parts
from proxy.telemetry.record import Record

_SENTENCES: Final = {
    "plugin_failed": (500, "a plug-in failed on this request"),
    "plugin_timeout": (504, "a plug-in took too long over this request"),
}


@FILTERS.register("plugin")
@dataclass(frozen=True, slots=True)
class Plugin:
    """Runs a class of your own: `use: "module:Class"`, from a file below `plugins: {path: …}` or an installed package.

    `options` are its fields. It may change requests and responses, name a pool, and answer (docs/plugins.md). One that
    raises, or is not done within `timeout`, fails the request (500, 504) or, with `on_error: skip`, only itself.
    """

    use: str
    options: dict[str, Any] = field(default_factory=dict)
    on_error: Literal["fail", "skip"] = "fail"
    timeout: Annotated[float, Unit.DURATION] = 1.0

    def __post_init__(self) -> None:
        split_use(self.use)
        if self.timeout <= 0:
            raise ValueError("no async hook is done within no time; use a timeout like 1s")

    def compile(self, site: Site) -> Hooks:
        library = site.plugins
        if library is None:  # nothing that users wrote is run to check a configuration
            return Hooks()
        host = site.keep((self, library.version(self.use)), lambda: self._host(library, site))
        request = RequestFilter(partial(_on_request, host, site), partial(_on_end, host), sees_all=True, standing=host)
        response = ResponseFilter(partial(_on_response, host)) if host.sees_response else None
        return Hooks(request, response=response)

    def _host(self, library: Classes, site: Site) -> Host:
        try:
            plugin = library.make(self.use, self.options)
        except ValueError as error:
            raise ValueError(f"plug-in {self.use}: its options do not fit: {error}") from None
        return Host(self.use, site.where, plugin, self.on_error, self.timeout)


def _on_request(host: Host, site: Site, facts: Facts) -> Effect | None:
    host.passed()
    if not host.sees_request:
        return None
    try:
        said = host.request(facts)
    except PluginError as error:
        return _refused(error)
    if said is NOTHING:
        return None
    if isinstance(said, Outcome):
        return _effect(host, site, said)
    return Run(_awaited(host, site, said), host.timeout, partial(_failed, host))


async def _awaited(host: Host, site: Site, work: Coroutine[Any, Any, Outcome]) -> Effect | None:
    return _effect(host, site, await work)


def _failed(host: Host, error: Exception) -> Effect | None:
    try:
        if isinstance(error, PluginError):
            return _refused(error)
        host.failed(error)
    except PluginError as failure:
        return _refused(failure)
    return None


def _effect(host: Host, site: Site, said: Outcome) -> Effect | None:
    try:
        if said.reply is not None:
            return Reply(*reply_parts(said.reply))
        if said.pool is not None and site.pools is not None and said.pool not in site.pools:
            raise LookupError(f"it names pool {said.pool!r}; there is {', '.join(site.pools) or 'none here'}")  # noqa: TRY301
    except Exception as error:  # noqa: BLE001 - a reply's parts are whatever users made them
        return _failed(host, error)
    return None if said.pool is None else ChoosePool(said.pool)


def _refused(error: PluginError) -> Reply:
    status, sentence = _SENTENCES[error.reason]
    return refusal(status, error.reason, sentence)


def _on_response(host: Host, facts: Facts, head: ResponseHead) -> Reply | Run | None:
    try:
        work = host.response(facts, head)
    except PluginError as error:
        return _refused(error)
    return None if work is None else Run(work, host.timeout, partial(_failed, host))


def _on_end(host: Host, _facts: Facts, record: Callable[[], Record]) -> Run | None:
    work = host.ending(record()) if host.sees_end else None
    if work is None:
        host.ended()
        return None
    return Run(_last(host, work), host.timeout, partial(_failed, host))


async def _last(host: Host, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    finally:
        host.ended()
