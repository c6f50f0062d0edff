"""Action `respond`."""

from dataclasses import dataclass, field
from typing import Final

from proxy.filters.effects import Reply
from proxy.filters.field_checks import field_lines, require_names
from proxy.filters.ofrep import Ofrep
from proxy.filters.registry import ACTIONS, Act
from proxy.filters.site import Site

_READY: Final = Reply(200, b"content-type: text/plain; charset=utf-8\r\n", b"ready\n")
_NOT_READY: Final = Reply(503, b"content-type: text/plain; charset=utf-8\r\n", b"not ready\n")
_BODILESS: Final = (204, 205, 304)  # RFC 9110 §6.4.1, §15.3.6


@dataclass(frozen=True, slots=True)
class Ready:
    """Says whether this proxy wants more requests: 200, or 503 from when it is told to end."""


@ACTIONS.register("respond")
@dataclass(frozen=True, slots=True)
class Respond:
    """Answers by itself: a `status` from 200 to 599, a `body` and `headers`; or, with `ready: {}`, as /readyz does.

    The body is `text/plain; charset=utf-8` unless the headers say otherwise. `ready` is for a load balancer in front
    that checks the address it sends its requests to. `ofrep` serves feature flags.
    """

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    ready: Ready | None = None
    ofrep: Ofrep | None = None

    def __post_init__(self) -> None:
        for name in ("ready", "ofrep"):
            if getattr(self, name) is not None and (self.status, self.body, self.headers) != (200, "", {}):
                raise ValueError(f"{name} says by itself what to respond; leave status, body and headers out")
        if self.ready is not None and self.ofrep is not None:
            raise ValueError("ready and ofrep are answers to different requests; give each a route of its own")
        if not 200 <= self.status <= 599:
            raise ValueError(f"{self.status} is not a status to respond with; use 200 to 599")
        if self.body and self.status in _BODILESS:
            raise ValueError(f"a response of status {self.status} has no body; leave it out")
        require_names(self.headers)
        field_lines(self.headers)

    def compile(self, site: Site) -> Act:
        if self.ofrep is not None:
            return self.ofrep.compile(site)
        if self.ready is not None:
            return lambda facts: _READY if facts.is_ready else _NOT_READY
        block = field_lines(self.headers)
        if self.body and not any(name.lower() == "content-type" for name in self.headers):
            block = b"content-type: text/plain; charset=utf-8\r\n" + block
        reply = Reply(self.status, block, self.body.encode())
        return lambda _facts: reply
