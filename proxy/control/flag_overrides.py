"""Overrides of flags beside the file: what somebody has set, what it is of, and when the file puts an end to it. Pure.

The last writer wins: an edit of a flag's definition ends its override. A kill stays until it is cleared, whatever the
file says, for as long as there is the flag.
"""

from collections.abc import Mapping
from hashlib import sha1
from typing import Any, Final

import msgspec
from msgspec import Struct

from proxy.flags.spec import FlagOverride, Flags

GONE: Final = "the flag is gone"


class KeptOverride(Struct, frozen=True):
    """An override, the digest of the definition that it stands over, and who set it when (Unix seconds)."""

    of: str
    value: FlagOverride
    by: str = ""
    at: float = 0.0


def definitions(flags: Flags | None) -> Mapping[str, Any]:
    """Every flag's definition by its key."""
    found = {} if flags is None else flags.document.get("flags", {})
    if isinstance(found, list):
        return {each["key"]: each for each in found}
    return found if isinstance(found, dict) else {}


def digest(definition: Any) -> str:
    """What changes with a definition."""
    return sha1(msgspec.json.encode(definition, order="sorted"), usedforsecurity=False).hexdigest()


def ends(flags: Flags | None, key: str, kept: KeptOverride) -> str | None:
    """Why the file puts an end to an override; None where it does not."""
    known = definitions(flags)
    if key not in known:
        return GONE
    if kept.value.killed or kept.of == digest(known[key]):
        return None
    return "the file says something else now"


def said(override: FlagOverride | None) -> str:
    """An override in a few words."""
    if override is None:
        return "as defined"
    if override.killed:
        return "killed"
    if override.variant is not None:
        return f"variant {override.variant}"
    to = f" {override.to}" if override.to else ""
    return f"{override.percent or 0:g} %{to}"
