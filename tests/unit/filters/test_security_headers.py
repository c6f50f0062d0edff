"""Filter `security_headers`: what is added, what is kept."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.core.registry import BadOptionsError
from proxy.filters import FILTERS
from proxy.filters.site import Site
from proxy.http1 import fields
from proxy.http1.facts import Facts
from proxy.http1.message import NO_BODY, ResponseHead

RequestOf = Callable[..., Facts]
SENT = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"SAMEORIGIN",
    b"referrer-policy": b"strict-origin-when-cross-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
}
HSTS = {b"strict-transport-security": b"max-age=31536000"}
OFF = {"hsts": "off", "content_type": "off", "frames": "off", "referrer": "off", "permissions": "off"}
CSP = b"content-security-policy"


def answered(facts: Facts, options: dict[str, Any], block: bytes = b"") -> list[tuple[bytes, bytes]]:
    hooks = FILTERS.build("security_headers", options).compile(Site())
    assert (hooks.request, hooks.chosen) == (None, None)
    assert hooks.response is not None
    head = ResponseHead(200, b"OK", 1, NO_BODY, 0, block, 0)
    hooks.response.on_response(facts, head)
    return fields.items(head.block)


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, SENT),
        (OFF, {}),
        ({"frames": "none"}, SENT | {b"x-frame-options": b"DENY"}),
        ({**OFF, "frames": "none"}, {b"x-frame-options": b"DENY"}),
        ({**OFF, "content_type": "nosniff"}, {b"x-content-type-options": b"nosniff"}),
        ({**OFF, "referrer": "no-referrer, same-origin"}, {b"referrer-policy": b"no-referrer, same-origin"}),
        ({**OFF, "permissions": "usb=()"}, {b"permissions-policy": b"usb=()"}),
        ({**OFF, "csp": "default-src 'self'"}, {CSP: b"default-src 'self'"}),
        ({**OFF, "frames": "'self' https://*.a.example:8443"}, {CSP: b"frame-ancestors 'self' https://*.a.example:8443"}),
        ({**OFF, "csp": "frame-ancestors https://a.example", "frames": "self"}, {CSP: b"frame-ancestors https://a.example"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("scheme", [b"http", b"https"])
def test_each_field_is_sent_unless_it_is_off(
    request_of: RequestOf, options: dict[str, Any], sent: dict[bytes, bytes], scheme: bytes
) -> None:
    expected = HSTS | sent if scheme == b"https" and "hsts" not in options else sent
    got = answered(request_of(scheme=scheme), options)
    assert (dict(got), len(got)) == (expected, len(expected))


OWN = (
    b"X-Frame-Options: DENY\r\nREFERRER-POLICY: no-referrer\r\nstrict-transport-security: max-age=1\r\n"
    b"Content-Security-Policy: default-src 'none'\r\nX-Other: 1\r\n"
)


def test_what_the_upstream_has_set_is_kept(request_of: RequestOf) -> None:
    got = answered(request_of(scheme=b"https"), {"csp": "default-src *"}, OWN)
    added = [(name, SENT[name]) for name in (b"x-content-type-options", b"permissions-policy")]
    assert got == [*fields.items(OWN), *added]


def test_override_replaces_what_is_not_off(request_of: RequestOf) -> None:
    options = {"override": True, "referrer": "off", "csp": "default-src *"}
    got = answered(request_of(scheme=b"https"), options, OWN)
    sent = HSTS | SENT | {CSP: b"default-src *", b"referrer-policy": b"no-referrer", b"x-other": b"1"}
    assert (dict(got), len(got)) == (sent, len(sent))


def test_hsts_of_the_upstream_is_left_alone_where_the_scheme_is_http(request_of: RequestOf) -> None:
    got = answered(request_of(), {**OFF, "hsts": "max-age=5", "override": True}, OWN)
    assert got == fields.items(OWN)


@pytest.mark.parametrize(
    ("options", "block", "added"),
    [
        ({"frames": "self"}, b"Content-Security-Policy: Frame-Ancestors 'none'\r\n", []),
        ({"frames": "self", "override": True}, b"Content-Security-Policy: frame-ancestors 'none'\r\n", []),
        (
            {"frames": "self"},
            b"Content-Security-Policy-Report-Only: frame-ancestors 'none'\r\n",
            [(b"x-frame-options", b"SAMEORIGIN")],
        ),
        ({"frames": "https://a.example"}, b"X-Frame-Options: DENY\r\n", []),
        (
            {"frames": "https://a.example"},
            b"Content-Security-Policy: default-src 'self'\r\n",
            [(CSP, b"frame-ancestors https://a.example")],
        ),
    ],
)
def test_frames_adds_to_nothing_that_says_more(
    request_of: RequestOf, options: dict[str, Any], block: bytes, added: list[tuple[bytes, bytes]]
) -> None:
    assert answered(request_of(), OFF | options, block) == [*fields.items(block), *added]


def test_override_of_frames_takes_the_option_of_the_upstream_away(request_of: RequestOf) -> None:
    options = {**OFF, "frames": "https://a.example", "override": True}
    assert answered(request_of(), options, b"X-Frame-Options: DENY\r\n") == [
        (CSP, b"frame-ancestors https://a.example")
    ]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"hsts": "forever"}, "max-age"),
        ({"hsts": "max-age=1_0"}, "max-age"),
        ({"hsts": "max-age=1\r\nx: y"}, "max-age"),
        ({"content_type": "sniff"}, "nosniff or off"),
        ({"frames": "deny"}, "is no origin"),
        ({"frames": "https://a.example/path"}, "is no origin"),
        ({"frames": ""}, "is no origin"),
        ({"referrer": "none"}, "no referrer policy"),
        ({"permissions": ""}, "empty policy"),
        ({"csp": " "}, "empty policy"),
        ({"csp": "default-src 'self'\r\nset-cookie: a=b"}, "control character"),
    ],
)
def test_value_that_browsers_would_not_understand_is_refused(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint):
        FILTERS.build("security_headers", options)
