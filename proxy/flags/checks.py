"""What is wrong in a rule before anybody asks it: operators, arguments, weights, `$ref`s, outcomes; with places."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from proxy.flags import versions
from proxy.flags.coercion import DEPTH, text_of
from proxy.flags.logic import OPERATORS, is_literal

Path = tuple[str | int, ...]
MANY = 1 << 30
COUNTS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("==", "===", "!=", "!==", ">", ">=", "%", "/", "map", "filter", "all", "none", "some"), (2, 2)),
    **dict.fromkeys(("in", "starts_with", "ends_with", "missing_some"), (2, 2)),
    **dict.fromkeys(("substr", "<", "<="), (2, 3)),
    **dict.fromkeys(("reduce", "sem_ver"), (3, 3)),
    **dict.fromkeys(("!", "!!", "log"), (1, 1)),
    "*": (2, MANY),
}
OURS = ("$flagd.flagKey", "$flagd.timestamp")


class Problem(NamedTuple):
    """What is wrong at a place of the document, and the remedy."""

    path: Path
    message: str


def listed(names: Iterable[Any], most: int = 10) -> str:
    """Names for a message, cut where there are many."""
    shown = [str(name) for name in names]
    return ", ".join(shown[:most]) + (", ..." if len(shown) > most else "")


def metadata(found: Any, path: Path) -> Iterator[Problem]:
    """Problems of metadata: it is flat."""
    if found is None:
        return
    if not isinstance(found, dict):
        yield Problem(path, "must be a map of names to text, numbers or booleans")
        return
    for name, value in found.items():
        if not isinstance(value, (str, int, float)):
            yield Problem((*path, name), "metadata is flat: use text, a number or a boolean")


def targeting(found: Any, path: Path, shared: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[Problem]:
    """Problems of a flag's rule, also of what it can come out as."""
    if found is None:
        return
    wrong = list(rule(found, path, shared))
    yield from wrong
    if not wrong:
        yield from _outcomes(found, path, variants)


def rule(found: Any, path: Path, shared: Mapping[str, Any]) -> Iterator[Problem]:
    """Problems of a rule as flagd's schema has them; an empty one is none."""
    if not isinstance(found, dict) or len(found) > 1:
        yield Problem(path, "a rule has one operator, e.g. {if: [condition, variant]}")
    elif found:
        yield from _walk(found, path, shared)


def _walk(found: Any, path: Path, shared: Mapping[str, Any]) -> Iterator[Problem]:
    if len(path) > 2 * DEPTH + 4:
        yield Problem(path[:8], f"the rule is nested deeper than {DEPTH} levels; share parts of it by $ref")
    elif isinstance(found, list):
        for place, item in enumerate(found):
            yield from _walk(item, (*path, place), shared)
    elif isinstance(found, dict):
        yield from _operation(found, path, shared)


