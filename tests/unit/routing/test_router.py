"""The route table: first match wins, by index as one after the other."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.http1.facts import Facts
from proxy.routing.matches import MATCHES, Place
from proxy.routing.route import Route
from proxy.routing.router import SMALL, Router, Row

RequestOf = Callable[..., Facts]


def row(name: str, chance: Callable[[], float] = lambda: 0.5, **matches: Any) -> Row:
    built = tuple(MATCHES.build(kind, {"value": value}) for kind, value in matches.items())
    return Row(Route(name), built, tuple(match.compile(Place(name, chance)) for match in built))


TABLE = [
    row("testers", host="shop.example.com", path="/checkout/*", headers={"x-canary": "true"}),
    row("checkout", host="shop.example.com", path="/checkout/*"),
    row("teapot", path="/teapot"),
    row("shop", host=["shop.example.com", "*.shop.example.com"]),
    row("images", host="*.example.com", path=["/img/*", "~/i[0-9]+"]),
    row("posts", methods="POST"),
    row("deep", host="*.com", path="/a/b/c/*"),
    row("api", host="api.example.com", path=["/v1/*", "/v2"]),
    row("rest", path="/*"),
]
FILLER = [row(f"filler {number}", host=f"h{number}.invalid", path=f"/{number}/*") for number in range(50)]


@pytest.mark.parametrize("table", [TABLE, FILLER + TABLE], ids=["short", "long"])
@pytest.mark.parametrize(
    ("host", "target", "more", "name"),
    [
        ("shop.example.com", "/checkout", {}, "checkout"),
        ("shop.example.com", "/checkout/1", {"headers": "X-Canary: true"}, "testers"),
        ("shop.example.com", "/checkout1", {}, "shop"),
        ("shop.example.com", "/teapot", {}, "teapot"),
        ("a.b.shop.example.com", "/checkout/1", {}, "shop"),
        ("www.example.com", "/img", {}, "images"),
        ("www.example.com", "/i42", {}, "images"),
        ("www.example.com", "/i42x", {}, "rest"),
        ("www.example.com", "/i42x", {"method": "POST"}, "posts"),
        ("example.com", "/img/1", {}, "rest"),
        ("example.com", "/a/b/c/d", {}, "deep"),
        ("api.example.com", "/v1/x", {}, "api"),
        ("api.example.com", "/v2", {}, "api"),
        ("api.example.com", "/v2/x", {}, "rest"),
        ("", "/", {}, "rest"),
        (".com", "/a/b/c", {}, "rest"),
        ("h7.invalid", "*", {}, None),
    ],
)
def test_find_gives_the_first_that_matches(
    request_of: RequestOf, table: list[Row], host: str, target: str, more: dict[str, str], name: str | None
) -> None:
    found = Router(table).find(request_of(target, host=host, **more))
    assert (found and found.name) == name


def test_find_in_an_empty_table_is_none(request_of: RequestOf) -> None:
    assert Router([]).find(request_of()) is None


def test_find_in_a_table_that_takes_everything_is_its_route(request_of: RequestOf) -> None:
    found = Router([row("all")]).find(request_of("*", host=""))
    assert found is not None
    assert found.name == "all"


def test_chance_is_asked_once_for_a_route_with_many_keys(request_of: RequestOf) -> None:
    numbers = iter([0.9])
    lottery = row(
        "lottery",
        numbers.__next__,
        host=["shop.example.com", "*.example.com"],
        path=["/*", "/a/*", "/a"],
        share=0.5,
    )
    found = Router([*FILLER, lottery, row("rest")]).find(request_of("/a"))
    assert found is not None
    assert found.name == "rest"


def test_long_lists_of_candidates_keep_their_order(request_of: RequestOf) -> None:
    by_header = [row(f"v{number}", headers={"x-v": str(number)}) for number in range(100)]
    router = Router([*by_header[:70], row("path", path="/a/*"), *by_header[70:]])
    assert len(router.rows) > SMALL
    found = [router.find(request_of("/a/b", headers=f"X-V: {number}")) for number in (69, 70)]
    assert [each and each.name for each in found] == ["v69", "path"]
