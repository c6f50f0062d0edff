"""GET /healthz and /readyz on the admin's address: alive, and serving the current generation."""

from collections.abc import Callable
from typing import Final

from proxy.filters.effects import Reply
from proxy.filters.registry import Act
from proxy.http1.facts import Facts
from proxy.routing.route import Route
from proxy.snapshot.document import Retry, Timeouts

_TEXT: Final = b"Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"


def _replying(name: str, action: Act) -> Route:
    return Route(name=name, action=action, timeouts=Timeouts(), retry=Retry())


class HealthRouter:
    """Takes the place of a compiled router; `is_ready` is asked at each request."""

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready
        self._healthz = _replying("healthz", self._alive)
        self._readyz = _replying("readyz", self._ready)

    def find(self, facts: Facts) -> Route | None:
        """One of the two, for GET and HEAD; else nothing."""
        if facts.head.method not in (b"GET", b"HEAD"):
            return None
        return {b"/healthz": self._healthz, b"/readyz": self._readyz}.get(facts.path)

    def _alive(self, facts: Facts) -> Reply:  # noqa: ARG002 - it answers, so it lives
        return Reply(200, _TEXT, b"ok\n")

    def _ready(self, facts: Facts) -> Reply:  # noqa: ARG002
        return Reply(200, _TEXT, b"ready\n") if self._is_ready() else Reply(503, _TEXT, b"not ready\n")


class HealthSnapshot:
    """Takes the place of a Snapshot for the admin's listener."""

    filters = ()
    response_filters = ()

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self.router = HealthRouter(is_ready)
