"""Match key `host`: a name, or every name below one."""

import re
from dataclasses import dataclass
from typing import Final

from proxy.http1.facts import Facts
from proxy.routing.matches.one_or_more import OneOrMore, as_tuple, listed
from proxy.routing.matches.registry import MATCHES, Place, Test

_NAME: Final = re.compile(r"\[[0-9a-f:.]{2,45}\]|[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")


@MATCHES.register("host")
@dataclass(frozen=True, slots=True)
class Host:
    """The host that was asked for: `shop.example.com`, or `*.example.com` for every name below it at any depth.

    Case, port and a trailing dot do not count. `*.example.com` does not match `example.com` itself.
    """

    value: OneOrMore

    def __post_init__(self) -> None:
        self.patterns()

    def patterns(self) -> tuple[bytes, ...]:
        """What the router indexes: the exact name, or from its leading dot on the end that names must have."""
        return tuple(_pattern(host) for host in as_tuple(self.value, "hosts"))

    def compile(self, _place: Place) -> Test:
        patterns = self.patterns()
        exact = frozenset(pattern for pattern in patterns if not pattern.startswith(b"."))
        ends = tuple(pattern for pattern in patterns if pattern.startswith(b"."))

        def is_host(facts: Facts) -> bool:
            host = facts.host
            return host in exact or any(host.endswith(end) and len(host) > len(end) for end in ends)

        return is_host

    def describe(self) -> str:
        return f"host is {listed(as_tuple(self.value, 'hosts'))}"


def _pattern(text: str) -> bytes:
    name = text.lower().removesuffix(".")
    below = name.startswith("*.")
    if not _NAME.fullmatch(name[2:] if below else name):
        raise ValueError(f"{text!r} is not a host; {_remedy(name)}")
    return (name[1:] if below else name).encode()


def _remedy(name: str) -> str:
    if name == "*":
        return "leave `host` out to match every host"
    if "*" in name:
        return "`*.` may stand once, at the front, for one or more labels"
    if not name.isascii():
        return "write an international name in its xn-- form"
    if ":" in name and "[" not in name:
        return "leave the port out, it does not count"
    return "write it like shop.example.com, *.example.com or [::1]"
