"""Actions: redirects and fixed responses."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.core.registry import BadOptionsError
from proxy.filters import ACTIONS, Reply
from proxy.filters.site import Site
from proxy.http1.facts import Facts

RequestOf = Callable[..., Facts]


def act(kind: str, options: dict[str, Any], facts: Facts, *prefixes: bytes) -> Reply:
    return ACTIONS.build(kind, options).compile(Site(prefixes))(facts)


@pytest.mark.parametrize(
    ("options", "prefixes", "target", "location"),
    [
        ({"path": "/new"}, [], "/old", b"/new"),
        ({"path": "/new"}, [], "/old?a=b", b"/new?a=b"),
        ({"path": "/new?x=1"}, [], "/old?a=b", b"/new?x=1&a=b"),
        ({"path": "/new/*"}, [b"/old"], "/old/a?q", b"/new/a?q"),
        ({"path": "/new/*"}, [b"/old"], "/old", b"/new"),
        ({"path": "/new/*"}, [b"/old"], "/other", b"/new"),
        ({"path": "/*"}, [b"/old"], "/old", b"/"),
        ({"path": "/*"}, [b"/old"], "/old//evil.example", b"/evil.example"),
        ({"url": "https://new.example/*"}, [b""], "/a/b?q", b"https://new.example/a/b?q"),
        ({"url": "https://new.example/*"}, [b"/old"], "/old", b"https://new.example"),
        ({"url": "https://new.example/*"}, [b"/old"], "/old//x", b"https://new.example//x"),
        ({"url": "http://[::1]:80/x"}, [], "/a", b"http://[::1]:80/x"),
    ],
)
def test_redirect_carries_over_rest_and_query(
    request_of: RequestOf, options: dict[str, Any], prefixes: list[bytes], target: str, location: bytes
) -> None:
    reply = act("redirect", options, request_of(target), *prefixes)
    assert (reply.status, reply.block, reply.body) == (302, b"location: %s\r\n" % location, b"")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_has_its_status(request_of: RequestOf, status: int) -> None:
    assert act("redirect", {"path": "/", "status": status}, request_of()).status == status


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({}, "either a path or a url"),
        ({"path": "/a", "url": "https://a"}, "either a path or a url"),
        ({"path": "a"}, "not a path to redirect to"),
        ({"path": "//evil.example"}, "not a path to redirect to"),
        ({"path": "/a\r\nx: y"}, "not a path to redirect to"),
        ({"path": "/a#b"}, "not a path to redirect to"),
        ({"path": "/a*"}, "at the end"),
        ({"url": "ftp://a"}, "not a URL"),
        ({"url": "https://a*"}, "not a URL"),
        ({"url": "https:///x"}, "not a URL"),
        ({"path": "/a", "status": 200}, "status"),
        ({"path": "/a", "status": 304}, "status"),
    ],
)
def test_redirect_that_cannot_work_is_refused(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint):
        ACTIONS.build("redirect", options)


def test_redirect_with_a_star_needs_a_prefix() -> None:
    with pytest.raises(ValueError, match="needs a route"):
        ACTIONS.build("redirect", {"path": "/new/*"}).compile(Site())


@pytest.mark.parametrize(
    ("options", "reply"),
    [
        ({}, Reply(200)),
        (
            {"status": 418, "body": "no"},
            Reply(418, b"content-type: text/plain; charset=utf-8\r\n", b"no"),
        ),
        (
            {"body": "{}", "headers": {"Content-Type": "application/json", "x-a": "b"}},
            Reply(200, b"Content-Type: application/json\r\nx-a: b\r\n", b"{}"),
        ),
        ({"status": 204}, Reply(204)),
    ],
)
def test_respond_answers_as_it_is_told(request_of: RequestOf, options: dict[str, Any], reply: Reply) -> None:
    assert act("respond", options, request_of()) == reply


def test_respond_ready_says_what_the_proxy_says(request_of: RequestOf) -> None:
    said = ACTIONS.build("respond", {"ready": {}}).compile(Site())
    request = request_of()
    replies = []
    for is_ready in (True, False):
        request.is_ready = is_ready
        replies.append(said(request))
    assert [(reply.status, reply.body) for reply in replies] == [(200, b"ready\n"), (503, b"not ready\n")]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"status": 101}, "200 to 599"),
        ({"status": 600}, "200 to 599"),
        ({"status": 204, "body": "x"}, "no body"),
        ({"status": 304, "body": "x"}, "no body"),
        ({"headers": {"content-length": "1"}}, "framing"),
        ({"headers": {"x": "a\nb"}}, "control character"),
        ({"ready": {}, "status": 204}, "ready says by itself"),
        ({"ready": {}, "body": "x"}, "ready says by itself"),
    ],
)
def test_respond_that_cannot_work_is_refused(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint):
        ACTIONS.build("respond", options)
