"""Filter `rewrite`: another path, another host, always canonical."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.core.registry import BadOptionsError
from proxy.filters import FILTERS, Reply
from proxy.filters.registry import RequestFilter
from proxy.filters.site import Site
from proxy.http1.facts import Facts

RequestOf = Callable[..., Facts]


def rewrite(options: dict[str, Any], *prefixes: bytes) -> RequestFilter:
    hooks = FILTERS.build("rewrite", options).compile(Site(prefixes))
    assert hooks.response is None
    assert hooks.request is not None
    return hooks.request


@pytest.mark.parametrize(
    ("options", "prefixes", "target", "expected"),
    [
        ({"path": "/new/*"}, [b"/old"], "/old/a/b?q=1", b"/new/a/b?q=1"),
        ({"path": "/new/*"}, [b"/old"], "/old", b"/new"),
        ({"path": "/new/*"}, [b"/old"], "/old/", b"/new/"),
        ({"path": "/*"}, [b"/old"], "/old", b"/"),
        ({"path": "/*"}, [b"/old"], "/old/a", b"/a"),
        ({"path": "/new/*"}, [b""], "/a", b"/new/a"),
        ({"path": "/new/*"}, [b"/x", b"/old"], "/old/a", b"/new/a"),
        ({"path": "/new/*"}, [b"/x"], "/elsewhere", b"/elsewhere"),
        ({"path": "/new/*"}, [b"/x"], "/xy", b"/xy"),
        ({"path": "/fixed"}, [], "/a?q", b"/fixed?q"),
        ({"path": "/a/../%7Eb"}, [], "/x", b"/~b"),
        ({"prefix": {"/api": "/v2"}}, [], "/api/x?q=1", b"/v2/x?q=1"),
        ({"prefix": {"/api": ""}}, [], "/api/x", b"/x"),
        ({"prefix": {"/api": "/"}}, [], "/api", b"/"),
        ({"prefix": {"/api": "/v2"}}, [], "/apis", b"/apis"),
        ({"prefix": {"/a": "/b", "/b": "/c"}}, [], "/a", b"/b"),
        ({"host": "internal"}, [], "/a?q", b"/a?q"),
    ],
)
def test_path_and_target_are_replaced(
    request_of: RequestOf, options: dict[str, Any], prefixes: list[bytes], target: str, expected: bytes
) -> None:
    facts = request_of(target)
    assert rewrite(options, *prefixes).on_request(facts) is None
    assert (facts.head.target, facts.path) == (expected, expected.partition(b"?")[0])


def test_host_is_replaced_for_routing_and_upstream(request_of: RequestOf) -> None:
    facts = request_of("/a")
    assert rewrite({"host": "Internal:81", "path": "/b"}).on_request(facts) is None
    assert (facts.head.host, facts.host, facts.path) == (b"Internal:81", b"internal", b"/b")


def test_path_that_is_none_any_more_is_a_refusal(request_of: RequestOf) -> None:
    facts = request_of("/api/x")
    facts.path = b"/api/%2f"
    reply = rewrite({"prefix": {"/api": "/v2"}}).on_request(facts)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.reason) == (400, "bad_path")
    assert facts.head.target == b"/api/x"


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({}, "changes nothing"),
        ({"path": "/a", "prefix": {"/b": "/c"}}, "either a path or a prefix"),
        ({"path": "new"}, "not a path"),
        ({"path": ""}, "not a path"),
        ({"path": "/a b"}, "not a path"),
        ({"path": "/a?b"}, "not a path"),
        ({"path": "/*/a"}, "at the end"),
        ({"path": "/a*"}, "at the end"),
        ({"path": "/%2f"}, "not a path"),
        ({"prefix": {"/a/": "/b"}}, "not a prefix"),
        ({"prefix": {"/a/*": "/b"}}, "not a prefix"),
        ({"prefix": {"/a": "b"}}, "not a path"),
        ({"host": "a b"}, "not a host"),
        ({"host": "a:b"}, "not a host"),
    ],
)
def test_rewrite_that_cannot_work_is_refused(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint):
        FILTERS.build("rewrite", options)


def test_star_without_a_prefix_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a route"):
        FILTERS.build("rewrite", {"path": "/new/*"}).compile(Site())
