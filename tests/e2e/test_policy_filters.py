"""Filters of policy on a running proxy: cors, fault, ip_allow, maintenance, max_body, rewrite, security_headers."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

Factory = Callable[..., Awaitable[Any]]

TRUSTING = 'listeners: [{bind: "127.0.0.1:PORT", trusted_proxies: [127.0.0.1]}]\n'


def get(path: str = "/", *lines: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *lines, "", ""]).encode()


def echoing(message: Any) -> bytes:
    """An origin's answer that tells what it was asked for."""
    path = message.start.split(b" ")[1]
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path)


@pytest.fixture
def filtered(sluice: Factory, origin: Factory, plain: Callable[..., str]) -> Factory:
    """A proxy with filters on its service, before one origin: await filtered(filters, head=…, **origin's)."""

    async def start(filters: str, head: str = "", **options: Any) -> tuple[Any, Any]:
        back = await origin(**options)
        return await sluice(head + plain(back.address, f"filters: {filters}")), back

    return start


# -- cors


async def test_cors_answers_preflights_and_replaces_what_the_origin_says(filtered: Factory) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nVary: Accept-Encoding\r\nAccess-Control-Allow-Origin: *\r\n"
        b"access-control-allow-credentials: false\r\n\r\n"
    )
    cors = "{origins: [https://*.example.com], methods: [GET, PUT], headers: [x-a], credentials: true}"
    proxy, back = await filtered(f"[{{cors: {cors}}}]", answer=answer)
    asked = ("Origin: https://app.example.com", "Access-Control-Request-Method: PUT")
    client = await proxy.connect()
    preflight = await client.ask(get("/x", *asked, method="OPTIONS"))
    assert preflight.status == 204
    assert preflight.one(b"access-control-allow-origin") == b"https://app.example.com"
    assert preflight.one(b"access-control-allow-methods") == b"GET, PUT"
    assert preflight.one(b"access-control-max-age") == b"600"
    assert preflight.all(b"vary") == [b"Origin"]
    assert back.requests == []
    real = await client.ask(get("/x", "Origin: https://app.example.com"))
    assert real.one(b"access-control-allow-origin") == b"https://app.example.com"
    assert real.one(b"access-control-allow-credentials") == b"true"
    assert real.all(b"vary") == [b"Accept-Encoding", b"Origin"]
    for line in ("Origin: null", "Origin: https://example.com", "X-None: 1"):
        other = await client.ask(get("/x", line))
        assert (other.status, other.one(b"access-control-allow-origin")) == (200, None)
        assert other.all(b"vary") == [b"Accept-Encoding", b"Origin"]
    assert (await client.ask(get("/y", "Origin: null", method="OPTIONS"))).status == 200
    assert len(back.requests) == 5
    await client.close()


async def test_cors_lets_pages_read_replies_of_our_own(sluice: Factory, plain: Any, free_port: Any) -> None:
    limits = "retry: {retries: 0}"
    proxy = await sluice(f"filters: [{{cors: {{origins: '*'}}}}]\n{plain(f'127.0.0.1:{free_port()}', limits)}")
    reply = await proxy.ask(get("/", "Origin: null"))
    assert (reply.status, reply.one(b"x-sluice-reason")) == (502, b"connect_failed")
    assert reply.one(b"access-control-allow-origin") == b"*"


# -- ip_allow


async def test_ip_allow_goes_by_the_address_that_a_trusted_proxy_tells(filtered: Factory) -> None:
    allow = "{allow: [10.0.0.0/8, '2001:db8::/32'], deny: [10.1.0.0/16]}"
    proxy, back = await filtered(f"[{{ip_allow: {allow}}}]", TRUSTING)
    told = {"10.2.3.4": 200, "10.1.2.3": 403, "192.0.2.1": 403, "::ffff:10.1.2.3": 403, "2001:db8::1": 200}
    for client, status in told.items():
        reply = await proxy.ask(get("/", f"X-Forwarded-For: {client}"))
        assert (client, reply.status) == (client, status)
        assert reply.one(b"x-sluice-reason") == (b"ip_refused" if status == 403 else None)
    assert (await proxy.ask(get())).status == 403
    assert len(back.requests) == 2


