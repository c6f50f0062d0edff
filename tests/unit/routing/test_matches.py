"""Match keys: what each holds for, what it refuses, and how it is told."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.core.registry import BadOptionsError
from proxy.http1.facts import Facts
from proxy.http1.message import WEBSOCKET
from proxy.routing.matches import MATCHES, Place

RequestOf = Callable[..., Facts]
PLACE = Place("route", lambda: 0.5)


def holds(kind: str, value: Any, facts: Facts) -> bool:
    return MATCHES.build(kind, {"value": value}).compile(PLACE)(facts)


@pytest.mark.parametrize(
    ("value", "host", "expected"),
    [
        ("shop.example.com", "shop.example.com", True),
        ("SHOP.Example.COM.", "shop.example.com", True),
        ("shop.example.com", "xshop.example.com", False),
        ("shop.example.com", "a.shop.example.com", False),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "b.a.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "xexample.com", False),
        (["a.com", "*.b.com"], "x.b.com", True),
        (["a.com", "*.b.com"], "a.com", True),
        (["a.com", "*.b.com"], "b.com", False),
        ("[::1]", "[::1]", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("a.com", "", False),
    ],
)
def test_host_matches(request_of: RequestOf, value: Any, host: str, expected: bool) -> None:
    assert holds("host", value, request_of(host=host)) is expected


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        ("/a", "/a", True),
        ("/a", "/a/", False),
        ("/a", "/ab", False),
        ("/a", "/A", False),
        ("/", "/", True),
        ("/", "/a", False),
        ("/a/*", "/a", True),
        ("/a/*", "/a/", True),
        ("/a/*", "/a/b/c", True),
        ("/a/*", "/ab", False),
        ("/a/*", "/b/a/", False),
        ("/*", "/", True),
        ("/*", "/a/b", True),
        ("/*", "*", False),
        ("/%7Ebob/./x/../*", "/~bob/y", True),
        ("/café", "/caf%C3%A9", True),
        ("~/[a-z]+", "/abc", True),
        ("~/[a-z]+", "/abc/", False),
        ("~/[a-z]+", "x/abc", False),
        ("~.*", "/" + "a" * 2047, True),
        ("~.*", "/" + "a" * 2048, False),
        ("~/a$", "/a\n", False),
        ("~(?i)/shop", "/SHOP", True),
        (["/a", "/b/*", "~/c[0-9]"], "/b/x", True),
        (["/a", "/b/*", "~/c[0-9]"], "/c7", True),
        (["/a", "/b/*", "~/c[0-9]"], "/c", False),
    ],
)
def test_path_matches(request_of: RequestOf, value: Any, path: str, expected: bool) -> None:
    assert holds("path", value, request_of(path)) is expected


@pytest.mark.parametrize(
    ("value", "headers", "expected"),
    [
        ({"x-canary": "true"}, "X-Canary: true", True),
        ({"X-CANARY": "true"}, "x-canary:true", True),
        ({"x-canary": "true"}, "X-Canary: True", False),
        ({"x-canary": "true"}, "X-Canary: truely", False),
        ({"x-canary": "true"}, "", False),
        ({"x-canary": "true"}, "X-Canary-Not: true", False),
        ({"x-canary": "true"}, "X-Canary: false\nX-Canary: true", True),
        ({"accept": "text/html"}, "Accept: */*, text/html", True),
        ({"x-list": "a, b"}, "X-List: a, b", True),
        ({"x-list": "a, b"}, "X-List: a\nX-List: b", False),
        ({"x-a": {"regex": "v[0-9]+"}}, "X-A: v12", True),
        ({"x-a": {"regex": "v[0-9]+"}}, "X-A: v12x", False),
        ({"x-a": {"prefix": "v"}}, "X-A: v12", True),
        ({"x-a": {"prefix": "v"}}, "X-A: wv", False),
        ({"x-a": {"present": True}}, "X-A:", True),
        ({"x-a": {"present": True}}, "X-B: 1", False),
        ({"x-a": {"present": False}}, "X-B: 1", True),
        ({"x-a": {"present": False}}, "X-A: 1", False),
        ({"x-a": "1", "x-b": "2"}, "X-A: 1\nX-B: 2", True),
        ({"x-a": "1", "x-b": "2"}, "X-A: 1", False),
    ],
)
def test_headers_match(request_of: RequestOf, value: Any, headers: str, expected: bool) -> None:
    assert holds("headers", value, request_of(headers=headers)) is expected


def test_headers_know_an_upgrade_to_websocket(request_of: RequestOf) -> None:
    value = {"upgrade": "websocket"}
    assert holds("headers", value, request_of(flags=WEBSOCKET))
    assert not holds("headers", value, request_of(headers="Upgrade-Insecure-Requests: 1"))


@pytest.mark.parametrize(
    ("value", "cookie", "expected"),
    [
        ({"beta": "1"}, "a=b; beta=1", True),
        ({"beta": "1"}, "beta=1x", False),
        ({"beta": "1"}, "Beta=1", False),
        ({"beta": "1"}, "beta=0; beta=1", False),
        ({"beta": "1"}, None, False),
        ({"beta": {"present": False}}, None, True),
        ({"beta": {"present": True}}, "beta=", True),
        ({"beta": {"regex": "[01]"}}, "=; ;beta=0", True),
        ({"beta": "1", "b": "2"}, "beta=1; b=2", True),
        ({"beta": "1", "b": "2"}, "beta=1", False),
    ],
)
def test_cookies_match(request_of: RequestOf, value: Any, cookie: str | None, expected: bool) -> None:
    assert holds("cookies", value, request_of(cookie=cookie)) is expected


@pytest.mark.parametrize(
    ("value", "query", "expected"),
    [
        ({"v": "2"}, "?v=2", True),
        ({"v": "2"}, "?a=1&v=2", True),
        ({"v": "2"}, "?v=1&v=2", True),
        ({"v": "2"}, "?v=22", False),
        ({"v": "2"}, "?V=2", False),
        ({"v": "2"}, "", False),
        ({"v": "a b/c"}, "?v=a+b%2Fc", True),
        ({"v é": "ü"}, "?v%20%C3%A9=%C3%BC", True),
        ({"v": ""}, "?v", True),
        ({"v": {"present": True}}, "?v", True),
        ({"v": {"present": False}}, "?w", True),
        ({"v": {"present": False}}, "?v=1", False),
        ({"v": {"prefix": "x"}}, "?v=xy", True),
        ({"v": {"regex": "x|y"}}, "?v=xy", False),
    ],
)
def test_query_matches(request_of: RequestOf, value: Any, query: str, expected: bool) -> None:
    assert holds("query", value, request_of(f"/{query}")) is expected


@pytest.mark.parametrize(
    ("value", "method", "expected"),
    [
        ("GET", "GET", True),
        (["GET", "HEAD"], "HEAD", True),
        (["GET", "HEAD"], "POST", False),
        ("GET", "get", False),
    ],
)
def test_methods_match(request_of: RequestOf, value: Any, method: str, expected: bool) -> None:
    assert holds("methods", value, request_of(method=method)) is expected


@pytest.mark.parametrize(
    ("value", "client", "expected"),
    [
        ("10.0.0.0/8", "10.255.255.255", True),
        ("10.0.0.0/8", "11.0.0.0", False),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("0.0.0.0/0", "::1", False),
        ("::/0", "10.0.0.1", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.4", False),
        (["10.0.0.0/8", "2001:db8::/32"], "2001:db8:1::1", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("0.0.0.0/0", "", False),
        ("::/0", "nonsense", False),
    ],
)
def test_client_matches(request_of: RequestOf, value: Any, client: str, expected: bool) -> None:
    assert holds("client", value, request_of(client=client)) is expected


@pytest.mark.parametrize(
    ("kind", "value", "hint"),
    [
        ("host", "*", "leave `host` out"),
        ("host", "a.*.com", "at the front"),
        ("host", "*x.com", "at the front"),
        ("host", "shop.example.com:8080", "the port"),
        ("host", "bücher.de", "xn--"),
        ("host", "a b", "write it like"),
        ("host", "", "write it like"),
        ("host", "a..b", "write it like"),
        ("host", [], "empty list"),
        ("path", "a", "begin with /"),
        ("path", "", "begin with /"),
        ("path", "/a*", "at the end"),
        ("path", "/*/b", "at the end"),
        ("path", "/a?b=c", "query"),
        ("path", "/a b", "percent-encode"),
        ("path", "/a%2fb", "never be asked for"),
        ("path", "/a\\b", "percent-encode"),
        ("path", "~(", "not valid"),
        ("path", r"~/(a)\1", "group"),
        ("path", "~/(a+)+", "for ever"),
        ("path", [], "empty list"),
        ("methods", "get", "upper case"),
        ("methods", "G T", "upper case"),
        ("methods", [], "empty list"),
        ("headers", {}, "no header"),
        ("headers", {"x y": "1"}, "name of a header"),
        ("headers", {"X-Forwarded-For": "1.2.3.4"}, "use `client`"),
        ("headers", {"Content-Length": "1"}, "own business"),
        ("headers", {"x": {}}, "exactly one"),
        ("headers", {"x": {"prefix": "a", "present": True}}, "exactly one"),
        ("headers", {"x": {"regex": "é"}}, "bytes"),
        ("cookies", {}, "no cookie"),
        ("cookies", {"a;b": "1"}, "name of a cookie"),
        ("query", {}, "no query parameter"),
        ("client", "10.1.0.0/8", "did you mean 10.0.0.0/8"),
        ("client", "example.com", "not a network"),
        ("client", [], "empty list"),
        ("share", 1.5, "between 0% and 100%"),
        ("share", -0.1, "between 0% and 100%"),
    ],
)
def test_value_that_cannot_work_is_refused_with_a_hint(kind: str, value: Any, hint: str) -> None:
    with pytest.raises(BadOptionsError, match=r".") as refused:
        MATCHES.build(kind, {"value": value})
    assert hint in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "value", "phrase"),
    [
        ("host", ["a.com", "*.b.com"], "host is a.com or *.b.com"),
        ("path", "/a/*", "path is /a/*"),
        ("methods", ["GET", "HEAD", "PUT"], "method is GET, HEAD or PUT"),
        ("headers", {"x": "1", "y": {"present": False}}, "header x is 1 and header y is absent"),
        ("cookies", {"c": {"prefix": "v"}}, "cookie c begins with v"),
        ("query", {"q": {"regex": "a|b"}}, "query parameter q matches a|b"),
        ("client", "10.0.0.0/8", "client is in 10.0.0.0/8"),
        ("share", 0.1, "it is in the share of 10%"),
    ],
)
def test_description_is_a_phrase(kind: str, value: Any, phrase: str) -> None:
    assert MATCHES.build(kind, {"value": value}).describe() == phrase


def test_share_without_a_route_name_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a route with a name"):
        MATCHES.build("share", {"value": 0.1}).compile(Place(None, lambda: 0.5))


def test_share_without_identity_is_drawn_by_chance(request_of: RequestOf) -> None:
    drawn = [0.0, 0.0999, 0.1, 0.999]
    test = MATCHES.build("share", {"value": 0.1}).compile(Place("route", iter(drawn).__next__))
    assert [test(request_of()) for _ in drawn] == [True, True, False, False]


def in_share(share: float, route: str, request: Facts) -> set[int]:
    """Which of 4,000 identities are in; chance is never asked."""
    identity = iter(range(4000))
    place = Place(route, iter(()).__next__, lambda _: next(identity).to_bytes(16, "big"))
    test = MATCHES.build("share", {"value": share}).compile(place)
    return {number for number in range(4000) if test(request)}


def test_share_of_identities_is_fixed_and_grows(request_of: RequestOf) -> None:
    small, large = in_share(0.1, "a", request_of()), in_share(0.3, "a", request_of())
    assert in_share(0.1, "a", request_of()) == small
    assert small < large
    assert abs(len(small) - 400) < 5 * (4000 * 0.1 * 0.9) ** 0.5
    assert not in_share(0.0, "a", request_of())
    assert len(in_share(1.0, "a", request_of())) == 4000


def test_shares_of_two_routes_are_independent(request_of: RequestOf) -> None:
    both = in_share(0.5, "a", request_of()) & in_share(0.5, "b", request_of())
    assert abs(len(both) - 1000) < 5 * (4000 * 0.25 * 0.75) ** 0.5
