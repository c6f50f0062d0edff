"""Filter `maintenance`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hmac import compare_digest
from math import ceil
from typing import Annotated, Final

from proxy.core.networks import Networks
from proxy.core.units import Unit
from proxy.filters.effects import Reply
from proxy.filters.field_checks import require_readable, require_tokens
from proxy.filters.registry import FILTERS, Hooks, RequestFilter
from proxy.filters.site import Site
from proxy.http1.cookies import find_cookie
from proxy.http1.facts import Facts

_REASON: Final = "maintenance"


@FILTERS.register("maintenance")
@dataclass(frozen=True, slots=True)
class Maintenance:
    """Answers instead of a service that is being worked on, with the reason `maintenance`.

    By default 503 with Retry-After (`retry_after: 0s` leaves it out) and `text`, or `html` instead; never stored by
    caches. Who lies in a network of `allow`, or shows one of `headers` or `cookies` with its value, is let through as
    ever: whoever knows the value is a tester.
    """

    status: int = 503
    text: str = "down for maintenance, please try again later"
    html: str | None = None
    retry_after: Annotated[float, Unit.DURATION] = 300.0
    allow: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599 or self.status in (204, 205, 304):
            raise ValueError(f"{self.status} is not a status to respond with a text; use 503, or another up to 599")
        if self.retry_after < 0:
            raise ValueError("retry_after lies in the past; write how long it may take, such as 5m")
        Networks(self.allow)
        require_tokens(self.cookies)
        for name in self.headers:
            require_readable(name)
        for name, value in {**self.headers, **self.cookies}.items():
            if not value:
                raise ValueError(
                    f"{name!r} without a value would let everybody through who sends it empty; give it one"
                )

    def compile(self, _site: Site) -> Hooks:
        reply, passes = self._reply(), self._passes()
        return Hooks(RequestFilter(lambda facts: None if passes(facts) else reply))

    def _reply(self) -> Reply:
        kind, body = ("text/plain", f"{self.text}\n") if self.html is None else ("text/html", self.html)
        retry = f"Retry-After: {ceil(self.retry_after)}\r\n" if self.retry_after else ""
        head = (
            f"Content-Type: {kind}; charset=utf-8\r\nCache-Control: no-store\r\nx-sluice-reason: {_REASON}\r\n{retry}"
        )
        return Reply(self.status, head.encode(), body.encode(), _REASON)

    def _passes(self) -> Callable[[Facts], bool]:
        allowed = Networks(self.allow)
        headers = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
        cookies = [(name.encode(), value.encode()) for name, value in self.cookies.items()]

        def passes(facts: Facts) -> bool:
            if facts.client in allowed:
                return True
            head = facts.head
            cookie = head.cookie or b""
            # In a time that does not tell how much of a secret was right.
            return any(compare_digest(head.get(name) or b"", value) for name, value in headers) or any(
                compare_digest(find_cookie(cookie, name) or b"", value) for name, value in cookies
            )

        return passes
