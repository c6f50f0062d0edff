"""Match key `methods`."""

import re
from dataclasses import dataclass
from typing import Final

from proxy.routing.matches.one_or_more import OneOrMore, as_tuple, listed
from proxy.routing.matches.registry import MATCHES, Place, Test

_METHOD: Final = re.compile(r"[A-Z][A-Z0-9-]{0,31}")


@MATCHES.register("methods")
@dataclass(frozen=True, slots=True)
class Methods:
    """The request's method is one of these, such as `[GET, HEAD]`; methods are upper case."""

    value: OneOrMore

    def __post_init__(self) -> None:
        for method in as_tuple(self.value, "methods"):
            if not _METHOD.fullmatch(method):
                raise ValueError(f"{method!r} is not a method; methods are upper case, such as GET or POST")

    def compile(self, _place: Place) -> Test:
        methods = frozenset(method.encode() for method in as_tuple(self.value, "methods"))
        return lambda facts: facts.head.method in methods

    def describe(self) -> str:
        return f"method is {listed(as_tuple(self.value, 'methods'))}"
