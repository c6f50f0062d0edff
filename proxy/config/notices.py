"""Warnings: what is allowed and yet probably not meant, or not wise."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from proxy.config.problems import Problem
from proxy.config.tree import Mapping, Scalar, shown

_SHORTEST_KEY: Final = 16


def notices(root: Mapping) -> Iterator[Problem]:
    """Every warning about a configuration that is otherwise right."""
    yield from _cookie_notices(root)
    yield from _unused_services(root)
    yield from _unreachable_routes(root)


def _cookie_notices(root: Mapping) -> Iterator[Problem]:
    keys = root.sequence("cookie_keys")
    for key in keys:
        if isinstance(key, Scalar) and len(key) < _SHORTEST_KEY:
            yield key.place.problem(f"a cookie key shorter than {_SHORTEST_KEY} characters", "openssl rand -hex 32")
    seen: dict[str, Scalar] = {}
    for _, service in root.section("services").sections():
        cookie = service.section("sticky").scalar("cookie")
        if cookie is None:
            continue
        if not keys and not seen:
            hint = "one is made, and kept in the store; sessions hold for this instance only"
            yield cookie.place.problem("no cookie_keys are set", hint)
        first = seen.setdefault(cookie, cookie)
        if first is not cookie:
            hint = "the sessions of one mean nothing to the other, and each replaces them"
            yield cookie.place.problem(f"two services use the cookie {shown(cookie)}", hint)


def _unused_services(root: Mapping) -> Iterator[Problem]:
    used = {route.scalar("service") for route in root.sequence("routes").mappings()}
    for name in root.section("services").keys_.values():
        if name not in used:
            yield name.place.problem(f"no route leads to the service {shown(name)}")


def _unreachable_routes(root: Mapping) -> Iterator[Problem]:
    for before, route in pairwise(root.sequence("routes").mappings()):
        if not before.section("match"):
            yield route.place.problem("this route is never reached", "the one before it matches every request")
            return
