"""Filter `maintenance`: what is said, and who is let through."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.core.registry import BadOptionsError
from proxy.filters import FILTERS, Reply
from proxy.filters.site import Site
from proxy.http1 import fields
from proxy.http1.facts import Facts

RequestOf = Callable[..., Facts]


def asked(facts: Facts, options: dict[str, Any]) -> Reply | None:
    hooks = FILTERS.build("maintenance", options).compile(Site())
    assert hooks.request is not None
    reply = hooks.request.on_request(facts)
    assert reply is None or isinstance(reply, Reply)
    return reply


@pytest.mark.parametrize(
    ("options", "status", "kind", "retry", "body"),
    [
        ({}, 503, b"text/plain", b"300", b"down for maintenance, please try again later\n"),
        ({"text": "back at 8"}, 503, b"text/plain", b"300", b"back at 8\n"),
        ({"html": "<h1>ü</h1>"}, 503, b"text/html", b"300", "<h1>ü</h1>".encode()),
        ({"retry_after": 0.2, "text": ""}, 503, b"text/plain", b"1", b"\n"),
        ({"retry_after": 0.0, "status": 200, "text": ""}, 200, b"text/plain", None, b"\n"),
    ],
)
def test_everybody_is_told(
    request_of: RequestOf, options: dict[str, Any], status: int, kind: bytes, retry: bytes | None, body: bytes
) -> None:
    reply = asked(request_of(), options)
    assert reply is not None
    assert (reply.status, reply.reason, reply.body) == (status, "maintenance", body)
    assert fields.get(reply.block, b"content-type") == kind + b"; charset=utf-8"
    assert fields.get(reply.block, b"retry-after") == retry
    assert fields.get(reply.block, b"cache-control") == b"no-store"
    assert fields.get(reply.block, b"x-sluice-reason") == b"maintenance"


@pytest.mark.parametrize(
    ("options", "request_has", "passes"),
    [
        ({"allow": ["192.0.2.0/24"]}, {}, True),
        ({"allow": ["192.0.2.0/24"]}, {"client": "198.51.100.1"}, False),
        ({"allow": ["0.0.0.0/0", "::/0"]}, {"client": ""}, False),
        ({"headers": {"X-Tester": "secret"}}, {"block": b"x-tester: secret\r\n"}, True),
        ({"headers": {"X-Tester": "secret"}}, {"block": b"x-tester: Secret\r\n"}, False),
        ({"headers": {"X-Tester": "secret"}}, {"block": b"x-tester: secret\r\nx-tester: secret\r\n"}, False),
        ({"headers": {"X-Tester": "secret"}}, {"block": b"x-tester: \r\n"}, False),
        ({"headers": {"X-Tester": "secret"}}, {}, False),
        ({"headers": {"x-ü-less": "ü"}}, {"block": b"x-tester: \xc3\xbc\r\n"}, None),
        ({"cookies": {"tester": "secret"}}, {"cookie": b"a=b; tester=secret"}, True),
        ({"cookies": {"tester": "secret"}}, {"cookie": b"tester=secre"}, False),
        ({"cookies": {"tester": "secret"}}, {"cookie": b"xtester=secret"}, False),
        ({"cookies": {"tester": "secret"}}, {"cookie": None}, False),
        ({"headers": {"a": "1"}, "cookies": {"b": "2"}}, {"cookie": b"b=2"}, True),
        ({"headers": {"a": "1", "c": "3"}}, {"block": b"c: 3\r\n"}, True),
    ],
)
def test_tester_is_let_through(
    request_of: RequestOf, options: dict[str, Any], request_has: dict[str, Any], passes: bool | None
) -> None:
    if passes is None:
        with pytest.raises(BadOptionsError, match="is not a name"):
            FILTERS.build("maintenance", options)
    else:
        assert (asked(request_of(**request_has), options) is None) is passes


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"status": 99}, "not a status"),
        ({"status": 204}, "not a status"),
        ({"status": 600}, "not a status"),
        ({"retry_after": -1.0}, "lies in the past"),
        ({"allow": ["10.0.0.1/8"]}, "did you mean"),
        ({"headers": {"x-tester": ""}}, "give it one"),
        ({"cookies": {"tester": ""}}, "give it one"),
        ({"headers": {"x-forwarded-for": "1"}}, "filters do not see"),
        ({"headers": {"connection": "close"}}, "filters do not see"),
        ({"cookies": {"a=b": "1"}}, "is not a name"),
    ],
)
def test_what_would_let_everybody_or_nobody_through_is_refused(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint):
        FILTERS.build("maintenance", options)