@pytest.mark.parametrize(("unix", "status"), [("", 403), (", unix: true", 200)])
async def test_ip_allow_says_what_becomes_of_unix_sockets(
    sluice: Factory, origin: Factory, plain: Any, tmp_path: Path, unix: str, status: int
) -> None:
    back, path = await origin(), tmp_path / "sluice.sock"
    text = plain(back.address, f"filters: [{{ip_allow: {{deny: [192.0.2.0/24]{unix}}}}}]")
    await sluice(f'listeners: [{{bind: "unix:{path}"}}]\n{text}')
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(get("/", "Connection: close"))
    async with asyncio.timeout(15):
        assert (await reader.read()).startswith(b"HTTP/1.1 %d " % status)
    writer.close()
    await writer.wait_closed()


# -- max_body


async def test_max_body_refuses_by_length_before_the_body_is_sent(filtered: Factory) -> None:
    proxy, back = await filtered("[{max_body: {size: 10B}}]")
    client = await proxy.connect()
    await client.send(get("/", "Content-Length: 11", "Expect: 100-continue", method="POST"))
    refused = await client.response(b"POST")
    assert (refused.status, refused.one(b"x-sluice-reason")) == (413, b"body_too_large")
    assert refused.one(b"connection") == b"close"  # nobody knows whether the body still comes
    assert await client.rest() == b""
    await client.close()
    client = await proxy.connect()
    refused = await client.ask(get("/", "Content-Length: 11", method="POST") + b"01234567890")
    assert refused.status == 413
    taken = await client.ask(get("/", "Content-Length: 10", method="POST") + b"0123456789")
    assert taken.status == 200
    await client.close()
    assert [request.body for request in back.requests] == [b"0123456789"]


async def test_max_body_stops_a_chunked_body_that_gets_too_long(filtered: Factory) -> None:
    proxy, back = await filtered("[{max_body: {size: 10B}}]")
    client = await proxy.connect()
    head = get("/", "Transfer-Encoding: chunked", method="POST")
    await client.send(head + b"6\r\nabcdef\r\n")
    await back.until(lambda: b"abcdef" in back.received)
    await client.send(b"6\r\nghijkl\r\n")
    refused = await client.response(b"POST")
    assert (refused.status, refused.one(b"x-sluice-reason")) == (413, b"body_too_large")
    await client.send(b"6\r\nmnopqr\r\n0\r\n\r\n")
    taken = await client.ask(head + b"a\r\n0123456789\r\n0\r\n\r\n")
    assert taken.status == 200
    await client.close()
    assert [request.body for request in back.requests] == [b"0123456789"]
    assert b"ghijkl" not in back.received


# -- security_headers


async def test_security_headers_are_added_to_what_the_origin_has_not_set(filtered: Factory) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nReferrer-Policy: no-referrer\r\n\r\n"
    proxy, _ = await filtered("[{security_headers: {permissions: off}}]", TRUSTING, answer=answer)
    secure = await proxy.ask(get("/", "X-Forwarded-Proto: https"))
    assert secure.one(b"strict-transport-security") == b"max-age=31536000"
    assert secure.one(b"x-content-type-options") == b"nosniff"
    assert secure.one(b"x-frame-options") == b"SAMEORIGIN"
    assert secure.one(b"referrer-policy") == b"no-referrer"
    assert secure.one(b"permissions-policy") is None
    assert (await proxy.ask(get())).one(b"strict-transport-security") is None


# -- rewrite

REWRITES = [
    ("[{rewrite: {prefix: {/api: /v2, /a: /web}, host: api.internal}}]", "/api/a%20b?q=/api", "/v2/a%20b?q=/api"),
    ("[{rewrite: {prefix: {/api: /v2}}}]", "/apiary", "/apiary"),
    ("[{rewrite: {path: /new}}, {rewrite: {prefix: {/new: /newer}}}]", "/a?b", "/newer?b"),
]


