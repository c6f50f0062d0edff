"""Hash: the same key to the same endpoint, in every worker and after every restart (proxy.pools.maglev)."""

import re
from dataclasses import dataclass
from typing import Final

from proxy.http1.cookies import find_cookie
from proxy.http1.facts import Facts
from proxy.pools.balancer import BALANCERS, Candidates, Rotation
from proxy.pools.draw import Draw
from proxy.pools.endpoint import Endpoint
from proxy.pools.maglev import MaglevTable

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2, and RFC 6265 §4.1.1


@BALANCERS.register("hash")
@dataclass(frozen=True, slots=True)
class Hash:
    """The endpoint that a header, a cookie, the client's address or the path stands for; one of these.

    A request without the key goes to any endpoint, by weight.
    """

    header: str | None = None
    cookie: str | None = None
    client: bool = False
    path: bool = False

    def __post_init__(self) -> None:
        if (self.header is not None) + (self.cookie is not None) + self.client + self.path != 1:
            raise ValueError("hash takes exactly one key; write it like {header: x-user-id} or {cookie: uid}")
        name = self.header if self.header is not None else self.cookie
        if name is not None and not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is not a name that a header or cookie can have")

    def rotation(self, candidates: Candidates) -> Rotation:
        """A table of the pool's endpoints, looked up by key."""
        return _Keyed(self, candidates)

    def key(self, facts: Facts) -> bytes | None:
        """What is hashed of a request; None where it does not have it."""
        if self.header is not None:
            return facts.head.get(self.header.lower().encode())
        if self.cookie is not None:
            field = facts.head.cookie
            return None if field is None else find_cookie(field, self.cookie.encode())
        return facts.path if self.path else facts.client.encode() or None


class _Keyed:
    __slots__ = ("_draw", "_key", "_table")

    def __init__(self, options: Hash, candidates: Candidates) -> None:
        members = ((endpoint, endpoint.weight) for endpoint in candidates.endpoints)
        self._table = MaglevTable(members, candidates.usable)
        self._key = options.key
        self._draw = Draw(candidates.usable, candidates.chance)

    def first(self, facts: Facts) -> Endpoint:
        key = self._key(facts)
        return (self._table.find(key) if key else None) or self._draw.one()

    def another(self, facts: Facts, tried: tuple[Endpoint, ...]) -> Endpoint | None:
        return self._table.find(self._key(facts) or b"", tried)
