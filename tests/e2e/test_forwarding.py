"""What the origin is told of the client, and what it is not told."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]


async def test_untrusted_client_cannot_speak_for_another(proxied: Factory) -> None:
    sluice, origin = await proxied()
    await sluice.ask(
        b"GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n"
        b"X-Forwarded-Host: evil\r\nX_Forwarded_For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n"
        b"X-Real-IP: 6.6.6.6\r\n"
        b"X-Request-Id: mine\r\nConnection: close, X-Forwarded-For\r\n\r\n"
    )
    request = origin.requests[0]
    assert request.one(b"x-forwarded-for") == b"127.0.0.1"
    assert request.one(b"x-forwarded-proto") == b"http"
    assert request.one(b"x-forwarded-host") == b"shop.example"
    assert request.one(b"x-request-id") not in (None, b"mine")
    assert b"6.6.6.6" not in request.raw


async def test_trusted_proxy_is_believed_and_continued(sluice: Factory, origin: Factory, plain: Any) -> None:
    back = await origin()
    listeners = 'listeners: [{bind: "127.0.0.1:PORT", trusted_proxies: [127.0.0.0/8]}]\n'
    proxy = await sluice(listeners + plain(back.address))
    await proxy.ask(
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n"
        b"X-Request-Id: theirs\r\n\r\n"
    )
    request = back.requests[0]
    assert request.one(b"x-forwarded-for") == b"192.0.2.7, 127.0.0.1"
    assert request.one(b"x-forwarded-proto") == b"https"
    assert request.one(b"x-request-id") == b"theirs"


async def test_via_and_traceparent_are_continued_or_started(proxied: Factory) -> None:
    sluice, origin = await proxied()
    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await sluice.ask(b"GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 before\r\ntraceparent: %b\r\n\r\n" % trace)
    await sluice.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    passed, started = origin.requests
    assert b", ".join(passed.all(b"via")) == b"1.0 before, 1.1 sluice"
    assert passed.one(b"traceparent") == trace
    version, trace_id, parent, flags = started.one(b"traceparent").split(b"-")
    assert (version, len(trace_id), len(parent), len(flags)) == (b"00", 32, 16, 2)


@pytest.mark.parametrize("field", [b"Keep-Alive: 5", b"Proxy-Connection: x", b"Upgrade: h2c", b"X-Hop: 1", b"TE: gzip"])
async def test_hop_by_hop_field_stays_here(proxied: Factory, field: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 9\r\n\r\n"
    sluice, origin = await proxied(answer=answer)
    head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x-hop, upgrade, keep-alive\r\n%b\r\n\r\n"
    response = await sluice.ask(head % field)
    assert response.status == 200
    assert field not in origin.requests[0].raw
    assert (response.all(b"x-hop"), response.all(b"keep-alive")) == ([], [])


async def test_protected_field_survives_being_named_by_connection(proxied: Factory) -> None:
    sluice, origin = await proxied()
    fields = b"Cookie: c=1\r\nAuthorization: x\r\nConnection: cookie, authorization, host\r\n"
    await sluice.ask(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % fields)
    request = origin.requests[0]
    assert (request.one(b"cookie"), request.one(b"authorization"), request.one(b"host")) == (
        b"c=1",
        b"x",
        b"a",
    )
