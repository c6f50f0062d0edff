"""Filters that change header fields of requests and responses."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.core.registry import BadOptionsError
from proxy.filters import FILTERS
from proxy.filters.site import Site
from proxy.http1.facts import Facts
from proxy.http1.message import CACHE_CONTROL, NO_BODY, VIA, ResponseHead

RequestOf = Callable[..., Facts]
BLOCK = b"Accept: */*\r\nX-Debug: 1\r\nx-debug: 2\r\nX-Debugger: 3\r\n"

ROWS = [
    ({"set": {"x-edge": "sluice"}}, BLOCK + b"x-edge: sluice\r\n"),
    ({"set": {"X-DEBUG": "0"}}, b"Accept: */*\r\nX-Debugger: 3\r\nX-DEBUG: 0\r\n"),
    ({"add": {"x-debug": "0"}}, BLOCK + b"x-debug: 0\r\n"),
    ({"remove": ["x-debug", "accept"]}, b"X-Debugger: 3\r\n"),
    ({"remove": ["x-none"]}, BLOCK),
    (
        {"remove": ["accept"], "set": {"x-debug": "0"}, "add": {"x-debug": "1"}},
        b"X-Debugger: 3\r\nx-debug: 0\r\nx-debug: 1\r\n",
    ),
    ({"set": {"x-text": "  ü\t"}}, BLOCK + "x-text: ü\r\n".encode()),
    ({"set": {"x-empty": ""}}, BLOCK + b"x-empty: \r\n"),
]


@pytest.mark.parametrize("kind", ["request_headers", "response_headers"])
@pytest.mark.parametrize("options", [{}, {"set": {}, "add": {}, "remove": []}])
def test_change_of_nothing_is_refused(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(BadOptionsError, match="changes nothing; give it"):
        FILTERS.build(kind, options)


def on_request(options: dict[str, Any], facts: Facts) -> Facts:
    hooks = FILTERS.build("request_headers", options).compile(Site())
    assert hooks.response is None
    assert hooks.request is not None
    assert hooks.request.on_request(facts) is None
    return facts


def on_response(options: dict[str, Any], facts: Facts, block: bytes, flags: int = 0) -> ResponseHead:
    hooks = FILTERS.build("response_headers", options).compile(Site())
    head = ResponseHead(200, b"OK", 1, NO_BODY, flags, block, 0)
    assert hooks.request is None
    assert hooks.response is not None
    hooks.response.on_response(facts, head)
    return head


@pytest.mark.parametrize(("options", "block"), ROWS)
def test_request_fields_are_removed_set_and_added(request_of: RequestOf, options: dict[str, Any], block: bytes) -> None:
    assert on_request(options, request_of(block=BLOCK)).head.block == block


@pytest.mark.parametrize(("options", "block"), ROWS)
def test_response_fields_are_removed_set_and_added(
    request_of: RequestOf, options: dict[str, Any], block: bytes
) -> None:
    assert on_response(options, request_of(), BLOCK).block == block


def test_set_host_is_what_routing_and_upstream_see(request_of: RequestOf) -> None:
    facts = on_request({"set": {"Host": "Internal.example:8080"}}, request_of())
    assert (facts.head.host, facts.host) == (b"Internal.example:8080", b"internal.example")
    assert facts.head.block == b""


@pytest.mark.parametrize(
    ("options", "before", "after"),
    [
        ({"set": {"cookie": "a=1"}}, b"b=2", b"a=1"),
        ({"add": {"Cookie": "a=1"}}, b"b=2", b"b=2; a=1"),
        ({"add": {"cookie": "a=1"}}, None, b"a=1"),
        ({"remove": ["Cookie"]}, b"b=2", None),
        ({"remove": ["cookie"], "add": {"cookie": "a=1"}}, b"b=2", b"a=1"),
        ({"remove": ["x-cookie"]}, b"b=2", b"b=2"),
    ],
)
def test_cookie_is_changed_where_the_head_keeps_it(
    request_of: RequestOf, options: dict[str, Any], before: bytes | None, after: bytes | None
) -> None:
    facts = on_request(options, request_of(cookie=before))
    assert (facts.head.cookie, facts.head.block) == (after, b"")


@pytest.mark.parametrize(
    ("options", "before", "after"),
    [
        ({"set": {"Cache-Control": "no-store"}}, VIA, VIA | CACHE_CONTROL),
        ({"add": {"cache-control": "no-store"}}, 0, CACHE_CONTROL),
        ({"remove": ["cache-control"]}, VIA | CACHE_CONTROL, VIA),
        ({"remove": ["x-cache-control"], "set": {"x-cache-control": "1"}}, CACHE_CONTROL, CACHE_CONTROL),
        ({"set": {"x-cache-control": "1"}}, 0, 0),
    ],
)
def test_flag_of_cache_control_stays_true(
    request_of: RequestOf, options: dict[str, Any], before: int, after: int
) -> None:
    assert on_response(options, request_of(), b"", before).flags == after


@pytest.mark.parametrize("kind", ["request_headers", "response_headers"])
@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"set": {"x y": "1"}}, "name of a header"),
        ({"set": {"": "1"}}, "name of a header"),
        ({"remove": ["x:"]}, "name of a header"),
        ({"set": {"x": "a\r\nb: c"}}, "control character"),
        ({"add": {"x": "a\0"}}, "control character"),
        ({"add": {"x": "a\x7f"}}, "control character"),
        ({"set": {"Content-Length": "1"}}, "framing"),
        ({"remove": ["transfer-encoding"]}, "framing"),
        ({"add": {"Connection": "close"}}, "framing"),
        ({"set": {"x-a": "1", "X-A": "2"}}, "'X-A' is set twice"),
        ({"sett": {}}, "did you mean 'set'"),
    ],
)
def test_field_that_could_break_the_message_is_refused(kind: str, options: dict[str, Any], hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint):
        FILTERS.build(kind, options)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"set": {"X-Forwarded-For": "1.2.3.4"}}, "written by the proxy"),
        ({"remove": ["via"]}, "written by the proxy"),
        ({"remove": ["host"]}, "exactly one Host"),
        ({"add": {"host": "a"}}, "exactly one Host"),
        ({"set": {"host": "a b"}}, "not a host"),
        ({"set": {"host": ""}}, "not a host"),
    ],
)
def test_request_field_of_the_proxy_is_refused(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint):
        FILTERS.build("request_headers", options)
