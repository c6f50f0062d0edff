"""Match key `path`: one path, everything below one, or a regular expression."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import quote

from proxy.core.regex import compile_regex
from proxy.http1.errors import MessageError
from proxy.http1.target import canonical_path
from proxy.routing.matches.one_or_more import OneOrMore, as_tuple, listed
from proxy.routing.matches.registry import MATCHES, Place, Test

_PLAIN: Final = re.compile(r"/[!$&'()+,;=:@%/A-Za-z0-9._~-]*")


class Kind(Enum):
    """How a path is compared."""

    EXACT = "exact"
    PREFIX = "prefix"
    REGEX = "regex"


@dataclass(frozen=True, slots=True)
class PathPattern:
    """One path of a `path` match. `value` is canonical; that of a PREFIX has no slash at its end (`/*` has b"")."""

    kind: Kind
    value: bytes

    def test(self) -> Callable[[bytes], bool]:
        """The comparison with a canonical path."""
        value = self.value
        if self.kind is Kind.EXACT:
            return value.__eq__
        if self.kind is Kind.REGEX:
            return compile_regex(value.decode())
        below = value + b"/"
        return lambda path: path.startswith(below) or path == value


@MATCHES.register("path")
@dataclass(frozen=True, slots=True)
class Path:
    """The path: `/exact`; `/prefix/*` for `/prefix` and all below it; `~regex` for a whole path of up to 2 KiB.

    Compared is the canonical path: dot segments resolved, needless escapes undone; the query is not part of it.
    """

    value: OneOrMore

    def __post_init__(self) -> None:
        for pattern in self.patterns():
            pattern.test()

    def patterns(self) -> tuple[PathPattern, ...]:
        """What the router indexes."""
        return tuple(_pattern(path) for path in as_tuple(self.value, "paths"))

    def compile(self, _place: Place) -> Test:
        tests = tuple(pattern.test() for pattern in self.patterns())
        if len(tests) == 1:
            test = tests[0]
            return lambda facts: test(facts.path)
        return lambda facts: any(test(facts.path) for test in tests)

    def describe(self) -> str:
        return f"path is {listed(as_tuple(self.value, 'paths'))}"


def _pattern(text: str) -> PathPattern:
    if text.startswith("~"):
        return PathPattern(Kind.REGEX, text[1:].encode())
    if text.endswith("/*"):
        return PathPattern(Kind.PREFIX, _canonical(text, text[:-2] + "/")[:-1])
    return PathPattern(Kind.EXACT, _canonical(text, text))


def _canonical(text: str, path: str) -> bytes:
    escaped = "".join(char if char.isascii() else quote(char) for char in path)
    if not _PLAIN.fullmatch(escaped):
        raise ValueError(f"{text!r} is not a path; {_remedy(text)}")
    try:
        return canonical_path(escaped.encode())
    except MessageError as error:
        raise ValueError(f"{text!r} can never be asked for: {error}") from None


def _remedy(text: str) -> str:
    if not text.startswith("/"):
        return "begin with / for a path or with ~ for a regular expression"
    if "*" in text:
        return "`*` may stand once, at the end after a slash; use ~regex for more"
    if "?" in text:
        return "use the match key `query` for what follows the ?"
    return "percent-encode what a URL does not take as it is"
