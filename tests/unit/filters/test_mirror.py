"""Which requests `mirror` has copied, what it keeps, and where it cannot stand."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.core.registry import BadOptionsError
from proxy.filters import FILTERS
from proxy.filters.effects import Shadow
from proxy.filters.site import Site, States
from proxy.http1.facts import Facts
from proxy.http1.message import WEBSOCKET

POOLS = ("blue", "green")


def on_request(facts: Facts, site: Site | None = None, **options: Any) -> Any:
    """What the filter asks for."""
    mirror = FILTERS.build("mirror", {"pool": "green", **options})
    hooks = mirror.compile(site or Site(pools=POOLS, service="shop"))
    assert hooks.request
    return hooks.request.on_request(facts)


@pytest.mark.parametrize(
    ("method", "options", "copied"),
    [
        (b"GET", {}, True),
        (b"HEAD", {}, True),
        (b"OPTIONS", {}, True),
        (b"POST", {}, False),
        (b"PUT", {}, False),
        (b"DELETE", {}, False),
        (b"get", {}, False),
        (b"POST", {"methods": ("POST",)}, True),
        (b"GET", {"methods": ("POST",)}, False),
    ],
)
def test_methods_decide(request_of: Callable[..., Facts], method: bytes, options: dict[str, Any], copied: bool) -> None:
    facts = request_of()
    facts.head.method = method
    assert (on_request(facts, **options) is not None) is copied


@pytest.mark.parametrize(
    ("share", "chance", "copied"),
    [(0.1, 0.0999, True), (0.1, 0.1, False), (0.0, 0.0, False), (1.0, 0.999, True), (0.5, 0.49, True)],
)
def test_share_decides_by_chance(request_of: Callable[..., Facts], share: float, chance: float, copied: bool) -> None:
    site = Site(pools=POOLS, service="shop", chance=lambda: chance)
    assert (on_request(request_of(), site, share=share) is not None) is copied


def test_upgrades_are_never_copied(request_of: Callable[..., Facts]) -> None:
    facts = request_of()
    facts.head.flags = WEBSOCKET
    assert on_request(facts) is None


def test_copies_are_never_copied_whoever_marks_them(request_of: Callable[..., Facts]) -> None:
    facts = request_of()
    facts.head.forwarded = {b"x-forwarded-for": b"1.1.1.1"}
    assert on_request(facts) is not None
    facts.head.forwarded = {b"x-sluice-shadow": b""}
    assert on_request(facts) is None


def test_options_become_the_effect(request_of: Callable[..., Facts]) -> None:
    plain = on_request(request_of())
    assert isinstance(plain, Shadow)
    assert (plain.pool, plain.most, plain.with_credentials, plain.host_suffix) == ("green", 65536, False, b"")
    other = on_request(request_of(), credentials=True, body=10, host_suffix="-shadow")
    assert (other.most, other.with_credentials, other.host_suffix) == (10, True, b"-shadow")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ()}, "has no methods"),
        ({"methods": ("get",)}, "'get' is not a method to copy"),
        ({"methods": ("CONNECT",)}, "'CONNECT' is not a method to copy"),
        ({"methods": ("GET\n",)}, "is not a method to copy"),
        ({"body": 1024 * 1024 + 1}, "1MiB is the most"),
        ({"host_suffix": ".shadow"}, "cannot end a label"),
        ({"host_suffix": "-"}, "cannot end a label"),
        ({"host_suffix": "a\r\nx"}, "cannot end a label"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOptionsError) as refused:
        FILTERS.build("mirror", {"pool": "green", **options})
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        (None, "put it into a service"),
        ((), "an action has no pools"),
        (("blue", "canary"), "there is no pool 'green' in the service; there is blue, canary"),
        (("green",), "green is the only pool of the service"),
    ],
)
def test_place_without_the_pool_is_refused(pools: tuple[str, ...] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FILTERS.build("mirror", {"pool": "green"}).compile(Site(pools=pools))


def test_counters_outlive_changes_and_are_those_of_the_service(request_of: Callable[..., Facts]) -> None:
    states = States()
    first = on_request(request_of(), Site(where="service shop", pools=POOLS, service="shop", states=states))
    again = on_request(
        request_of(), Site(where="route a", position=3, pools=POOLS, service="shop", states=states), share=0.5
    )
    other = on_request(request_of(), Site(where="service mall", pools=POOLS, service="mall", states=states))
    blue = on_request(request_of(), Site(where="service shop", pools=POOLS, service="shop", states=states), pool="blue")
    assert again.comparison is first.comparison
    assert len({first.comparison, other.comparison, blue.comparison}) == 3
    assert (first.comparison.service, first.comparison.pool) == ("shop", "green")
