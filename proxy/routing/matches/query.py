"""Match key `query`."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from proxy.http1.facts import Facts
from proxy.routing.matches.pattern import Pattern, compile_values, describe
from proxy.routing.matches.registry import MATCHES, Place, Test


@MATCHES.register("query")
@dataclass(frozen=True, slots=True)
class Query:
    """Query parameters, by name: the value as written, or `{regex: …}`, `{prefix: …}`, `{present: true|false}`.

    Names and values are compared decoded (`%41` is A, `+` a space) and with case; one value of several is enough.
    """

    value: dict[str, Pattern]

    def __post_init__(self) -> None:
        if not self.value or "" in self.value:
            raise ValueError("no query parameter is named; name one, or leave the key out")

    def compile(self, _place: Place) -> Test:
        tests = [(name.encode(), compile_values(pattern)) for name, pattern in self.value.items()]
        return lambda facts: all(test(_values(facts, name)) for name, test in tests)

    def describe(self) -> str:
        return " and ".join(describe("query parameter", name, pattern) for name, pattern in self.value.items())


def _values(facts: Facts, wanted: bytes) -> Iterator[bytes]:
    if not facts.query:
        return
    for pair in facts.query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if _decoded(name) == wanted:
            yield _decoded(value)


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" ")) if b"%" in text or b"+" in text else text
