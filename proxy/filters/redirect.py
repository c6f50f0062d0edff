"""Action `redirect`."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from proxy.filters.carry_over import replacement, require_star_at_end
from proxy.filters.effects import Reply
from proxy.filters.registry import ACTIONS, Act
from proxy.filters.site import Site
from proxy.http1.facts import Facts

_PATH: Final = re.compile(r"/(?!/)[!$&'()*+,;=:@%/?A-Za-z0-9._~-]*")
_URL: Final = re.compile(r"https?://[A-Za-z0-9._\[\]:-]+(?:/[!$&'()*+,;=:@%/?A-Za-z0-9._~-]*)?")


@ACTIONS.register("redirect")
@dataclass(frozen=True, slots=True)
class Redirect:
    """Sends the client elsewhere: to a `path` of the same host or to a whole `url`; the query is kept.

    A `*` at the end carries over what the `/prefix/*` of the match left over. `status` is 301, 302, 303, 307 or 308.
    """

    path: str | None = None
    url: str | None = None
    status: Literal[301, 302, 303, 307, 308] = 302

    def __post_init__(self) -> None:
        if (self.path is None) == (self.url is None):
            raise ValueError("redirect takes either a path or a url")
        if self.path is not None and not _PATH.fullmatch(self.path):
            raise ValueError(f"{self.path!r} is not a path to redirect to; write it like /new or /new/*")
        if self.url is not None and not _URL.fullmatch(self.url):
            raise ValueError(f"{self.url!r} is not a URL to redirect to; write it like https://example.com/*")
        require_star_at_end(self._template)

    @property
    def _template(self) -> str:
        return self.path if self.path is not None else self.url or ""

    def compile(self, site: Site) -> Act:
        prefixes = site.prefixes
        replace = replacement(self._template, prefixes)
        status, same_host = self.status, self.path is not None

        def act(facts: Facts) -> Reply:
            # A match with a path that is not below a prefix carries nothing over.
            location = replace(facts.path) or replace(prefixes[0]) or b"/"
            if same_host:
                # RFC 3986 §4.2: two slashes would begin with another host's name.
                location = b"/" + location.lstrip(b"/")
            return Reply(status, b"location: %s\r\n" % _with_query(location, facts.query))

        return act


def _with_query(location: bytes, query: bytes) -> bytes:
    return location + (b"&" if b"?" in location else b"?") + query if query else location
