"""`sem_ver`: versions compared as semver.org 2.0.0 orders them, forgiving where flagd is: v1, 1.2, numbers."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from proxy.flags.coercion import text_of

LONGEST = 256  # characters of a version
_NUMBER = r"(0|[1-9][0-9]*)"
_PART = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"[vV]?{_NUMBER}(?:\.{_NUMBER})?(?:\.{_NUMBER})?(?:-({_PART}(?:\.{_PART})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)


class Version(NamedTuple):
    """A version without its build metadata; tuples compare in the order of precedence."""

    major: int
    minor: int
    patch: int
    prerelease: tuple[tuple[int, int, str], ...]


_RELEASE = ((2, 0, ""),)  # above every pre-release part

OPERATORS: dict[str, Callable[[Version, Version], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "~": lambda left, right: left[:2] == right[:2],
    "^": lambda left, right: left[0] == right[0],
}


def parse(value: Any) -> Version | None:
    """The version that text or a number says, or None where it says none."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = text_of(value)
    found = _VERSION.fullmatch(value) if isinstance(value, str) and len(value) <= LONGEST else None
    if found is None:
        return None
    major, minor, patch, parts = found.groups()
    return Version(int(major), int(minor or 0), int(patch or 0), _prerelease(parts))


def _prerelease(parts: str | None) -> tuple[tuple[int, int, str], ...]:
    if parts is None:
        return _RELEASE
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts.split("."))


def holds(left: Any, operator: Any, right: Any) -> bool | None:
    """Whether the comparison holds; None for what is no version or no operator, as flagd has it."""
    compare = OPERATORS.get(operator) if isinstance(operator, str) else None
    first, second = parse(left), parse(right)
    if compare is None or first is None or second is None:
        return None
    return compare(first, second)
