"""Why a request goes where it goes, in sentences: nothing is drawn, counted or changed by asking."""

from collections.abc import Iterator

from proxy.filters.effects import ChoosePool, Compute, Effect, LimitBody, Reply, Run, Shadow, Wait
from proxy.http1.facts import Facts
from proxy.pools.pool import Pool
from proxy.routing.matches.share import Draw
from proxy.routing.route import Route
from proxy.routing.router import Router, Row
from proxy.routing.service import Service


def explain(router: Router, facts: Facts, now: float = 0.0) -> list[str]:
    """Every route that was tried and why it matched or not, then where the request would go.

    `now` is wall time in seconds, by which a held session's binding may be over. Where chance decides, both outcomes
    are told. The filters that run before routing must have been applied to `facts` by the caller; the
    route's own run here, but for what takes time.
    """
    return list(_sentences(router, facts, now))


def _sentences(router: Router, facts: Facts, now: float) -> Iterator[str]:
    for position, row in enumerate(router.rows, 1):
        name = f"#{position} {row.route.name}" if row.route.name else f"#{position}"
        failed, drawn = _outcome(row, facts)
        if failed is not None:
            yield f"route {name} does not match: it wants {failed}"
            continue
        yield f"route {name} matches: {_conditions(row)}"
        if drawn is not None:
            yield f"chance decides for each request whether {drawn}; if so:"
        yield from _destination(row.route, facts, now)
        if drawn is None:
            return
        yield "and if not:"
    yield "no route matches: 404"


def _outcome(row: Row, facts: Facts) -> tuple[str | None, str | None]:
    """The first condition that does not hold; the condition that only chance can tell."""
    drawn = None
    for match, test in zip(row.matches, row.tests, strict=True):
        holds = test.decide(facts) if isinstance(test, Draw) else test(facts)
        if holds is None:
            drawn = match.describe()
        elif not holds:
            return match.describe(), None
    return None, drawn


def _conditions(row: Row) -> str:
    return ", ".join(match.describe() for match in row.matches) or "it takes every request"


def _destination(route: Route, facts: Facts, now: float) -> Iterator[str]:
    if route.action is not None:
        reply = route.action(facts)
        if not isinstance(reply, Reply):
            yield "it is answered here, by what its body asks"
            return
        fields = reply.block.decode("latin-1").replace("\r\n", "; ").removesuffix("; ")
        yield f"it is answered here: {reply.status}{f' ({fields})' if fields else ''}"
    elif route.service is not None:
        yield from _to_service(route, route.service, facts, now)


def _to_service(route: Route, service: Service, facts: Facts, now: float) -> Iterator[str]:
    named: Pool | None = None
    for each in route.request_filters:
        effect = each.on_request(facts)
        told = _told(effect)
        if told:
            yield told
        if isinstance(effect, Reply):
            return
        if isinstance(effect, ChoosePool):
            named = service.pools.get(effect.name)
    yield f"it goes to service {service.name}, split {_shares(service)}"
    if named is not None:
        pools = [named]
    elif route.pool is not None:
        yield f"the route names pool {route.pool.name}, whatever the split says"
        pools = [route.pool]
    elif service.is_sticky:
        reason, pools = _stuck(service, facts, now)
        yield reason
    else:
        pools = list(service.drawn)
        yield f"pool {pools[0].name} has all of it" if len(pools) == 1 else "each request is drawn by these shares"
    for pool in pools:
        yield _endpoints(pool)
        if not pool.usable:
            yield _without_usable(route, service, pool)


def _told(effect: Effect | None) -> str:
    """What a filter asks for; what takes time is not done to explain."""
    match effect:
        case Reply():
            return f"a filter of its answers it: {effect.status}{f' ({effect.reason})' if effect.reason else ''}"
        case ChoosePool():
            return f"a filter sends it to pool {effect.name}, whatever the split says"
        case LimitBody():
            return f"a filter takes a body of {effect.most} bytes at most"
        case Shadow():
            return f"a copy goes to pool {effect.pool}"
        case Wait():
            return f"a filter holds it back, for {effect.seconds:g} s at most"
        case Run():
            effect.work.close()
            return f"a filter asks elsewhere first, for {effect.timeout:g} s at most"
        case Compute():
            return "a filter has to think about it first"
        case None:
            return ""


def _shares(service: Service) -> str:
    shares = service.split.shares.items()
    return ", ".join(f"{name} {float(share * 100):.6g}%" for name, share in shares)


def _stuck(service: Service, facts: Facts, now: float) -> tuple[str, list[Pool]]:
    cookie = service.sticky.cookie if service.sticky else None
    session = cookie.read(facts) if cookie else None
    held = service.held(session, now) if session else None
    if held is not None:
        return f"sticky: the session is held by pool {held.name}", [held]
    identity = session.id if session else service.identity(facts)
    if identity is not None:
        home = service.home(identity)
        return f"sticky: it is in bucket {service.bucket(identity)}, which belongs to pool {home.name}", [home]
    if cookie is not None:
        begun = "sticky: it shows no valid session cookie and is given one; its new id decides by these shares"
        return begun, list(service.drawn)
    return "sticky: it shows no key and is drawn by these shares", list(service.drawn)


def _endpoints(pool: Pool) -> str:
    if pool.usable:
        return f"pool {pool.name}: one of {', '.join(endpoint.address for endpoint in pool.usable)}"
    states = ", ".join(f"{endpoint.address} is {endpoint.state.value}" for endpoint in pool.endpoints)
    return f"pool {pool.name} has no usable endpoint{f': {states}' if states else ''}"


def _without_usable(route: Route, service: Service, pool: Pool) -> str:
    proven = [endpoint.address for endpoint in pool.endpoints if endpoint.is_proven]
    others = [other.name for other in service.drawn if other is not pool and other.usable]
    if pool is route.pool:
        if proven:
            return f"panic: one of {', '.join(proven)} is tried all the same"
        if not route.otherwise:
            return "503: the route allows no other pool"
    if others:
        return f"it spills to {', '.join(others)}"
    if not proven:
        proven = [each.address for other in service.drawn for each in other.endpoints if each.is_proven]
    return f"panic: one of {', '.join(proven)} is tried all the same" if proven else "503: nothing can take it"
