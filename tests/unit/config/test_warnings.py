"""What is allowed and yet probably not meant: the line that a person is warned with."""

from collections.abc import Callable

import pytest

WARNINGS = [
    ("listeners:", "access_log: a.log\nlisteners:", []),
    ("listeners:", "access_log: off\nstatus: off\nlisteners:", []),
    ("listeners:", "workers: 1\nlisteners:", []),
    ("    split:", "    health: off\n    slow_start: off\n    split:", []),
    ("    split:", "    sticky: {key: {header: a}, endpoint: true}\n    split:", []),
    (
        "    split:",
        "    sticky: {cookie: a}\n    split:",
        ["7:22: no cookie_keys are set (one is made, and kept in the store; sessions hold for this instance only)"],
    ),
    (
        "listeners:",
        "cookie_keys: [short]\nlisteners:",
        ["1:15: a cookie key shorter than 16 characters (openssl rand -hex 32)"],
    ),
    ("  shop:", "  idle: {pools: {a: {endpoints: [a:1]}}}\n  shop:", ["3:3: no route leads to the service 'idle'"]),
    (
        "  - service: shop",
        "  - service: shop\n  - {name: late, service: shop}",
        ["10:5: this route is never reached (the one before it matches every request)"],
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), WARNINGS)
def test_warning_is_given(
    warnings: Callable[[str], list[str]], plain: str, old: str, new: str, expected: list[str]
) -> None:
    assert old in plain
    assert warnings(plain.replace(old, new, 1)) == expected


def test_cookie_of_two_services_is_warned_about(warnings: Callable[[str], list[str]]) -> None:
    text = """\
listeners: [{bind: 127.0.0.1:8080}]
cookie_keys: [0123456789abcdef]
services:
  a: {pools: {x: {endpoints: [h:1]}}, sticky: {cookie: s}}
  b: {pools: {x: {endpoints: [h:1]}}, sticky: {cookie: s}}
routes: [{match: {path: /a}, service: a}, {service: b}]
"""
    assert warnings(text) == [
        "5:56: two services use the cookie 's' (the sessions of one mean nothing to the other, and each replaces them)"
    ]
