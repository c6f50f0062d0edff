"""The JSON Schema of the YAML, from the same models that check it; editors complete and explain from it."""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from proxy.config.root import Root
from proxy.core.units import format_duration, format_share, format_size

_FORMATS: Final[dict[str, Callable[[Any], str]]] = {
    "duration": format_duration,
    "size": format_size,
    "share": format_share,
}


class _Generator(GenerateJsonSchema):
    """Tells defaults as people write them; the one that is no JSON is put in by hand below."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"non-serializable-default"}  # noqa: RUF012

    def encode_default(self, dft: Any) -> Any:
        """Sections tell their defaults key by key; a range of statuses is written 200-399."""
        if isinstance(dft, BaseModel):
            return {}
        return f"{dft[0]}-{dft[1]}" if isinstance(dft, tuple) and dft else super().encode_default(dft)


@cache
def schema() -> dict[str, Any]:
    """The schema, draft 2020-12. The caller must not change it."""
    made = _tidy(Root.model_json_schema(schema_generator=_Generator))
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "Sluicegate configuration"
    made["patternProperties"] = {"^x-": True}
    made["$defs"]["Service"]["properties"]["balance"]["default"] = "least_requests"
    return made  # type: ignore[no-any-return]  # a dict stays one


def known_keys(loc: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys that the mapping at this place may have."""
    here = [schema()]
    for part in loc:
        here = [below for one in here for below in _below(one, part)]
    return tuple(key for one in here for key in one.get("properties", {}))


def _below(node: dict[str, Any], part: str | int) -> list[dict[str, Any]]:
    """What the schema says of one item or key; of every shape that it may have."""
    if isinstance(part, int):
        found = node.get("items")
    else:
        found = node.get("properties", {}).get(part, node.get("additionalProperties"))
    return _shapes(found) if isinstance(found, dict) else []


def _shapes(node: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in node:
        return _shapes(schema()["$defs"][node["$ref"].rpartition("/")[2]])
    inner = [shape for one in (*node.get("anyOf", ()), *node.get("oneOf", ())) for shape in _shapes(one)]
    return [node, *inner]


def _tidy(node: Any) -> Any:
    """Defaults as people write them; no `null`, which stands for keys that are left out; no generated titles."""
    if isinstance(node, list):
        return [_tidy(one) for one in node if one != {"type": "null"}]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidy(value) for key, value in node.items() if key not in ("x-unit", "title", "default")}
    # A map of keys may well have one that is called title or default.
    if "properties" in node:
        tidy["properties"] = {key: _tidy(value) for key, value in node["properties"].items()}
    return tidy | _default(node)


def _default(node: dict[str, Any]) -> dict[str, Any]:
    if "default" not in node:
        return {}
    value = node["default"]
    takes_off = {"const": "off"} in node.get("anyOf", ())
    if value is None:
        return {"default": "off"} if takes_off else {}
    unit = node.get("x-unit") or next((one["x-unit"] for one in node.get("anyOf", ()) if "x-unit" in one), None)
    return {"default": _FORMATS[unit](value) if unit in _FORMATS else value}
