"""Filter `fault`: trouble on request."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.core.registry import BadOptionsError
from proxy.filters import FILTERS
from proxy.filters.effects import Effect, Reply, Wait, refusal
from proxy.filters.site import Site
from proxy.http1.facts import Facts

RequestOf = Callable[..., Facts]


def abort(status: int) -> Reply:
    return refusal(status, "fault", "a fault that was asked for")


def asked(facts: Facts, options: dict[str, Any], chance: float = 0.0) -> Effect | None:
    hooks = FILTERS.build("fault", options).compile(Site(chance=lambda: chance))
    assert (hooks.chosen, hooks.response) == (None, None)
    assert hooks.request is not None
    return hooks.request.on_request(facts)


@pytest.mark.parametrize(
    ("options", "effect"),
    [
        ({"delay": 2.0}, Wait(2.0)),
        ({"abort": 503}, abort(503)),
        ({"abort": 418, "delay": 0.25}, Wait(0.25, abort(418))),
    ],
)
def test_trouble_is_what_was_asked_for(request_of: RequestOf, options: dict[str, Any], effect: Effect) -> None:
    assert asked(request_of(), options) == effect


@pytest.mark.parametrize(
    ("share", "chance", "hit"),
    [(1.0, 0.999999, True), (0.1, 0.099, True), (0.1, 0.1, False), (0.0, 0.0, False)],
)
def test_share_of_requests_has_it(request_of: RequestOf, share: float, chance: float, hit: bool) -> None:
    assert (asked(request_of(), {"abort": 500, "share": share}, chance) is not None) is hit


@pytest.mark.parametrize(
    ("options", "block", "hit"),
    [
        ({"header": "X-Fault"}, b"x-fault: \r\n", True),
        ({"header": "X-Fault"}, b"x-faulty: 1\r\n", False),
        ({"header": "X-Fault", "value": "slow"}, b"x-fault: slow\r\n", True),
        ({"header": "X-Fault", "value": "slow"}, b"x-fault: Slow\r\n", False),
        ({"header": "X-Fault", "value": "slow"}, b"", False),
        ({"header": "X-Fault", "value": ""}, b"x-fault:\r\n", True),
        ({"header": "X-Fault", "value": ""}, b"x-fault: 1\r\n", False),
        ({"header": "Host", "value": "shop.example.com"}, b"", True),
    ],
)
def test_header_asks_for_it(request_of: RequestOf, options: dict[str, Any], block: bytes, hit: bool) -> None:
    assert (asked(request_of(block=block), {"abort": 500, **options}) is not None) is hit


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({}, "does nothing"),
        ({"share": 0.5}, "does nothing"),
        ({"delay": -1.0}, "no time"),
        ({"abort": 200}, "400 to 599"),
        ({"abort": 600}, "400 to 599"),
        ({"abort": 499}, "never sent"),
        ({"abort": 500, "share": 1.5}, "not a share"),
        ({"abort": 500, "value": "x"}, "needs the header"),
        ({"abort": 500, "header": "x y"}, "is not a name"),
        ({"abort": 500, "header": "x-request-id"}, "filters do not see"),
    ],
)
def test_fault_that_cannot_be_is_refused(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint):
        FILTERS.build("fault", options)
