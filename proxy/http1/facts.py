"""What is known of a request before it goes anywhere: what matches, filters and balancers may look at."""

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from proxy.http1.message import RequestHead, ResponseHead


class Flagged(Protocol):
    """The feature flags of one request."""

    def outcome(self, key: str, facts: "Facts") -> Any:
        """A flag's outcome (proxy.flags.evaluation): the same whenever it is asked for."""
        ...

    def context(self, facts: "Facts") -> Mapping[str, Any]:
        """What flags are decided by."""
        ...


class Facts(Protocol):
    """A request as routing sees it. The data plane's exchange is one; so is what `sluice explain` makes up.

    `path` is canonical (proxy.http1.target), `query` what follows the `?` or b"". `host` is lower case without port and
    trailing dot. `client` is the client's IP address as text ("" for a unix socket's), taken from forwarding fields
    only where the peer is trusted; `scheme` is b"http" or b"https" likewise.
    """

    head: RequestHead
    path: bytes
    query: bytes
    host: bytes
    client: str
    scheme: bytes

    @property
    def is_ready(self) -> bool:
        """Does the proxy want more requests? Not of the request, but of the proxy."""

    @property
    def now(self) -> float:
        """Seconds of a clock that only goes forward."""

    @property
    def request_id(self) -> bytes:
        """What the upstream is told as X-Request-Id."""

    @property
    def route_name(self) -> str:
        """The route's; "" where it has none or is not found yet."""

    @property
    def service_name(self) -> str:
        """The service's; "" where there is none or it is not known yet."""

    @property
    def pool_name(self) -> str:
        """The chosen pool's; "" where there is none or it is not chosen yet."""

    @property
    def notes(self) -> dict[object, Any]:
        """What filters keep of this request from one of their hooks to the next, each under a key of its own."""

    @property
    def flagged(self) -> Flagged:
        """Its feature flags; LookupError where none are configured."""

    def ask(self, service: str, head: RequestHead, body: bytes) -> Awaitable[tuple[ResponseHead, bytes]]:
        """Another service's answer; LookupError where there is no such service, ConnectionError for no answer."""
        ...
