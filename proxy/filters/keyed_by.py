"""What a limit is counted by: the client, the route, a header or a cookie."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final, Literal

from proxy.filters.field_checks import require_readable
from proxy.http1.cookies import find_cookie
from proxy.http1.facts import Facts

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2, and RFC 6265 §4.1.1
_BITS: Final = 128
NETWORK: Final = 64
"""Bits of an IPv6 address that one client is known by: a network of its own is the least that anybody is given."""


@dataclass(frozen=True, slots=True)
class Named:
    """The value of a `header` or of a `cookie`; one of these. All requests without it count as one."""

    header: str | None = None
    cookie: str | None = None

    def __post_init__(self) -> None:
        if (self.header is None) == (self.cookie is None):
            raise ValueError("`by` takes one name; write it like {header: x-api-key} or {cookie: uid}")
        name = self.header or self.cookie or ""
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is not a name that a header or cookie can have; use letters, digits and -")
        if self.header is not None:  # else all requests would count as one
            require_readable(self.header)


By = Literal["client", "route"] | Named


def key_of(by: By, bits: int = NETWORK) -> Callable[[Facts], bytes]:
    """What says whose a request is. Of an IPv6 address only the first `bits` count."""
    if by == "client":
        return lambda facts: network(facts.client, bits)
    if by == "route":
        return lambda facts: facts.route_name.encode()
    if by.header is not None:
        header = by.header.lower().encode()
        return lambda facts: _present(facts.head.get(header))
    cookie = (by.cookie or "").encode()
    return lambda facts: _present(_cookie(facts, cookie))


def network(client: str, bits: int) -> bytes:
    """An IPv4 address as it is, also where IPv6 wraps it (RFC 4291 §2.5.5.2); of an IPv6 address its network."""
    if ":" not in client:
        return client.encode()
    try:
        address = IPv6Address(client)
    except ValueError:
        return client.encode()
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped).encode()
    return b"/" + (int(address) >> (_BITS - bits)).to_bytes(_BITS // 8, "big")


def _cookie(facts: Facts, name: bytes) -> bytes | None:
    field = facts.head.cookie
    return None if field is None else find_cookie(field, name)


def _present(value: bytes | None) -> bytes:
    return b"" if value is None else b"=" + value
