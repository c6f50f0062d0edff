"""Match key `cookies`."""

from dataclasses import dataclass

from proxy.http1.cookies import find_cookie
from proxy.http1.facts import Facts
from proxy.routing.matches.pattern import Pattern, compile_values, describe, require_names
from proxy.routing.matches.registry import MATCHES, Place, Test


@MATCHES.register("cookies")
@dataclass(frozen=True, slots=True)
class Cookies:
    """Cookies, by name: the value as written, or `{regex: …}`, `{prefix: …}`, `{present: true|false}`.

    Names and values compare with case; of several cookies of one name the first counts.
    """

    value: dict[str, Pattern]

    def __post_init__(self) -> None:
        require_names(self.value, "cookie")

    def compile(self, _place: Place) -> Test:
        tests = tuple(_cookie(name.encode(), pattern) for name, pattern in self.value.items())
        return lambda facts: all(test(facts) for test in tests)

    def describe(self) -> str:
        return " and ".join(describe("cookie", name, pattern) for name, pattern in self.value.items())


def _cookie(name: bytes, pattern: Pattern) -> Test:
    values = compile_values(pattern)

    def test(facts: Facts) -> bool:
        header = facts.head.cookie
        value = find_cookie(header, name) if header else None
        return values(() if value is None else (value,))

    return test
