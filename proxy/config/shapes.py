"""Values that may be written in more than one shape: `off` for a whole section, one scalar for a mapping or a list."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from proxy.config.tree import Mapping, Scalar, Sequence

Schema = dict[str, Any]


class Section(BaseModel):
    """A mapping of the YAML with a fixed set of keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, eq=False)
class OrOff:
    """Annotates a section that may be `off`, which is None."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        inner = handler(core)
        shapes = [shape for shape in inner.get("anyOf", [inner]) if shape != {"type": "null"}]
        return {"anyOf": [{"const": "off"}, *shapes]}

    def read(self, value: Any, handler: Callable[[Any], Any]) -> Any:
        """None for `off`."""
        return None if value == "off" else handler(value)


@dataclass(frozen=True, eq=False)
class OrScalar:
    """Annotates a section that may be written as one scalar, which `expand` turns into the mapping."""

    expand: Callable[[Scalar], Mapping]
    schema: Schema

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {"anyOf": [self.schema, handler(core)]}

    def read(self, value: Any) -> Any:
        """The mapping that a scalar stands for."""
        return self.expand(value) if isinstance(value, Scalar) else value


def as_key(scalar: Scalar) -> Mapping:
    """`name` as `{name: {}}`."""
    mapping = Mapping(scalar.place)
    mapping.put(scalar, Mapping(scalar.place))
    return mapping


def under(key: str) -> Callable[[Scalar], Mapping]:
    """`value` as `{key: value}`."""

    def expand(scalar: Scalar) -> Mapping:
        mapping = Mapping(scalar.place)
        mapping.put(Scalar.at(scalar.place, key), scalar)
        return mapping

    return expand


@dataclass(frozen=True, eq=False)
class Shaped:
    """Annotates a value whose type depends on its shape; a shape without a type is refused."""

    scalar: Any = None
    sequence: Any = None
    mapping: Any = None

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        shapes = {"<one value>": self.scalar, "<a list>": self.sequence, "<a mapping>": self.mapping}
        choices = {tag: handler.generate_schema(kind) for tag, kind in shapes.items() if kind is not None}
        return core_schema.tagged_union_schema(choices, shape)


def shape(value: Any) -> str:
    """The tag of a value's shape."""
    if isinstance(value, Scalar):
        return "<one value>"
    return "<a list>" if isinstance(value, Sequence) else "<a mapping>"
