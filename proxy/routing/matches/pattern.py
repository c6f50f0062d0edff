"""What a header, cookie or query parameter is compared with: a text as written, or a condition on the value."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from proxy.core.regex import compile_regex

ValueTest = Callable[[bytes], bool]
Values = Callable[[Iterable[bytes]], bool]

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class Condition:
    """A test of a value: exactly one of `regex` (of the whole value), `prefix`, and `present` (or not)."""

    regex: str | None = None
    prefix: str | None = None
    present: bool | None = None

    def __post_init__(self) -> None:
        given = [option for option in (self.regex, self.prefix, self.present) if option is not None]
        if len(given) != 1:
            raise ValueError("a condition is exactly one of regex, prefix and present")
        if self.regex is not None:
            compile_regex(self.regex)


Pattern = str | Condition


def compile_values(pattern: Pattern) -> Values:
    """The pattern as a test of all values of one name: true where any of them satisfies it.

    Texts are compared byte by byte, as UTF-8.
    """
    if isinstance(pattern, Condition) and pattern.present is not None:
        wanted = pattern.present
        return lambda values: any(True for _ in values) is wanted
    test = _value_test(pattern)
    return lambda values: any(map(test, values))


def describe(what: str, name: str, pattern: Pattern) -> str:
    """The condition as a phrase: `header x-canary is true`."""
    if isinstance(pattern, str):
        return f"{what} {name} is {pattern}"
    if pattern.present is not None:
        return f"{what} {name} is {'present' if pattern.present else 'absent'}"
    if pattern.prefix is not None:
        return f"{what} {name} begins with {pattern.prefix}"
    return f"{what} {name} matches {pattern.regex}"


def require_names(names: Iterable[str], what: str) -> None:
    """ValueError unless there is a name and each is a token (RFC 9110 §5.6.2)."""
    names = tuple(names)
    if not names:
        raise ValueError(f"no {what} is named; name one, or leave the key out")
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a {what}; use letters, digits and -")


def _value_test(pattern: Pattern) -> ValueTest:
    if isinstance(pattern, str):
        return pattern.encode().__eq__
    if pattern.regex is not None:
        return compile_regex(pattern.regex)
    prefix = (pattern.prefix or "").encode()
    return lambda value: value.startswith(prefix)
