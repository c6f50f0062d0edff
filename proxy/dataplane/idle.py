"""Kept-alive connections of an endpoint that wait for their next request, newest last.

Taking one out is one synchronous step: when it returns, the connection belongs to the exchange and to nobody else.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.dataplane.upstream import Upstream
    from proxy.pools.endpoint import Endpoint


def check_out(endpoint: "Endpoint", now: float, repeatable: bool) -> "Upstream | None":
    """The newest idle connection that is still good, or None. Newest first, so that the surplus grows old and goes.

    A request that is not `repeatable` gets one that is seen to be alive just now: it could not be sent again if the
    endpoint had given the connection up.
    """
    idle = endpoint.idle
    while idle:
        upstream: Upstream = idle.pop()
        if upstream.deadline > now and not upstream.is_closed and (repeatable or upstream.is_quiet()):
            return upstream
        upstream.close()
    return None
