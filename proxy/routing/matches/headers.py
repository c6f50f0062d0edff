"""Match key `headers`.

Looked at is what the client sent to us and the upstream will see. What the proxy takes off or answers for itself
(framing, hop-by-hop and forwarding fields) cannot be matched: a route must not hang on what anybody can claim.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from proxy.http1.message import WEBSOCKET
from proxy.routing.matches.pattern import Condition, Pattern, Values, compile_values, describe, require_names
from proxy.routing.matches.registry import MATCHES, Place, Test

_FRAMING: Final = (
    *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"),
    *("content-length", "http2-settings"),
)
_FORWARDING: Final = (
    *("forwarded", "x-real-ip", "x-request-id", "x-sluice-shadow"),
    *("x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"),
)
_UNSEEN: Final = frozenset((*_FRAMING, *_FORWARDING))


@MATCHES.register("headers")
@dataclass(frozen=True, slots=True)
class Headers:
    """Header fields, by name: the value as written, or `{regex: …}`, `{prefix: …}`, `{present: true|false}`.

    Names compare without case, values with it. A field given several times matches where one of its lines does, taken
    whole or as one member of its comma-separated list; lines are never joined.
    """

    value: dict[str, Pattern]

    def __post_init__(self) -> None:
        require_names(self.value, "header")
        for name in self.value:
            if name.lower() in _UNSEEN:
                raise ValueError(f"header {name!r} is the proxy's own business and cannot be matched{_instead(name)}")

    def compile(self, _place: Place) -> Test:
        tests = tuple(_field(name.lower().encode(), pattern) for name, pattern in self.value.items())
        if len(tests) == 1:
            return tests[0]
        return lambda facts: all(test(facts) for test in tests)

    def describe(self) -> str:
        return " and ".join(describe("header", name, pattern) for name, pattern in self.value.items())


def _instead(name: str) -> str:
    return "; use `client`" if name.lower() in ("x-forwarded-for", "x-real-ip", "forwarded") else ""


def _field(name: bytes, pattern: Pattern) -> Test:
    values = compile_values(pattern)
    if name == b"upgrade":  # a flag of the head, never in its block
        return lambda facts: values([b"websocket"] if facts.head.flags & WEBSOCKET else [])
    if isinstance(pattern, Condition) and pattern.present is not None:
        return lambda facts: values(facts.head.get_all(name))
    return _by_member(name, values)


def _by_member(name: bytes, values: Values) -> Test:
    return lambda facts: values(_members(facts.head.get_all(name)))


def _members(lines: list[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield line
        if b"," in line:
            for member in line.split(b","):
                yield member.strip(b" \t")
