"""A Document in the words and the shape of the YAML, for people to read; what is secret is masked."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, to_builtins

from proxy.config.shown_options import shown_options
from proxy.config.tree import SECRET, Scalar, Sequence, Tree, scalars
from proxy.config.tree import Mapping as WrittenTree
from proxy.core.registry import Registry
from proxy.core.units import format_duration, format_share, format_size
from proxy.filters import ACTIONS, FILTERS
from proxy.flags.spec import ContextSource, FlagSettings, KeySource
from proxy.pools.balancers import BALANCERS
from proxy.rollouts.judging import Judging
from proxy.rollouts.spec import RolloutSpec, Written
from proxy.rollouts.step import STEPS
from proxy.rollouts.strategy import STRATEGIES
from proxy.snapshot import document as doc

_SIZES: Final[Mapping[type, tuple[str, ...]]] = {
    doc.ListenerLimits: ("head", "target", "body", "min_rate"),
    doc.Retry: ("body",),
}
_DURATIONS: Final = frozenset(
    (
        *(
            "head_timeout",
            "keep_alive",
            "delay",
            "idle",
            "grace",
            "ttl",
            "hold_for",
            "interval",
            "timeout",
            "base",
            "max",
        ),
        *("per_try", "connect", "response", "body_idle", "tunnel_idle", "total", "upstream_idle", "pending_timeout"),
        *("slow_start",),
    )
)
_SHARES: Final = frozenset(("max_share", "budget"))
_NO_OFF: Final = frozenset(("name", "pool", "otherwise", "service", "token", "cookie", "key"))


def effective(document: doc.Document, tree: Tree) -> dict[str, Any]:
    """What is in force, as the YAML would say it. `tree` is the file that it came from: it tells what is secret."""
    admin: dict[str, Any] = {"bind": document.admin.bind, "hosts": list(document.admin.hosts)}
    if document.admin.token is not None:
        admin["token"] = SECRET
    if document.admin.tokens:
        admin["tokens"] = [
            {"name": each.name, "value": SECRET, "can": list(each.can)} for each in document.admin.tokens
        ]
    shown = {
        "listeners": [_section(each) for each in document.listeners],
        "admin": admin,
        "status": "off" if document.status is None else {"bind": document.status},
        "workers": document.workers,
        "cookie_keys": [SECRET for _ in document.cookie_keys],
        "shutdown": _section(document.shutdown),
        "restart": {"grace": format_duration(document.restart_grace)},
        "dns": {"interval": format_duration(document.dns_interval)},
        "services": {service.name: _service(service) for service in document.services},
        "filters": [_plugin(each, FILTERS) for each in document.filters],
        "routes": [_route(each) for each in document.routes],
    }
    shown["access_log"] = "off" if document.access_log is None else _access_log(document.access_log)
    if document.store is not None:
        shown["store"] = {"path": document.store}
    if document.rollouts:
        shown["rollouts"] = {spec.name: _rollout(spec) for spec in document.rollouts}
    if document.flags is not None:
        shown["flags"] = to_builtins(document.flags.document)
        shown["flag_settings"] = _flag_settings(document.flags.settings)
    if document.plugins is not None:
        shown["plugins"] = {"path": document.plugins.path}
    found: dict[str, Any] = masked(shown, tree)
    return found


def masked(shown: Any, tree: Tree | None) -> Any:
    """The same without what stands in `tree`, at the same place, and came from a variable."""
    if tree is None or not any(scalar.secret for scalar in scalars(tree)):
        return shown
    if isinstance(tree, WrittenTree) and isinstance(shown, dict):
        return {name: masked(value, tree.get(name)) for name, value in shown.items()}
    if isinstance(tree, Sequence) and isinstance(shown, list) and len(tree) == len(shown):
        return [masked(value, part) for value, part in zip(shown, tree, strict=True)]
    if isinstance(tree, Sequence) and isinstance(shown, list):
        return [_unless_secret(value, tree) for value in shown]
    if isinstance(tree, Scalar) and isinstance(shown, dict) and "address" in shown:
        return {**shown, "address": SECRET}  # an endpoint that is written as its address alone
    return SECRET


def _unless_secret(value: Any, tree: Tree) -> Any:
    """One of a list that has become longer or shorter than the file's."""
    secrets = {str(scalar) for scalar in scalars(tree) if scalar.secret}
    told = {str(each) for each in (value.values() if isinstance(value, dict) else (value,))}
    return SECRET if told & secrets else value


def _section(struct: Struct, *without: str) -> dict[str, Any]:
    """A struct whose fields are called as in the YAML. What is None is `off`, or left out where nothing can be off."""
    sizes = _SIZES.get(type(struct), ())
    found = {}
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if name in without or (value is None and name in _NO_OFF):
            continue
        found[name] = "off" if value is None else _value(name, value, is_size=name in sizes)
    return found


