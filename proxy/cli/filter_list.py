"""`sluice explain --filters`: every filter there is, with its options, from the dataclasses themselves."""

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from inspect import getdoc
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from proxy.core.units import Unit, format_duration, format_share, format_size
from proxy.filters import FILTERS

_PLAIN: Final = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "anything"}
_FORMATS: Final[dict[Unit, Callable[[Any], str]]] = {
    Unit.DURATION: format_duration,
    Unit.SIZE: format_size,
    Unit.SHARE: format_share,
}


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a filter. `default` is as people write it, None where it must be given."""

    name: str
    type: str
    default: str | None
    options: tuple["Option", ...] = ()


def print_filters(*, as_json: bool) -> int:
    """Print all filters, for people or as JSON; the exit status."""
    found = sorted(FILTERS)
    if as_json:
        listed = [{"name": name, "doc": getdoc(cls) or "", "options": _plain(options_of(cls))} for name, cls in found]
        print(json.dumps({"filters": listed}, indent=2, ensure_ascii=False))
    else:
        print("\n\n".join("\n".join(_told(name, cls)) for name, cls in found))
    return 0


def options_of(cls: Any) -> tuple[Option, ...]:
    """The options that a filter's dataclass has."""
    hints = get_type_hints(cls, include_extras=True)
    return tuple(_option(each, hints[each.name]) for each in fields(cls))


def _option(field: Field[Any], hint: Any) -> Option:
    nested = next((part for part in (hint, *get_args(hint)) if is_dataclass(part) and isinstance(part, type)), None)
    default = field.default if field.default_factory is MISSING else field.default_factory()
    shown = None if default is MISSING else _shown(default, _unit(hint))
    return Option(field.name, _type(hint), shown, options_of(nested) if nested else ())


def _unit(hint: Any) -> Unit | None:
    own = next((extra for extra in get_args(hint) if isinstance(extra, Unit)), None)
    return own or next(filter(None, map(_unit, get_args(hint))), None)


def _type(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        unit = _unit(hint)
        return unit.value if unit else _type(arguments[0])
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(_type(each) for each in arguments if each is not types.NoneType)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of name: {_type(arguments[1])}"
    if isinstance(origin, type):
        return f"list of {_type(arguments[0])}"
    return "mapping" if is_dataclass(hint) else _PLAIN.get(hint, "mapping")


def _shown(value: Any, unit: Unit | None) -> str:
    if value is None:
        return "none"
    if unit is not None and isinstance(value, int | float):
        return _FORMATS[unit](value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list | frozenset):
        return ", ".join(map(str, value)) or "none"
    return "none" if value == {} else '""' if value == "" else "as below" if is_dataclass(value) else str(value)


def _told(name: str, cls: Any) -> list[str]:
    told = [f"  {line}".rstrip() for line in (getdoc(cls) or "").splitlines()]
    rows = [*_rows(options_of(cls))]
    names = max((len(row[0]) for row in rows), default=0)
    kinds = max((len(row[1]) for row in rows), default=0)
    return [name, *told, "", *(f"    {key:{names}}  {kind:{kinds}}  {default}" for key, kind, default in rows)]


def _rows(options: tuple[Option, ...], below: str = "") -> list[tuple[str, str, str]]:
    rows = []
    for each in options:
        default = "required" if each.default is None else f"default: {each.default}"
        rows += [(below + each.name, each.type, default), *_rows(each.options, f"{below}{each.name}.")]
    return rows


def _plain(options: tuple[Option, ...]) -> list[dict[str, Any]]:
    return [
        {"name": each.name, "type": each.type, "required": each.default is None}
        | ({} if each.default is None else {"default": each.default})
        | ({"options": _plain(each.options)} if each.options else {})
        for each in options
    ]
