from types import SimpleNamespace
from typing import Any

import pytest

from proxy.routing.route import Route

POOL: Any = object()


def service(*, is_sticky: bool = False, watched: object = None) -> Any:
    return SimpleNamespace(is_sticky=is_sticky, watched=watched)


def test_route_draws_where_nothing_else_has_a_say() -> None:
    there = service()
    assert Route(service=there).draws is there


@pytest.mark.parametrize(
    "parts",
    [
        {"service": None},
        {"service": service(is_sticky=True)},
        {"service": service(watched=POOL)},
        {"pool": POOL},
        {"action": object()},
        {"request_filters": (object(),)},
        {"response_filters": (object(),)},
    ],
)
def test_route_does_not_draw_where_something_else_has_a_say(parts: dict[str, Any]) -> None:
    assert Route(**({"service": service()} | parts)).draws is None
