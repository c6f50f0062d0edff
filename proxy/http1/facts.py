"""What is known of a request before it goes anywhere: what matches, filters and balancers may look at."""

from typing import Protocol

from proxy.http1.message import RequestHead


class Facts(Protocol):
    """A request as routing sees it. The data plane's exchange is one; so is what `sluice explain` makes up.

    `path` is canonical (proxy.http1.target), `query` what follows the `?` or b"". `host` is lower case without port and
    trailing dot. `client` is the client's IP address as text ("" for a unix socket's), taken from forwarding fields
    only where the peer is trusted; `scheme` is b"http" or b"https" likewise. `is_ready` is not of the request: whether
    more of them may be sent to this proxy.
    """

    head: RequestHead
    path: bytes
    query: bytes
    host: bytes
    client: str
    scheme: bytes

    @property
    def is_ready(self) -> bool:
        """Does the proxy want more requests?"""
