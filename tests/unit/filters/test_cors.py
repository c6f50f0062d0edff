"""Filter `cors`: whose pages may read what."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.core.registry import BadOptionsError
from proxy.filters import FILTERS, Hooks, Reply
from proxy.filters.site import Site
from proxy.http1 import fields
from proxy.http1.facts import Facts
from proxy.http1.message import NO_BODY, ResponseHead

RequestOf = Callable[..., Facts]
APP = "https://app.example.com"
ALLOWED = b"access-control-allow-origin"
VARY = (b"vary", b"Origin")


def compiled(**options: Any) -> Hooks:
    return FILTERS.build("cors", options).compile(Site())


def answered(hooks: Hooks, facts: Facts, block: bytes = b"") -> list[tuple[bytes, bytes]]:
    assert hooks.response is not None
    head = ResponseHead(200, b"OK", 1, NO_BODY, 0, block, 0)
    hooks.response.on_response(facts, head)
    return fields.items(head.block)


def exchanged(hooks: Hooks, facts: Facts, block: bytes = b"") -> list[tuple[bytes, bytes]]:
    """What is said after the request has passed."""
    assert hooks.request is not None
    assert hooks.request.on_request(facts) is None
    return answered(hooks, facts, block)


def origin_is(value: str) -> bytes:
    return f"Origin: {value}\r\n".encode()


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        (APP, APP, True),
        ((APP, "http://localhost:3000"), "http://localhost:3000", True),
        (APP, "https://app.example.com:8443", False),
        (APP, "http://app.example.com", False),
        (APP, "https://app.example.com.evil.example", False),
        (APP, "https://other.example.com", False),
        (APP, "null", False),
        (APP, "", False),
        (APP, f"{APP}, {APP}", False),
        (("HTTPS://App.Example.com",), APP, True),
        ("https://*.example.com", "https://a.example.com", True),
        ("https://*.example.com", "https://a.b-c.example.com", True),
        ("https://*.example.com", "https://example.com", False),
        ("https://*.example.com", "https://.example.com", False),
        ("https://*.example.com", "http://a.example.com", False),
        ("https://*.example.com", "https://aexample.com", False),
        ("https://*.example.com", "https://a.example.com:8443", False),
        ("https://*.example.com:8443", "https://a.example.com:8443", True),
        ("https://*.example.com", "https://evil.example/.example.com", False),
        ("https://*.example.com", "https://evil.example?.example.com", False),
        ("https://*.example.com", "https://evil.example#.example.com", False),
        ("https://*.example.com", "https://evil@a.example.com", False),
        ("https://*.example.com", "https://a.example.com.evil.example", False),
        ("https://*.example.com", "https://" + "a." * 200 + "example.com", False),
        ("https://*.example.com", "null", False),
        ("null", "null", True),
        (r"~https://pr-[0-9]+\.example\.com", "https://pr-17.example.com", True),
        (r"~https://pr-[0-9]+\.example\.com", "https://pr-17xexample.com", False),
        (r"~https://pr-[0-9]+\.example\.com", "https://pr-17.example.com.evil.example", False),
        ("~.*", "null", False),
        ("~.*", "https://a.example, https://b.example", False),
        ("chrome-extension://abc", "chrome-extension://abc", True),
        ("http://[::1]:3000", "http://[::1]:3000", True),
    ],
)
def test_origin_decides(request_of: RequestOf, origins: Any, origin: str, allowed: bool) -> None:
    got = exchanged(compiled(origins=origins), request_of(block=origin_is(origin)))
    assert got == ([VARY, (ALLOWED, origin.encode())] if allowed else [VARY])


@pytest.mark.parametrize(
    ("block", "said"),
    [(origin_is(APP), [(ALLOWED, b"*")]), (origin_is("null"), [(ALLOWED, b"*")]), (b"", [])],
)
def test_every_origin_is_a_star_and_varies_by_nothing(
    request_of: RequestOf, block: bytes, said: list[tuple[bytes, bytes]]
) -> None:
    assert exchanged(compiled(origins="*"), request_of(block=block)) == said


def test_credentials_and_exposed_fields_are_told(request_of: RequestOf) -> None:
    hooks = compiled(origins=[APP], credentials=True, expose=["X-Total", "ETag"])
    assert exchanged(hooks, request_of(block=origin_is(APP))) == [
        VARY,
        (ALLOWED, APP.encode()),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"X-Total, ETag"),
    ]
    assert exchanged(hooks, request_of(block=origin_is("https://evil.example"))) == [VARY]


@pytest.mark.parametrize(
    ("vary", "after"),
    [
        (b"", [VARY]),
        (b"Vary: Accept-Encoding\r\n", [(b"vary", b"Accept-Encoding"), VARY]),
        (b"Vary: Accept-Encoding, ORIGIN\r\n", [(b"vary", b"Accept-Encoding, ORIGIN")]),
        (b"Vary: a\r\nvary: origin\r\n", [(b"vary", b"a"), (b"vary", b"origin")]),
        (b"Vary: *\r\n", [(b"vary", b"*")]),
        (b"Vary: X-Origin\r\n", [(b"vary", b"X-Origin"), VARY]),
    ],
)
def test_vary_is_added_to_and_never_replaced(
    request_of: RequestOf, vary: bytes, after: list[tuple[bytes, bytes]]
) -> None:
    assert exchanged(compiled(origins=APP), request_of(), vary) == after


def test_what_the_upstream_says_of_cors_is_replaced(request_of: RequestOf) -> None:
    own = (
        b"Access-Control-Allow-Origin: *\r\nX-Kept: 1\r\nACCESS-CONTROL-ALLOW-CREDENTIALS: true\r\n"
        b"access-control-expose-headers: *\r\naccess-control-max-age: 9\r\nAccess-Control-Request-Method: x\r\n"
    )
    kept = [(b"x-kept", b"1"), (b"access-control-request-method", b"x"), VARY]
    assert exchanged(compiled(origins=APP), request_of(block=origin_is(APP)), own) == [*kept, (ALLOWED, APP.encode())]
    assert exchanged(compiled(origins=APP), request_of(block=origin_is("https://evil.example")), own) == kept
    assert exchanged(compiled(origins=APP), request_of(), own) == kept


PREFLIGHT = b"Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-a\r\n"


def test_preflight_is_answered(request_of: RequestOf) -> None:
    hooks = compiled(origins=APP, methods=["GET", "PUT"], headers=["X-A", "Content-Type"], expose=["X-B"], max_age=90)
    asked = request_of(method=b"OPTIONS", block=origin_is(APP) + PREFLIGHT)
    assert hooks.request is not None
    assert hooks.request.on_request(asked) == Reply(204)
    assert answered(hooks, asked) == [
        VARY,
        (ALLOWED, APP.encode()),
        (b"access-control-allow-methods", b"GET, PUT"),
        (b"access-control-allow-headers", b"X-A, Content-Type"),
        (b"access-control-max-age", b"90"),
    ]


@pytest.mark.parametrize("block", [origin_is("https://evil.example") + PREFLIGHT, PREFLIGHT])
def test_preflight_of_a_stranger_is_told_nothing(request_of: RequestOf, block: bytes) -> None:
    hooks = compiled(origins=APP)
    asked = request_of(method=b"OPTIONS", block=block)
    assert hooks.request is not None
    assert hooks.request.on_request(asked) == Reply(204)
    assert answered(hooks, asked) == [VARY]


@pytest.mark.parametrize(
    ("method", "block"), [(b"OPTIONS", origin_is(APP)), (b"GET", origin_is(APP) + PREFLIGHT), (b"OPTIONS", b"")]
)
def test_what_is_no_preflight_passes(request_of: RequestOf, method: bytes, block: bytes) -> None:
    hooks = compiled(origins=APP)
    assert hooks.request is not None
    assert hooks.request.on_request(request_of(method=method, block=block)) is None


def test_origin_that_a_later_filter_takes_away_still_counts(request_of: RequestOf) -> None:
    hooks, asked = compiled(origins=APP), request_of(block=origin_is(APP))
    assert hooks.request is not None
    hooks.request.on_request(asked)
    asked.head.block = b""
    assert answered(hooks, asked) == [VARY, (ALLOWED, APP.encode())]


def test_reply_of_an_earlier_filter_is_told_it_too(request_of: RequestOf) -> None:
    assert answered(compiled(origins=APP), request_of(block=origin_is(APP))) == [VARY, (ALLOWED, APP.encode())]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({}, "origins"),
        ({"origins": []}, "allows no origin"),
        ({"origins": ["*", APP]}, "every origin already"),
        ({"origins": "*", "credentials": True}, "with credentials"),
        ({"origins": APP, "headers": ["*"], "credentials": True}, "with credentials"),
        ({"origins": APP, "methods": ["*"], "credentials": True}, "with credentials"),
        ({"origins": APP, "expose": ["*"], "credentials": True}, "with credentials"),
        ({"origins": f"{APP}/"}, "without a path"),
        ({"origins": "app.example.com"}, "is not an origin"),
        ({"origins": "https://*"}, "is not an origin"),
        ({"origins": "https://*example.com"}, "is not an origin"),
        ({"origins": "https://a.*.example.com"}, "is not an origin"),
        ({"origins": "https://app.example.com:443"}, "leave out the usual port.*write https://app.example.com"),
        ({"origins": "http://*.example.com:80"}, "leave out the usual port"),
        ({"origins": "https://a\r\nx: y"}, "is not an origin"),
        ({"origins": "~(a+)+"}, "may take for ever"),
        ({"origins": "~("}, "is not valid"),
        ({"origins": APP, "methods": ["get"]}, "upper case"),
        ({"origins": APP, "methods": ["A B"]}, "is not a name"),
        ({"origins": APP, "headers": ["x: y"]}, "is not a name"),
        ({"origins": APP, "expose": ["x\r\n"]}, "is not a name"),
        ({"origins": APP, "max_age": -1.0}, "no time"),
    ],
)  # fmt: skip
def test_what_browsers_would_not_obey_is_refused(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint):
        FILTERS.build("cors", options)
