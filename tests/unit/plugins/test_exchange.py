"""Requests, responses and replies as plug-ins see them."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.http1.message import NO_BODY, RequestHead, ResponseHead
from proxy.plugins import Reply, Request, Response


class Known:
    """What the data plane's exchange is to a plug-in."""

    def __init__(self, target: bytes = b"/a?b=c", block: bytes = b"", cookie: bytes | None = None) -> None:
        self.head = RequestHead(b"GET", target, 1, b"Shop.example:80", NO_BODY, 0, block, cookie, None, 0)
        self.path, _, self.query = target.partition(b"?")
        self.host = b"shop.example"


def request(**parts: Any) -> tuple[Request, Known]:
    known = Known(**parts)
    return Request(known), known  # type: ignore[arg-type]  # as much of one as a Request looks at


def test_request_reads_what_there_is() -> None:
    seen, _ = request(block=b"X-A: 1\r\nx-a:  2 \r\nAccept: */*\r\n", cookie=b"a=1; b=2; a=3")
    assert (seen.method, seen.path, seen.query, seen.host) == ("GET", "/a", "b=c", "shop.example")
    assert (seen.headers.get("X-a"), seen.headers.get_all("x-A")) == ("1, 2", ["1", "2"])
    assert (seen.headers.get("host"), seen.headers.get("cookie")) == ("Shop.example:80", "a=1; b=2; a=3")
    assert ("accept" in seen.headers, "no" in seen.headers, 5 in seen.headers) == (True, False, False)
    assert dict(seen.headers.items())["accept"] == "*/*"
    assert seen.cookies == {"a": "1", "b": "2"}


def test_request_changes_what_is_sent() -> None:
    seen, known = request(block=b"X-A: 1\r\nX-B: 2\r\n")
    seen.headers.set("x-a", "3")
    seen.headers.add("X-C", "caf\xe9")
    seen.headers.remove("x-b")
    seen.headers.set("Host", "other:81")
    seen.headers.set("cookie", "s=1")
    seen.path = "/%7Eann/../x"
    assert known.head.block == b"x-a: 3\r\nX-C: caf\xe9\r\n"
    assert (known.head.host, known.host, known.head.cookie) == (b"other:81", b"other", b"s=1")
    assert (known.path, known.head.target) == (b"/x", b"/x?b=c")
    seen.query = ""
    assert known.head.target == b"/x"
    seen.headers.remove("cookie")
    assert known.head.cookie is None


@pytest.mark.parametrize(
    "change",
    [
        lambda seen: seen.headers.set("x-a", "1\r\nx-evil: 2"),
        lambda seen: seen.headers.set("x-a", "1\0"),
        lambda seen: seen.headers.set("x-a", "\u20ac"),
        lambda seen: seen.headers.set("x a", "1"),
        lambda seen: seen.headers.add("", "1"),
        lambda seen: seen.headers.set("Content-Length", "7"),
        lambda seen: seen.headers.set("Transfer-Encoding", "chunked"),
        lambda seen: seen.headers.remove("Connection"),
        lambda seen: seen.headers.set("X-Forwarded-For", "10.0.0.1"),
        lambda seen: seen.headers.add("host", "other"),
        lambda seen: seen.headers.remove("host"),
        lambda seen: seen.headers.set("host", "a b"),
        lambda seen: setattr(seen, "path", "no/slash"),
        lambda seen: setattr(seen, "path", "/a%2Fb"),
        lambda seen: setattr(seen, "path", "/\u20ac"),
        lambda seen: setattr(seen, "path", "/a b"),
        lambda seen: setattr(seen, "path", "/a?b"),
        lambda seen: setattr(seen, "path", "/a\r\nx: y"),
        lambda seen: setattr(seen, "query", "a b"),
        lambda seen: setattr(seen, "query", "a#b"),
        lambda seen: setattr(seen, "query", "a\r\nb"),
    ],
)
def test_request_refuses_what_would_break_the_message(change: Callable[[Request], None]) -> None:
    seen, known = request(block=b"X-A: 1\r\n")
    before = known.head.block, known.head.host, known.head.target, known.path
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else
        change(seen)
    assert (known.head.block, known.head.host, known.head.target, known.path) == before


def test_response_changes_status_and_headers() -> None:
    head = ResponseHead(200, b"OK", 1, 2, 0, b"Server: x\r\n", 0)
    seen = Response(head)
    seen.status = 404
    seen.headers.set("server", "y")
    assert (head.status, head.reason, head.block) == (404, b"", b"server: y\r\n")


@pytest.mark.parametrize(("status", "other"), [(200, 204), (200, 304), (200, 199), (200, 600), (304, 200), (204, 201)])
def test_response_refuses_a_status_that_its_body_does_not_fit(status: int, other: int) -> None:
    seen = Response(ResponseHead(status, b"", 1, 2, 0, b"", 0))
    with pytest.raises(ValueError, match="cannot be changed"):
        seen.status = other


@pytest.mark.parametrize(("status", "body"), [(199, ""), (600, ""), (204, "x"), (304, b"x")])
def test_reply_refuses_what_is_none(status: int, body: Any) -> None:
    with pytest.raises(ValueError, match="status"):
        Reply(status, body)