def _operation(found: dict[str, Any], path: Path, shared: Mapping[str, Any]) -> Iterator[Problem]:
    if len(found) != 1:
        yield Problem(path, "a rule has one operator, e.g. {if: [condition, variant]}")
        return
    name, arguments = next(iter(found.items()))
    if name == "$ref":
        yield from _reference(arguments, path, shared)
        return
    if name not in OPERATORS:
        near = get_close_matches(str(name), OPERATORS, n=1)
        yield Problem(path, f"unknown operator {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return
    given = arguments if isinstance(arguments, list) else [arguments]
    least, most = COUNTS.get(name, (0, MANY))
    counted = is_literal(arguments) or isinstance(arguments, list)
    if counted and not least <= len(given) <= most:
        yield Problem((*path, name), f"takes {_count(least, most)}, not {len(given)}")
        return
    if name in ARGUMENTS:
        yield from ARGUMENTS[name](given, (*path, name))
    yield from _walk(arguments, (*path, name), shared)


def _count(least: int, most: int) -> str:
    return f"{least} arguments" if least == most else f"{least} to {most}" if most < MANY else f"at least {least}"


def _reference(name: Any, path: Path, shared: Mapping[str, Any]) -> Iterator[Problem]:
    if not isinstance(name, str) or name not in shared:
        yield Problem((*path, "$ref"), f"{name!r} is not among $evaluators; there is {listed(shared) or 'none'}")
        return
    cycle = _cycle(name, shared)
    if cycle:
        yield Problem((*path, "$ref"), f"leads back to itself: {cycle}; take one reference out")


def _cycle(name: str, shared: Mapping[str, Any]) -> str:
    """The way from a shared rule back to itself, or ""; each is visited once."""
    seen: set[str] = set()
    ways: list[tuple[str, ...]] = [(name,)]
    while ways:
        way = ways.pop()
        for other in references(shared.get(way[-1])):
            if other == name:
                return " -> ".join((*way, name))
            if other not in seen:
                seen.add(other)
                ways.append((*way, other))
    return ""


def references(found: Any) -> Iterator[str]:
    """Every name that a rule refers to, at any depth."""
    open_parts = [found]
    while open_parts:
        part = open_parts.pop()
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            open_parts.extend(part.values())
        elif isinstance(part, list):
            open_parts.extend(part)


def mentions_time(found: Any, shared: Mapping[str, Any]) -> bool:
    """Whether a rule may read `$flagd.timestamp`: computed paths and `$flagd` as a whole count."""
    open_parts, seen = [found], set()
    while open_parts:
        part = open_parts.pop()
        if isinstance(part, dict):
            name = part.get("$ref")
            if isinstance(name, str) and name not in seen:
                seen.add(name)
                open_parts.append(shared.get(name))
            if "var" in part and _may_be_time(part["var"]):
                return True
            open_parts.extend(part.values())
        elif isinstance(part, list):
            open_parts.extend(part)
    return False


def _may_be_time(path: Any) -> bool:
    first = (path or [""])[0] if isinstance(path, list) else path
    if not is_literal(first):
        return True
    return first in (None, "", "$flagd") or first == "$flagd.timestamp"


def _var(given: list[Any], path: Path) -> Iterator[Problem]:
    first = given[0] if given else ""
    if isinstance(first, str) and first.startswith("$flagd.") and first not in OURS:
        yield Problem(path, f"{first!r} does not exist; there is {' and '.join(OURS)}")


def _texts(given: list[Any], path: Path) -> Iterator[Problem]:
    for place, item in enumerate(given):
        if not isinstance(item, (str, dict)):
            yield Problem((*path, place), "must be text or a rule")


def _sem_ver(given: list[Any], path: Path) -> Iterator[Problem]:
    for place in (0, 2):
        if is_literal(given[place]) and versions.parse(given[place]) is None:
            yield Problem((*path, place), f"{given[place]!r} is no version; write e.g. 1.2.0")
    if is_literal(given[1]) and (not isinstance(given[1], str) or given[1] not in versions.OPERATORS):
        yield Problem((*path, 1), f"{given[1]!r} compares nothing; there is {' '.join(versions.OPERATORS)}")


def _fractional(given: list[Any], path: Path) -> Iterator[Problem]:
    for place, bucket in enumerate(given):
        if place == 0 and isinstance(bucket, dict):
            continue
        if not isinstance(bucket, list) or not 1 <= len(bucket) <= 2:
            yield Problem(
                (*path, place), "a bucket is [variant, weight]; only in front may stand a rule: what is hashed"
            )
        elif len(bucket) == 2 and not _is_weight(bucket[1]):
            yield Problem((*path, place, 1), f"a weight is an integer from 0 or a rule, not {bucket[1]!r}")


def _is_weight(weight: Any) -> bool:
    return isinstance(weight, dict) or (type(weight) is int and weight >= 0)


ARGUMENTS: dict[str, Callable[[list[Any], Path], Iterator[Problem]]] = {
    "var": _var,
    "starts_with": _texts,
    "ends_with": _texts,
    "sem_ver": _sem_ver,
    "fractional": _fractional,
}


def _outcomes(found: Any, path: Path, variants: Mapping[str, Any]) -> Iterator[Problem]:
    """Outcomes written in the rule that name no variant; computed ones are only known at evaluation."""
    if isinstance(found, dict) and len(found) == 1:
        name, arguments = next(iter(found.items()))
        if name in ("if", "?:") and isinstance(arguments, list) and len(arguments) > 1:
            last = len(arguments) - 1
            for place, part in enumerate(arguments):
                if place % 2 or (place == last):
                    yield from _outcomes(part, (*path, name, place), variants)
        elif name == "fractional" and isinstance(arguments, list):
            for place, bucket in enumerate(arguments):
                if isinstance(bucket, list):
                    yield from _outcomes(bucket[0], (*path, name, place, 0), variants)
    elif found is not None and not isinstance(found, dict):
        named = None if isinstance(found, list) else text_of(found)
        if named not in variants:
            yield Problem(path, f"{found!r} is no variant; there is {listed(variants)}")