def _value(name: str, value: Any, *, is_size: bool) -> Any:
    if is_size:
        return format_size(value)
    if name in _DURATIONS and isinstance(value, float):
        return format_duration(value)
    if name in _SHARES:
        return format_share(value)
    if isinstance(value, doc.StickyKey):
        return {value.source: value.name}
    if isinstance(value, tuple):
        return list(value)
    return _section(value) if isinstance(value, Struct) else to_builtins(value)


def _service(service: doc.Service) -> dict[str, Any]:
    found = _section(service, "name", "pools", "split", "balance", "filters", "table", "health", "watch")
    found["health"] = "off" if service.health is None else _health(service.health)
    found["balance"] = _plugin(service.balance, BALANCERS)
    found["filters"] = [_plugin(each, FILTERS) for each in service.filters]
    found["pools"] = {pool.name: _pool(pool) for pool in service.pools}
    found["split"] = {pool.name: _per_cent(service.split.get(pool.name, 0.0)) for pool in service.pools}
    return found


def _per_cent(share: float) -> float:
    rounded = round(share * 100, 9)
    return int(rounded) if rounded == int(rounded) else rounded


def _access_log(settings: doc.AccessLog) -> dict[str, Any]:
    found: dict[str, Any] = {
        "path": settings.path, "format": settings.format, "sample": format_share(settings.sample)
    }  # fmt: skip
    only: dict[str, Any] = {}
    if settings.statuses:
        only["status"] = _ranges(settings.statuses)
    if settings.slower_than is not None:
        only["slower_than"] = format_duration(settings.slower_than)
    return {**found, "if": only} if only else found


def _ranges(found: tuple[tuple[int, int], ...]) -> str | list[str]:
    ranges = [str(low) if low == high else f"{low}-{high}" for low, high in found]
    return ranges[0] if len(ranges) == 1 else ranges


def _health(health: doc.Health) -> dict[str, Any]:
    return {**_section(health, "expect"), "expect": _ranges(health.expect)}


def _pool(pool: doc.Pool) -> dict[str, Any]:
    return {
        "endpoints": [
            {"address": each.name or each.address, "weight": each.weight, "backup": each.backup}
            for each in _named(pool.endpoints)
        ]
    }


def _named(endpoints: tuple[doc.Endpoint, ...]) -> list[doc.Endpoint]:
    """One for each that was written, however many addresses its name stands for."""
    return list({each.name or each.address: each for each in endpoints}.values())


def _rollout(spec: RolloutSpec) -> dict[str, Any]:
    found: dict[str, Any] = {"service": spec.service, "stable": spec.stable, "candidate": spec.candidate}
    if spec.pool is not None:
        found = {"service": spec.service, "pool": spec.pool}
    if spec.steps:
        found["steps"] = [_plugin(each, STEPS) for each in spec.steps]
    else:
        found["strategy"] = _plugin(spec.strategy, STRATEGIES)
    judge = shown_options(Judging, spec.judge)
    if "statuses" in judge.get("errors", {}):
        judge["errors"]["statuses"] = _ranges(tuple(judge["errors"]["statuses"]))
    return {
        **found,
        "judge": judge,
        "on_no_data": spec.on_no_data,
        "on_abort": {"gradual": format_duration(spec.gradual)} if spec.gradual else "at_once",
        "on_success": spec.on_success,
        "hooks": dict(spec.hooks),
    }


def _flag_settings(settings: FlagSettings) -> dict[str, Any]:
    header = settings.upstream_header
    return {
        "bucketing": settings.bucketing,
        "key_from": [_key_source(each) for each in settings.key_from],
        "context": {name: _context_source(each) for name, each in settings.context.items()},
        "public": list(settings.public),
        **({} if header is None else {"upstream_header": {"name": header.name, "flags": list(header.flags)}}),
        "code_default": settings.code_default,
        **({} if settings.observe is None else {"observe": list(settings.observe)}),
        "guards": {
            key: {
                "errors": {"alpha": format_share(each.errors.alpha), "statuses": _ranges(each.errors.statuses)},
                "on_harm": each.on_harm,
            }
            for key, each in settings.guards.items()
        },
    }


def _key_source(source: KeySource) -> dict[str, Any]:
    if source.source == "generate":
        return {"generate": {"cookie": source.name, "ttl": format_duration(source.ttl)}}
    return {source.source: source.name}


def _context_source(source: ContextSource) -> Any:
    if source.source == "client":
        return "client"
    return {source.source: to_builtins(source.value) if source.source == "value" else source.name}


def _plugin(plugin: doc.Plugin | Written, registry: Registry[Any]) -> dict[str, Any]:
    return {plugin.kind: shown_options(registry.get(plugin.kind), plugin.options)}


def _route(route: doc.Route) -> dict[str, Any]:
    found = _section(route, "match", "action", "filters", "timeouts", "retry")
    found["match"] = {each.kind: to_builtins(each.options.get("value")) for each in route.match}
    found["filters"] = [_plugin(each, FILTERS) for each in route.filters]
    merged: Mapping[str, Struct | None] = {"timeouts": route.timeouts, "retry": route.retry}
    found |= {name: _section(struct) for name, struct in merged.items() if struct is not None}
    return found | (_plugin(route.action, ACTIONS) if route.action is not None else {})
