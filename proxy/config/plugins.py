"""Plug-in options from their dataclasses: one translation for matches, filters, balancers and actions.

A plug-in is a registered dataclass: its fields are the options, its docstring the description. Here such a class
becomes a section of the YAML: units become parsers, texts are taken as written, nested dataclasses become mappings.
Validated options are plain data again, for the Document; the plug-in is built once on the way, to hear what it refuses.
"""

import types
from collections.abc import Callable
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence as AnySequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cached_property
from inspect import getdoc
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from pydantic import (
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WrapValidator,
    create_model,
)
from pydantic_core import CoreSchema, core_schema

from proxy.config import values
from proxy.config.problems import WrongError
from proxy.config.shapes import Section, Shaped
from proxy.config.tree import plain_data, scalars
from proxy.core.markers import Marker
from proxy.core.registry import Registry
from proxy.core.units import Unit
from proxy.snapshot.document import Plugin

_UNITS = {Unit.DURATION: values.DURATION, Unit.SIZE: values.SIZE, Unit.SHARE: values.SHARE}
_SCALARS: dict[Any, values.Written] = {
    str: values.TEXT,
    int: values.whole(-(10**9)),
    float: values.NUMBER,
    bool: values.FLAG,
}
_Handler = Callable[[Any], Any]


def one_of(registry: Registry[Any], title: str, type_of: Callable[[type], Any] | None = None) -> Any:
    """The type of a mapping with exactly one key, which names a plug-in: `{rewrite: {…}}`. Its value is a Plugin.

    `type_of` makes the type of a plug-in's options, where that is not `options_type`.
    """
    section = _family(registry, title, type_of or options_type)
    section.model_config["json_schema_extra"] = {"minProperties": 1, "maxProperties": 1}

    def pick(raw: Any, handler: _Handler) -> Plugin:
        chosen = _given(handler(raw))
        if len(chosen) != 1:
            raise WrongError(f"exactly one {registry.what} belongs here, not {len(chosen)}", _names(registry))
        kind, options = next(iter(chosen.items()))
        return Plugin(kind, options)

    return Annotated[section, WrapValidator(pick)]


def all_of(registry: Registry[Any], title: str) -> Any:
    """The type of a mapping whose keys each name a plug-in with one field `value`; its value is a tuple of Plugins."""
    section = _family(registry, title, _value_type)

    def collect(raw: Any, handler: _Handler) -> tuple[Plugin, ...]:
        found = _given(handler(raw))
        return tuple(Plugin(str(kind), {"value": found[kind]}) for kind in raw if kind in found)

    return Annotated[section, WrapValidator(collect)]


Build = Callable[[type[Any], dict[str, Any]], object]


def _converted(cls: type[Any], options: dict[str, Any]) -> object:
    return msgspec.convert(options, cls, strict=True)


def options_type(cls: type, build: Build = _converted) -> Any:
    """The type of a mapping with the dataclass's fields; its value is the options that were given, as plain data.

    `build` makes the dataclass of them, for what its own checks say: ValueError.
    """
    return Annotated[Any, _Options(cls, build)]


@dataclass(frozen=True, eq=False)
class _Options:
    """Annotates what a dataclass is made of. Its section is made when the first one is read, or the schema written.

    Most configurations use few plug-ins: 70 ms and 0.8 MiB less at each start.
    """

    cls: type
    build: Build

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, _core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        self.section.model_rebuild()
        return handler(self.section.__pydantic_core_schema__)

    def read(self, raw: Any) -> dict[str, Any]:
        """The options that were given, as plain data."""
        options = _given(self.section.model_validate(raw))
        _build(self.cls, options, raw, self.build)
        return options

    @cached_property
    def section(self) -> type[BaseModel]:
        """The mapping that they are written as."""
        hints = get_type_hints(self.cls, include_extras=True)
        keys: dict[str, Any] = {}
        for field in fields(self.cls):
            if not field.init:
                continue  # the plug-in's own
            required = field.default is MISSING and field.default_factory is MISSING
            keys[field.name] = (option_type(hints[field.name]), ... if required else None)
        return _section(self.cls.__name__, getdoc(self.cls), keys)


