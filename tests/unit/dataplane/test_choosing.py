"""Where a request goes, and in which form."""

from typing import Any

from proxy.dataplane.exchange import Exchange
from proxy.http1.message import NO_BODY, RequestHead
from proxy.pools.endpoint import Signal

A = "127.0.0.1:1"


def test_request_reaches_the_endpoint_in_canonical_form(make: Any) -> None:
    stage = make()
    exchange = stage.begin()
    assert exchange.head.target == b"/x?y"
    assert stage.busy.sent == [b"Accept: */*\r\nCookie: a=b\r\nX-Forwarded-For: 127.0.0.1\r\n"]
    assert stage.places == [(1, 1)]
    exchange.response(stage.head(), b"ok", True)
    assert (stage.client.status, stage.client.body, stage.client.events) == (200, b"ok", ["done", "finished"])
    assert stage.servers[A].events == ["done", "released"]
    assert stage.places == [(0, 0)]


def test_broken_path_is_refused_before_anything_else(make: Any) -> None:
    stage = make()
    head = RequestHead(b"GET", b"/%2f", 1, b"h", NO_BODY, 0, b"", None, None, 0)
    Exchange(stage.plane, stage.client, head, ("", b"http", b""), 0.0).begin(b"", True)
    assert (stage.client.status, stage.client.reason) == (400, "bad_path")
    assert stage.places == [(0, 0)]


def test_nobody_left_is_503(make: Any) -> None:
    stage = make()
    for server in stage.servers.values():
        server.endpoint.signal(Signal.DRAIN)
        server.endpoint.shared.refresh()
    stage.begin()
    assert (stage.client.status, stage.client.reason) == (503, "no_endpoint")
