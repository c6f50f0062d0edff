"""Where a request goes, as far as more than its route's draw decides: filters, actions, sessions, pools by name.

What a filter asks for is one of a closed set of effects; they are performed here and nowhere else.
"""

from typing import TYPE_CHECKING, Final

from proxy.dataplane.forwarding import is_loop
from proxy.filters.effects import ChoosePool, Reply
from proxy.http1.cookies import without_cookie
from proxy.http1.errors import MessageError
from proxy.http1.message import EXPECT_OTHER, VIA
from proxy.http1.target import canonical_path

if TYPE_CHECKING:
    from proxy.dataplane.exchange import Exchange
    from proxy.filters.registry import RequestFilter
    from proxy.routing.route import Route

SUSPECT: Final = EXPECT_OTHER | VIA  # flags of a head that `is_hopeless` has to look at


def make_canonical(exchange: "Exchange", path: bytes, mark: bytes) -> bool:
    """Bring the path into its one form; false if it has none, and was refused."""
    try:
        canonical = exchange.path = canonical_path(path)
    except MessageError as error:
        exchange.refuse(error.status, error.reason, str(error))
        return False
    exchange.head.target = canonical + mark + exchange.query  # what is matched is what is forwarded
    return True


def is_hopeless(exchange: "Exchange") -> bool:
    """Is it a request that no endpoint could answer? Then it has been refused."""
    head = exchange.head
    if head.flags & EXPECT_OTHER:
        exchange.reply("expectation_failed")
        return True
    if is_loop(head.get(b"via") or b""):
        exchange.reply("loop")
        return True
    return False


def run_filters(exchange: "Exchange", filters: "tuple[RequestFilter, ...]") -> bool:
    """Run request filters; true if one of them answered."""
    for each in filters:
        effect = each.on_request(exchange)
        if isinstance(effect, Reply):
            exchange.act(effect)
            return True
        if isinstance(effect, ChoosePool):
            exchange.named = effect.name
    return False


def choose_pool(exchange: "Exchange", route: "Route") -> bool:
    """Choose the pool where more than a draw decides; false if the exchange goes to none."""
    if route.response_filters:
        exchange.response_filters = route.response_filters + exchange.response_filters
    service = route.service
    if service is not None and service.is_sticky and route.pool is None:
        # Before a filter can take away what it goes by.
        exchange.pool, exchange.set_cookie = service.stick(exchange, exchange.plane.wall())
    if route.request_filters and run_filters(exchange, route.request_filters):
        return False
    if route.action is not None:
        exchange.act(route.action(exchange))
        return False
    if service is None:
        return False
    if exchange.named is not None:
        exchange.pool = service.pools[exchange.named]
        exchange.set_cookie = None
    elif route.pool is not None:
        exchange.pool = route.pool
    elif not service.is_sticky:
        exchange.pool = service.draw()
    return True


def passed_cookie(exchange: "Exchange", route: "Route") -> bytes | None:
    """The Cookie field for the upstream: without the proxy's own."""
    cookie, service = exchange.head.cookie, route.service
    if cookie is None or service is None or service.sticky_cookie is None:
        return cookie
    return without_cookie(cookie, service.sticky_cookie)
