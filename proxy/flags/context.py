"""The evaluation context: read from bytes under bounds, and merged so that what the edge knows wins."""

from collections.abc import Mapping
from typing import Any

import msgspec

from proxy.flags.coercion import DEPTH

LARGEST = 64 << 10  # bytes of a request's body


class ContextError(ValueError):
    """A context that is no JSON, no object, too deep, or holds what no rule can see."""


def merge(client: Mapping[str, Any], static: Mapping[str, Any], edge: Mapping[str, Any]) -> dict[str, Any]:
    """One context: what the edge knows over what is configured over what the client sent."""
    return {**client, **static, **edge}


def decode(body: bytes) -> Any:
    """The JSON in a body; ContextError for what is none, for nesting beyond DEPTH and for half surrogate pairs."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ContextError(f"the body is no JSON: {error}"[:200]) from None
    check(found)
    return found


def check(value: Any) -> None:
    """ContextError where data is nested deeper than DEPTH; takes no stack, however deep it is."""
    level, depth = [value], 0
    while level:
        if depth > DEPTH:
            raise ContextError(f"the context is nested deeper than {DEPTH} levels")
        level = [item for part in level for item in _children(part)]
        depth += 1


def _children(part: Any) -> list[Any]:
    if isinstance(part, dict):
        return [item for item in part.values() if isinstance(item, (dict, list))]
    return [item for item in part if isinstance(item, (dict, list))] if isinstance(part, list) else []
