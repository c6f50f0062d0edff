"""Feature flags for clients that ask: what `respond: {ofrep: …}` may say."""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from proxy.core.markers import Marker
from proxy.filters.cors import Cors
from proxy.filters.registry import Act
from proxy.filters.site import Site

MOST_STREAMS: Final = 10_000  # of one worker, a connection each
_TOKEN: Final = re.compile(r"[!-~]{1,4096}")


@dataclass(frozen=True, slots=True)
class Ofrep:
    """Serves feature flags by OFREP 0.3.0, below `/ofrep/v1/` in whatever path the route has.

    Everybody sees those that are `public`, and all of them who shows the `token`: `Authorization: Bearer …` or
    `X-API-Key: …`. `origins` are those whose pages may ask, as filter `cors` has them. `streams` is how many clients
    each worker tells of changes; 0: none.
    """

    token: Annotated[str | None, Marker.SECRET] = None
    origins: str | tuple[str, ...] = ()
    streams: int = 1_000

    def __post_init__(self) -> None:
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise ValueError("the token is empty, or holds more than printable ASCII; make one: openssl rand -hex 32")
        if not 0 <= self.streams <= MOST_STREAMS:
            raise ValueError(f"streams are 0 to {MOST_STREAMS} for each worker; not {self.streams}")
        self._cors()

    def compile(self, site: Site) -> Act:
        """The action; ValueError where there are no flags."""
        if not site.has_flags:
            raise ValueError("there are no flags to serve; define them under flags or flag_rules")
        from proxy.filters.flag_desk import FlagDesk  # noqa: PLC0415 - the engine: 1.3 MiB for who has no flags

        return FlagDesk(self.token, self._cors(), self.streams, site.chance).act

    def _cors(self) -> Cors | None:
        """What pages of other origins need to ask and to read (open-feature/flagd#1900)."""
        if not self.origins:
            return None
        asked = ("content-type", "authorization", "x-api-key", "if-none-match")
        return Cors(self.origins, ("POST", "GET"), asked, ("ETag", "Retry-After"))
