"""`var`, `missing` and `missing_some`: what the data holds under dotted paths."""

from typing import Any

from proxy.flags.coercion import RuleError, number, text_of
from proxy.flags.logic import Compiler, Rule, is_literal, operator

PARTS = 64  # of one path


def find(data: Any, parts: list[str], default: Any = None) -> Any:
    """What lies at the end of the path; `default` where a step leads nowhere."""
    for part in parts:
        if type(data) is dict:
            if part not in data:
                return default
            data = data[part]
        elif type(data) is list and part.isascii() and part.isdigit() and len(part) < 10 and int(part) < len(data):
            data = data[int(part)]
        else:
            return default
    return data


def split(path: Any) -> list[str]:
    """The parts of a path; of null and "", which mean the data itself, there are none."""
    if path is None or path == "":
        return []
    parts = text_of(path).split(".", PARTS)
    if len(parts) > PARTS:
        raise RuleError(f"a path has more than {PARTS} parts")
    return parts


@operator("var")
def _var(compiler: Compiler, arguments: Any) -> Rule:
    listed = arguments if isinstance(arguments, list) else [arguments]
    path, default = (*listed, None, None)[:2]
    if not is_literal(path) or not is_literal(default):
        return _dynamic(compiler, path, default)
    parts = split(path)
    if len(parts) == 1 and not parts[0].isdigit():
        return _field(parts[0], default)
    if not parts:
        return lambda data: data
    return lambda data: find(data, parts, default)


def _field(name: str, default: Any) -> Rule:
    def read(data: Any) -> Any:
        return data.get(name, default) if type(data) is dict else default

    return read


def _dynamic(compiler: Compiler, path: Any, default: Any) -> Rule:
    where, otherwise = compiler.compile(path), compiler.compile(default)
    return lambda data: find(data, split(where(data)), otherwise(data))


@operator("missing")
def _missing(compiler: Compiler, arguments: Any) -> Rule:
    listed = compiler.each(arguments)

    def absent(data: Any) -> list[Any]:
        names = [name(data) for name in listed]
        return absent_of(data, names[0] if names and isinstance(names[0], list) else names)

    return absent


@operator("missing_some")
def _missing_some(compiler: Compiler, arguments: Any) -> Rule:
    listed = compiler.each(arguments)
    if len(listed) != 2:
        raise RuleError("missing_some takes how many are needed, and the list of names")
    needed, names = listed

    def absent(data: Any) -> list[Any]:
        wanted = names(data)
        wanted = wanted if isinstance(wanted, list) else [wanted]
        gone = absent_of(data, wanted)
        return [] if len(wanted) - len(gone) >= number(needed(data)) else gone

    return absent


def absent_of(data: Any, names: list[Any]) -> list[Any]:
    """The names under which the data holds nothing: no value, null or ""."""
    found = ((name, find(data, split(name))) for name in names)
    return [name for name, value in found if value is None or (isinstance(value, str) and not value)]
