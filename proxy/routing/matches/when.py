"""Match key `when`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from proxy.http1 import fields
from proxy.http1.facts import Facts
from proxy.routing.matches.registry import MATCHES, Place, Test

_MOST: Final = 1000  # parameters of a query that are looked at


@MATCHES.register("when")
@dataclass(frozen=True, slots=True)
class When:
    """A condition in JsonLogic, with flagd's operators, over the context of flags and `request`:

    `request.method`, `.path`, `.host`, `.query.NAME`, `.headers.NAME` (lower case), `.cookies.NAME`, `.client` and
    `.scheme`. What is truthy matches; a condition that fails does not.
    """

    value: Any

    def __post_init__(self) -> None:
        from proxy.flags import checks, engine  # noqa: F401, PLC0415 - for who has conditions

        if not isinstance(self.value, dict) or len(self.value) != 1:
            raise ValueError('a condition is one operation; write it like {"==": [{var: request.method}, POST]}')
        wrong = next((each for each in checks.rule(self.value, (), _Anything())), None)
        if wrong is not None:
            where = ".".join(map(str, wrong.path))
            raise ValueError(f"{where + ': ' if where else ''}{wrong.message}")

    def compile(self, place: Place) -> Test:
        from proxy.flags.coercion import RuleError, truthy  # noqa: PLC0415
        from proxy.flags.engine import Compiler  # noqa: PLC0415

        flags = place.flags
        generation, shared = (flags.generation, flags.shared) if flags else ("v3", {})
        rule = Compiler(place.route or "", generation, shared).compile(self.value)
        parts = _parts(set(_paths(self.value, shared)))

        def test(facts: Facts) -> bool:
            request = {name: read(facts) for name, read in parts}
            try:
                return bool(truthy(rule({**facts.flagged.context(facts), "request": request})))
            except (RuleError, RecursionError, OverflowError, MemoryError):
                return False

        return test

    def describe(self) -> str:
        return f"it holds that {msgspec.json.encode(self.value).decode()}"


class _Anything(dict[str, Any]):
    """Shared rules whose names are known only where the route stands."""

    def __contains__(self, _name: object) -> bool:
        return True


def _parts(paths: set[str | None]) -> list[tuple[str, Callable[[Facts], Any]]]:
    """What of a request these paths may lead to; None is a path that nobody knows before."""
    everything = None in paths or bool(paths & {"", "request"})
    wanted = {path.split(".")[1] for path in paths if path is not None and path.startswith("request.")}
    return [(name, read) for name, read in _READ.items() if everything or name in wanted]


def _paths(rule: Any, shared: Any) -> Iterator[str | None]:
    """What `var`, `missing` and `missing_some` read, at any depth; None where that is computed."""
    seen: set[str] = set()
    parts = [rule]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            for name, arguments in part.items():
                if name == "$ref" and isinstance(arguments, str) and arguments not in seen:
                    seen.add(arguments)
                    parts.append(shared.get(arguments))
                if name in ("missing", "missing_some"):
                    yield None
                if name == "var":
                    first = arguments[0] if isinstance(arguments, list) and arguments else arguments
                    yield first if isinstance(first, str) else None if isinstance(first, (dict, list)) else ""
            parts.extend(part.values())
        elif isinstance(part, list):
            parts.extend(part)


def _headers(facts: Facts) -> dict[str, str]:
    found = {_text(name): _text(value) for name, value in reversed(fields.items(facts.head.block))}
    return {**found, "host": _text(facts.head.host)}


def _cookies(facts: Facts) -> dict[str, str]:
    pairs = (pair.partition(b"=") for pair in reversed((facts.head.cookie or b"").split(b";")))
    return {_text(name.strip(b" \t")): _text(value.strip(b" \t")) for name, _, value in pairs if name.strip(b" \t")}


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


_READ: Final[dict[str, Callable[[Facts], Any]]] = {
    "method": lambda facts: _text(facts.head.method),
    "path": lambda facts: _text(facts.path),
    "host": lambda facts: _text(facts.host),
    "scheme": lambda facts: _text(facts.scheme),
    "client": lambda facts: facts.client,
    "query": lambda facts: dict(reversed(parse_qsl(_text(facts.query), True, max_num_fields=None)[:_MOST])),
    "headers": _headers,
    "cookies": _cookies,
}
