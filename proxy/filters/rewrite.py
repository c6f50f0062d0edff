"""Filter `rewrite`."""

import re
from dataclasses import dataclass, field
from typing import Final

from proxy.filters.carry_over import Replace, replacement, require_star_at_end
from proxy.filters.effects import Reply, refusal
from proxy.filters.field_checks import require_host
from proxy.filters.registry import FILTERS, Hooks, RequestFilter
from proxy.filters.site import Site
from proxy.http1.errors import MessageError
from proxy.http1.facts import Facts
from proxy.http1.host import normal_host
from proxy.http1.target import canonical_path

_PATH: Final = re.compile(r"/[!$&'()*+,;=:@%/A-Za-z0-9._~-]*")


@FILTERS.register("rewrite")
@dataclass(frozen=True, slots=True)
class Rewrite:
    """Changes what the upstream is asked for; the query stays.

    `path: /new/*` replaces the path, `*` being what the route's `/prefix/*` left over; `prefix: {/api: /v2}` replaces
    leading elements, where they are there; `host` replaces the Host. The new path is made canonical again.
    """

    path: str | None = None
    prefix: dict[str, str] = field(default_factory=dict)
    host: str | None = None

    def __post_init__(self) -> None:
        if self.path is None and not self.prefix and self.host is None:
            raise ValueError("rewrite changes nothing; give it a path, a prefix or a host")
        if self.path is not None and self.prefix:
            raise ValueError("rewrite takes either a path or a prefix")
        if self.path is not None:
            _require_path(self.path)
            require_star_at_end(self.path)
        for old, new in self.prefix.items():
            _require_prefix(old)
            if new not in ("", "/"):
                _require_prefix(new)
        if self.host is not None:
            require_host(self.host)

    def compile(self, site: Site) -> Hooks:
        replace = self._replace(site.prefixes)
        host = self.host.encode() if self.host is not None else None

        def on_request(facts: Facts) -> Reply | None:
            if host is not None:
                facts.head.host, facts.host = host, normal_host(host)
            path = replace(facts.path)
            return None if path is None else _ask_for(facts, path)

        return Hooks(request=RequestFilter(on_request))

    def _replace(self, prefixes: tuple[bytes, ...]) -> Replace:
        if self.path is not None:
            return replacement(self.path, prefixes)
        pairs = [(old.encode(), new.removesuffix("/").encode()) for old, new in self.prefix.items()]
        return lambda path: _exchanged(path, pairs)


def _exchanged(path: bytes, pairs: list[tuple[bytes, bytes]]) -> bytes | None:
    for old, new in pairs:
        if path.startswith(old + b"/") or path == old:
            return new + path[len(old) :]
    return None


def _ask_for(facts: Facts, path: bytes) -> Reply | None:
    """Replace path and target; a path that is none any more is refused as a client's would be."""
    try:
        facts.path = canonical_path(path or b"/")
    except MessageError as error:
        return refusal(error.status, error.reason, str(error))
    facts.head.target = facts.path + b"?" + facts.query if facts.query else facts.path
    return None


def _require_path(text: str) -> None:
    if not _PATH.fullmatch(text):
        raise ValueError(f"{text!r} is not a path; begin with / and percent-encode what a URL does not take")
    try:
        canonical_path(text.encode())
    except MessageError as error:
        raise ValueError(f"{text!r} is not a path that can be asked for: {error}") from None


def _require_prefix(text: str) -> None:
    _require_path(text)
    if "*" in text or text.endswith("/"):
        raise ValueError(f"{text!r} is not a prefix; write whole elements like /api, without `*` or slash at the end")