def option_type(hint: Any) -> Any:
    """The type that reads from YAML what a dataclass's field of this type holds."""
    if hint is Any:
        return Annotated[Any, AsWritten()]
    if hint in _SCALARS:
        return Annotated[Any, _SCALARS[hint]]
    if is_dataclass(hint) and isinstance(hint, type):
        return options_type(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        if Marker.CONTENT in arguments[1:]:
            return Annotated[Any, values.CONTENT]
        unit = next((_UNITS[extra] for extra in arguments[1:] if isinstance(extra, Unit)), None)
        return option_type(arguments[0]) if unit is None else Annotated[Any, unit]
    if origin is Literal:
        return Annotated[Any, values.choice(*arguments)]
    if origin in (Union, types.UnionType):
        return _union(arguments)
    return _collection(hint, origin, arguments)


@dataclass(frozen=True, eq=False)
class AsWritten:
    """Annotates what is taken as it stands: plain data by the core schema of YAML 1.2."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(plain_data)

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {}


def _collection(hint: Any, origin: Any, arguments: tuple[Any, ...]) -> Any:
    if isinstance(origin, type) and issubclass(origin, AnyMapping):
        return dict[values.Text, option_type(arguments[1])]  # type: ignore[misc]  # made at run time
    if isinstance(origin, type) and issubclass(origin, AnySequence | set | frozenset):
        return list[option_type(arguments[0])]  # type: ignore[misc]
    raise TypeError(f"an option of the type {hint} cannot be written in YAML")


def _union(members: tuple[Any, ...]) -> Any:
    """Members apart by shape: a scalar, a list, a mapping. None stands for an option that is not given."""
    shapes: dict[str, Any] = {}
    for member in members:
        if member is not types.NoneType:
            shapes.setdefault(_shape(member), member)
    if len(shapes) == 1:
        return option_type(next(iter(shapes.values())))
    return Annotated[Any, Shaped(**{name: option_type(member) for name, member in shapes.items()})]


def _shape(hint: Any) -> str:
    origin = get_origin(hint)
    if is_dataclass(hint) or (isinstance(origin, type) and issubclass(origin, AnyMapping)):
        return "mapping"
    return "sequence" if isinstance(origin, type) and issubclass(origin, AnySequence | set | frozenset) else "scalar"


def _value_type(cls: type) -> Any:
    kind = option_type(get_type_hints(cls, include_extras=True)["value"])

    def read(raw: Any, handler: _Handler) -> Any:
        value = handler(raw)
        _build(cls, {"value": value}, raw)
        return value

    return Annotated[kind, WrapValidator(read)]


def _build(cls: type, options: dict[str, Any], raw: Any, build: Build = _converted) -> None:
    """Make the plug-in, for what its own checks say; never repeat what came from a variable."""
    try:
        build(cls, options)
    except (msgspec.ValidationError, ValueError) as error:
        if any(scalar.secret for scalar in scalars(raw)):
            raise WrongError("what came from a variable does not fit here", _first_sentence(cls)) from None
        cause = error.__cause__
        raise WrongError.of(cause if isinstance(cause, ValueError) else ValueError(str(error))) from None


def _family(registry: Registry[Any], title: str, type_of: Callable[[type], Any]) -> type[BaseModel]:
    keys = {name: (type_of(cls), Field(default=None, description=_summary(cls))) for name, cls in registry}
    return _section(title, None, keys)


def _section(title: str, doc: str | None, keys: dict[str, Any]) -> type[BaseModel]:
    made: type[BaseModel] = create_model(title, __base__=Section, __doc__=doc, **keys)
    return made


def _given(section: BaseModel) -> dict[str, Any]:
    """The keys that were written, with their values: plain data already."""
    return {name: getattr(section, name) for name in type(section).model_fields if name in section.model_fields_set}


def _summary(cls: type) -> str:
    return getdoc(cls) or ""


def _first_sentence(cls: type) -> str:
    return _summary(cls).partition("\n\n")[0].replace("\n", " ")


def _names(registry: Registry[Any]) -> str:
    return f"there is {', '.join(registry.names())}"
