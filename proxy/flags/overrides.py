"""What somebody wants of a flag whatever its definition says, brought into the set: evaluation knows nothing of it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from proxy.flags import checks
from proxy.flags.definitions import FlagSet
from proxy.flags.engine import Compiler
from proxy.flags.evaluation import Flag
from proxy.flags.rules import WHOLE
from proxy.flags.spec import FlagOverride


def with_overrides(made: FlagSet, overrides: Mapping[str, FlagOverride]) -> FlagSet:
    """The set with these flags as somebody wants them. One that does not fit its flag any more kills it."""
    known = {key: override for key, override in overrides.items() if key in made.flags}
    if not known:
        return made
    flags = {**made.flags, **{key: _overridden(made, made.flags[key], override) for key, override in known.items()}}
    return replace(made, flags=flags)


def refused(made: FlagSet, key: str, override: FlagOverride) -> str | None:
    """Why this flag cannot be overridden so, with a remedy; None where it can."""
    try:
        _overridden(made, made.flags[key], override, strict=True)
    except ValueError as error:
        return str(error)
    return None


def _overridden(made: FlagSet, flag: Flag, override: FlagOverride, *, strict: bool = False) -> Flag:
    try:
        if override.killed:
            return _rebuilt(flag, enabled=False)
        if override.variant is not None:
            return _rebuilt(flag, default=_variant(flag, override.variant), targeting=None, rule=None, enabled=True)
        targeting = with_percent(flag, override.percent or 0.0, override.to)
        rule = Compiler(flag.key, made.generation, made.shared).compile(targeting)
    except ValueError:
        if strict:
            raise
        return _rebuilt(flag, enabled=False)
    return _rebuilt(
        flag, targeting=targeting, rule=rule, enabled=True, reads_time=checks.mentions_time(targeting, made.shared)
    )


def _rebuilt(flag: Flag, **changes: Any) -> Flag:
    names = ("key", "variants", "default", "enabled", "targeting", "rule", "problem", "metadata", "reads_time")
    return Flag(**{**{name: getattr(flag, name) for name in names}, **changes})


def with_percent(flag: Flag, percent: float, to: str | None = None) -> dict[str, Any]:
    """The flag's rule with this share of people on the variant `to`; ValueError where it cannot be told which share.

    Its one `fractional` of two variants has other weights then; where there is none, those whom the rule leaves to the
    default are drawn. Without `to` it is the variant `on`, or the one that is true.
    """
    to = _variant(flag, to) if to is not None else _positive(flag)
    found = list(_fractionals(flag.targeting))
    parts = round(percent * WHOLE / 100)
    if not found:
        if flag.default is None or flag.default == to:
            raise ValueError(f"it has no other variant to fall back on than {to!r}; give it another defaultVariant")
        drawn = {"fractional": [[to, parts], [flag.default, WHOLE - parts]]}
        return {"or": [flag.targeting, drawn]} if flag.targeting else drawn
    names = _names(found[0])
    if len(found) > 1 or names is None or to not in names:
        raise ValueError(f"its rule has no single `fractional` of two variants, one of them {to!r}; change the rule")
    changed: dict[str, Any] = _reweighted(flag.targeting, to, parts)
    return changed


def _variant(flag: Flag, name: str) -> str:
    if name not in flag.variants:
        raise ValueError(f"{name!r} is no variant of it; there is {', '.join(flag.variants)}")
    return name


def _positive(flag: Flag) -> str:
    if "on" in flag.variants:
        return "on"
    true = [name for name, value in flag.variants.items() if value is True]
    if len(true) != 1:
        raise ValueError(f"which variant is meant? name one of {', '.join(flag.variants)}")
    return true[0]


def _fractionals(rule: Any) -> Iterator[list[Any]]:
    """The arguments of every `fractional` of a rule; a shared rule counts as it stands, not as what it leads to."""
    if isinstance(rule, list):
        for each in rule:
            yield from _fractionals(each)
    elif isinstance(rule, dict):
        for name, arguments in rule.items():
            if name == "fractional" and isinstance(arguments, list):
                yield arguments
            yield from _fractionals(arguments)


def _names(arguments: list[Any]) -> list[str] | None:
    """The two variants that it chooses between; None where it is another kind."""
    buckets = arguments[1:] if arguments and not isinstance(arguments[0], list) else arguments
    names = [bucket[0] for bucket in buckets if isinstance(bucket, list) and bucket and isinstance(bucket[0], str)]
    return names if len(names) == len(buckets) == len(set(names)) == 2 else None


def _reweighted(rule: Any, to: str, parts: int) -> Any:
    if isinstance(rule, list):
        return [_reweighted(each, to, parts) for each in rule]
    if not isinstance(rule, dict):
        return rule
    if isinstance(rule.get("fractional"), list):
        arguments = rule["fractional"]
        lead = [] if isinstance(arguments[0], list) else arguments[:1]
        buckets = arguments[len(lead) :]
        return {"fractional": [*lead, *([name, parts if name == to else WHOLE - parts] for name, *_ in buckets)]}
    return {name: _reweighted(arguments, to, parts) for name, arguments in rule.items()}