@pytest.mark.parametrize(("filters", "asked", "seen"), REWRITES)
async def test_rewrite_changes_what_the_origin_is_asked_for(
    filtered: Factory, filters: str, asked: str, seen: str
) -> None:
    proxy, back = await filtered(filters)
    assert (await proxy.ask(get(asked))).status == 200
    (request,) = back.requests
    assert request.start == f"GET {seen} HTTP/1.1".encode()
    assert request.one(b"host") == (b"api.internal" if "host" in filters else b"a")


# -- maintenance


async def test_maintenance_lets_testers_through(filtered: Factory) -> None:
    options = "{html: <p>soon</p>, retry_after: 90s, headers: {x-tester: s3cret}, cookies: {tester: s3cret}}"
    proxy, back = await filtered(f"[{{maintenance: {options}}}]")
    closed = await proxy.ask(get())
    assert (closed.status, closed.body, closed.one(b"x-sluice-reason")) == (503, b"<p>soon</p>", b"maintenance")
    assert (closed.one(b"retry-after"), closed.one(b"cache-control")) == (b"90", b"no-store")
    assert closed.one(b"content-type") == b"text/html; charset=utf-8"
    head = await proxy.ask(get("/", method="HEAD"))
    assert (head.status, head.one(b"content-length"), head.body) == (503, b"11", b"")
    assert back.requests == []
    assert (await proxy.ask(get("/", "X-Tester: s3cret"))).status == 200
    assert (await proxy.ask(get("/", "Cookie: tester=s3cret"))).status == 200
    assert (await proxy.ask(get("/", "X-Tester: other"))).status == 503


# -- fault, and with it requests that wait


async def test_fault_delays_and_aborts(filtered: Factory) -> None:
    proxy, back = await filtered("[{fault: {delay: 10ms, abort: 418, header: x-fault, value: tea}}]")
    aborted = await proxy.ask(get("/", "X-Fault: tea"))
    assert (aborted.status, aborted.one(b"x-sluice-reason")) == (418, b"fault")
    assert back.requests == []
    assert (await proxy.ask(get("/", "X-Fault: coffee"))).status == 200


async def test_pipelined_request_waits_behind_one_that_is_held_back(filtered: Factory) -> None:
    proxy, back = await filtered("[{fault: {delay: 200ms, header: x-slow}}]", answer=echoing)
    client = await proxy.connect()
    await client.send(get("/1", "X-Slow: 1") + get("/2") + get("/3", "X-Slow: 1") + get("/4"))
    assert [(await client.response()).body for _ in range(4)] == [b"/1", b"/2", b"/3", b"/4"]
    await client.close()
    assert [request.start.split(b" ")[1] for request in back.requests] == [b"/1", b"/2", b"/3", b"/4"]


async def test_body_of_a_request_that_is_held_back_arrives_whole(filtered: Factory) -> None:
    proxy, back = await filtered("[{fault: {delay: 100ms}}]")
    body = b"0123456789abcdef" * 65536
    client = await proxy.connect()
    await client.send(get("/", f"Content-Length: {len(body)}", method="POST") + body)
    assert (await client.response(b"POST")).status == 200
    await client.close()
    assert [request.body == body for request in back.requests] == [True]


async def test_client_that_leaves_while_it_is_held_back_leaves_nothing_behind(filtered: Factory) -> None:
    proxy, back = await filtered("[{fault: {delay: 1h, header: x-slow}}]")
    gone = re.compile(r'^sluice_replies_total\{[^}]*reason="client_left"[^}]*\} 2(\.0)?$', re.MULTILINE)
    clients = [await proxy.connect() for _ in range(2)]
    for client in clients:
        await client.send(get("/", "X-Slow: 1"))
        assert (await proxy.ask(get())).status == 200  # whose answer shows that the other's request has come, too
        await client.close()
    url = f"http://127.0.0.1:{proxy.admin_port}/metrics"
    async with asyncio.timeout(15):
        while not gone.search(await asyncio.to_thread(lambda: urlopen(url).read().decode())):
            await asyncio.sleep(0.02)
    assert len(back.requests) == 2
