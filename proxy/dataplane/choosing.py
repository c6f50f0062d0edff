"""Where a request goes, as far as more than its route's draw decides: filters, actions, sessions, pools by name.

What a filter asks for is one of a closed set of effects; they are performed here and nowhere else. A filter may hold a
request back (`waiting`): then the same way is gone on from there, with what is in force by then.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from proxy.dataplane.aside import aside
from proxy.dataplane.copies import copy_request, send_copies
from proxy.dataplane.forwarding import is_loop
from proxy.dataplane.gathering import gather
from proxy.dataplane.sighting import sight, sight_cohort
from proxy.dataplane.streaming import begin_stream
from proxy.dataplane.waiting import wait
from proxy.filters.effects import ChoosePool, Compute, Effect, LimitBody, Reply, Run, Shadow, Stream, Wait
from proxy.http1.cookies import without_cookie
from proxy.http1.errors import MessageError
from proxy.http1.message import EXPECT_OTHER, VIA
from proxy.http1.target import canonical_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.dataplane.exchange import Exchange
    from proxy.filters.registry import RequestFilter
    from proxy.routing.route import Route

Seen = tuple[bytes, bytes | None]
"""Fields and cookies of a request, as a session is recognised by."""

_WAITS: Final = (Wait, Run, Compute)
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


# -- the way, with filters on it


def enter(exchange: "Exchange") -> None:
    """Run what comes before routing, and go on to the route."""
    snapshot = exchange.plane.snapshot
    if snapshot.chosen_filters:
        aside(exchange).chosen = snapshot.chosen_filters
    run_filters(exchange, snapshot.filters, find_route)


def find_route(exchange: "Exchange") -> None:
    """Find the route, and go on by it."""
    route = exchange.plane.snapshot.router.find(exchange)
    if route is None:
        exchange.reply("no_route")
    else:
        take_route(exchange, route)


def take_route(exchange: "Exchange", route: "Route") -> None:
    """Go by this route, where more than a draw decides."""
    exchange.route = route
    exchange.timeouts = route.timeouts
    exchange.retry = route.retry
    if route.response_filters:
        exchange.response_filters = route.response_filters + exchange.response_filters
    _follow_session(exchange, route)  # before a filter can take away what it goes by
    if route.request_filters:
        run_filters(exchange, route.request_filters, _choose)
    else:
        _choose(exchange)  # 0.4 µs less


def _follow_session(exchange: "Exchange", route: "Route") -> None:
    service = route.service
    if service is not None and service.is_sticky and route.pool is None:
        if service.watched is not None and not service.counts(exchange, exchange.plane.wall()):
            aside(exchange).is_counted = False
        exchange.pool, exchange.set_cookie, exchange.identity = service.stick(exchange, exchange.plane.wall())


def _choose(exchange: "Exchange") -> None:
    """The filters have run: an action, or a pool."""
    route = exchange.route
    service = route.service
    if service is None:
        _act(exchange, route)
        return
    if exchange.named is not None:
        pool = service.pools.get(exchange.named)
        if pool is None:
            exchange.reply("no_pool")
            return
        exchange.pool = pool
        exchange.set_cookie = None
    elif route.pool is not None:
        exchange.pool = route.pool
    elif not service.is_sticky:
        exchange.pool = service.draw()
    watched = service.watched
    if watched is not None and exchange.named is None and route.pool is None:
        if watched.is_rolling:
            sight_cohort(exchange, watched)
        elif _is_counted(exchange):
            sight(exchange, watched)
    found = exchange.aside
    for each in route.chosen_filters if found is None else found.chosen + route.chosen_filters:
        each(exchange)
    exchange.send_off(passed_cookie(exchange, route))
    if exchange.aside is not None:
        send_copies(exchange)


def _act(exchange: "Exchange", route: "Route") -> None:
    said = None if route.action is None else route.action(exchange)
    if isinstance(said, Reply):
        exchange.act(said)
    elif isinstance(said, Stream):
        begin_stream(exchange, said)
    elif said is not None:
        gather(exchange, said)


def _is_counted(exchange: "Exchange") -> bool:
    return exchange.aside is None or exchange.aside.is_counted


def passed_cookie(exchange: "Exchange", route: "Route") -> bytes | None:
    """The Cookie field for the upstream: without the proxy's own."""
    cookie, service = exchange.head.cookie, route.service
    if cookie is None or service is None or service.sticky_cookie is None:
        return cookie
    return without_cookie(cookie, service.sticky_cookie)


# -- what filters ask for


def run_filters(
    exchange: "Exchange",
    filters: "tuple[RequestFilter, ...]",
    then: "Callable[[Exchange], None]",
    at: int = 0,
    seen: "Seen | None" = None,
) -> None:
    """Run request filters from `at` on, and go on with `then` unless one of them answers; perhaps later.

    `seen` is what was there before the first of them, for sessions.
    """
    snapshot, head = exchange.plane.snapshot, exchange.head
    before = seen or (head.block, head.cookie)
    for position in range(at, len(filters)):
        each = filters[position]
        if each.sees_all and each.on_end is not None:
            aside(exchange).endings.append(each.on_end)
        effect = each.on_request(exchange)
        if effect is None:  # nearly always
            if each.on_end is not None and not each.sees_all:
                aside(exchange).endings.append(each.on_end)
            continue
        if isinstance(effect, _WAITS):

            def awake(effect: "Effect | None", at: int = position + 1) -> None:
                if exchange.plane.snapshot is not snapshot:
                    _renew(exchange, before)
                if _perform(exchange, effect, filters[at - 1]):
                    run_filters(exchange, filters, then, at, before)

            wait(exchange, effect, awake)
            return
        if not _perform(exchange, effect, each):
            return
    then(exchange)


def _perform(exchange: "Exchange", effect: "Effect | None", of: "RequestFilter") -> bool:
    """Do what a filter asks for; does the exchange go on behind it?"""
    match effect:
        case Reply():
            exchange.act(effect)
            return False
        case ChoosePool():
            exchange.named = effect.name
        case Shadow():
            copy_request(exchange, effect)
        case LimitBody():
            found = aside(exchange)
            found.most = min(found.most, effect.most)
            if exchange.received > effect.most:
                exchange.reply("body_too_large")
                return False
        case Wait() | Run() | Compute():
            raise TypeError("what a filter has waited for cannot ask for another wait")
    if of.on_end is not None and not of.sees_all:
        aside(exchange).endings.append(of.on_end)
    return True


def _renew(exchange: "Exchange", seen: "Seen") -> None:
    """Another generation is in force than when the wait began: go to its endpoints, by its split."""
    route = getattr(exchange, "route", None)
    if route is None or route.service is None:
        return
    service = exchange.plane.snapshot.services.get(route.service.name)
    if service is None or service is route.service:
        return  # what is gone from the document serves whom it has
    pool = None if route.pool is None else service.pools.get(route.pool.name)
    if route.pool is not None and pool is None:
        return
    exchange.route = renewed = replace(route, service=service, pool=pool)
    exchange.set_cookie = exchange.identity = None
    head = exchange.head
    changed = head.block, head.cookie
    head.block, head.cookie = seen
    _follow_session(exchange, renewed)
    head.block, head.cookie = changed
