"""Replies of our own: their status, their reason token, and that the client can always read them."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def reason(response: Any) -> tuple[int, str]:
    """Status and reason token of a reply of ours."""
    assert response.one(b"content-type").startswith(b"text/plain")
    assert response.body.endswith(b"\n")
    return response.status, response.one(b"x-sluice-reason").decode()


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """An origin that reads and never answers."""
    await reader.read()


async def hanging_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """An origin that closes without an answer."""
    await reader.readuntil(b"\r\n\r\n")


@pytest.fixture
def deaf_port() -> Any:
    """A port where nobody listens, held so that nobody else takes it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def test_no_route_is_404(sluice: Factory, deaf_port: int) -> None:
    text = f"services: {{app: {{pools: {{only: {{endpoints: ['127.0.0.1:{deaf_port}']}}}}}}}}\n"
    proxy = await sluice(text + "routes: [{match: {host: known.example}, service: app}]\n")
    assert reason(await proxy.ask(GET)) == (404, "no_route")


async def test_redirect_and_respond_need_no_service(sluice: Factory) -> None:
    proxy = await sluice(
        "routes:\n"
        '- {match: {path: "/old/*"}, redirect: {path: "/new/*", status: 308}}\n'
        '- {match: {path: /teapot}, respond: {status: 418, body: "no"}}\n'
    )
    moved = await proxy.ask(b"GET /old/a/b?c=d HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (moved.status, moved.one(b"location")) == (308, b"/new/a/b?c=d")
    teapot = await proxy.ask(b"GET /teapot HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (teapot.status, teapot.body) == (418, b"no")


@pytest.mark.parametrize(("status", "length"), [(200, b"0"), (204, None), (205, b"0"), (304, None), (404, b"0")])
async def test_reply_without_a_body_has_a_length_only_where_http_allows_it(
    sluice: Factory, status: int, length: bytes | None
) -> None:
    proxy = await sluice(f"routes: [{{respond: {{status: {status}}}}}]\n")
    client = await proxy.connect()
    for _ in range(2):  # the connection goes on: nobody waits for a body
        response = await client.ask(GET)
        assert (response.status, response.one(b"content-length"), response.one(b"content-type")) == (
            status,
            length,
            None,
        )
    await client.close()


@pytest.mark.parametrize(
    ("serve", "service", "expected"),
    [
        (hanging_up, "retry: {retries: 0}", (502, "upstream_reset")),
        (silent, "timeouts: {response: 200ms}", (504, "response_timeout")),
        (silent, "timeouts: {total: 200ms}", (504, "total_timeout")),
        (silent, "retry: {retries: 0, per_try: 200ms}", (504, "try_timeout")),
    ],
)
async def test_failing_origin_is_named_by_its_failure(
    proxied: Factory, serve: Any, service: str, expected: tuple[int, str]
) -> None:
    sluice, _ = await proxied(service=service, serve=serve)
    assert reason(await sluice.ask(GET)) == expected


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ],
)
async def test_malformed_response_is_502(proxied: Factory, answer: bytes) -> None:
    sluice, _ = await proxied(answer=answer)
    assert reason(await sluice.ask(GET)) == (502, "upstream_malformed")


async def test_refused_connection_is_502(sluice: Factory, plain: Any, deaf_port: int) -> None:
    proxy = await sluice(plain(f"127.0.0.1:{deaf_port}", "retry: {retries: 0}"))
    assert reason(await proxy.ask(GET)) == (502, "connect_failed")


async def test_another_endpoint_answers_for_one_that_refuses(sluice: Factory, origin: Factory, deaf_port: int) -> None:
    back = await origin()
    pool = f"{{endpoints: ['127.0.0.1:{deaf_port}', '{back.address}']}}"
    proxy = await sluice(f"services: {{app: {{pools: {{only: {pool}}}}}}}\nroutes: [{{service: app}}]\n")
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
    assert [(await proxy.ask(post)).status for _ in range(9)] == [200] * 9
    assert {request.body for request in back.requests} == {b"body"}


async def test_post_that_may_have_been_acted_on_is_not_repeated(proxied: Factory) -> None:
    sluice, origin = await proxied(serve=hanging_up)
    response = await sluice.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    assert reason(response) == (502, "upstream_reset")
    assert len(origin.streams) == 1


async def test_idempotent_request_is_tried_once_more(proxied: Factory) -> None:
    sluice, origin = await proxied(serve=hanging_up)
    assert reason(await sluice.ask(GET)) == (502, "upstream_reset")
    assert len(origin.streams) == 2


async def test_full_pool_without_a_queue_is_503(proxied: Factory) -> None:
    sluice, origin = await proxied(service="limits: {connections: 1, pending: 0}", serve=silent)
    first = await sluice.connect()
    await first.send(GET)
    await origin.until(lambda: b"\r\n\r\n" in origin.received)
    assert reason(await sluice.ask(GET)) == (503, "overloaded")
    await first.close()


async def test_full_pool_makes_wait_until_a_place_is_free(proxied: Factory) -> None:
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            await release.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    sluice, origin = await proxied(service="limits: {connections: 1}", serve=serve)
    clients = [await sluice.connect() for _ in range(5)]
    for client in clients:
        await client.send(GET)
    await origin.until(lambda: b"\r\n\r\n" in origin.received)
    release.set()
    assert [(await client.response()).status for client in clients] == [200] * 5
    for client in clients:
        await client.close()
    assert len(origin.streams) == 1


async def test_place_that_never_comes_is_503(proxied: Factory) -> None:
    sluice, origin = await proxied(service="limits: {connections: 1, pending_timeout: 200ms}", serve=silent)
    first = await sluice.connect()
    await first.send(GET)
    await origin.until(lambda: b"\r\n\r\n" in origin.received)
    assert reason(await sluice.ask(GET)) == (503, "pending_timeout")
    await first.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", 417),
        (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 9000), 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"a" * 33000), 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % (b"A: b\r\n" * 101), 431),
        (b"GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /a/..;/b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
    ],
)
async def test_request_that_is_refused_is_told_why(proxied: Factory, request_bytes: bytes, status: int) -> None:
    sluice, origin = await proxied()
    client = await sluice.connect()
    await client.send(request_bytes)
    response = await client.response()
    assert reason(response)[0] == status
    await client.close()
    assert origin.received == b""


async def test_refused_request_ends_its_connection(proxied: Factory) -> None:
    sluice, origin = await proxied()
    client = await sluice.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n" + GET)
    response = await client.response()
    assert (response.status, response.one(b"connection")) == (400, b"close")
    assert await client.rest() == b""
    await client.close()
    assert origin.received == b""


async def test_slow_head_and_big_body_are_told_so(sluice: Factory, origin: Factory, plain: Any) -> None:
    back = await origin()
    listeners = 'listeners: [{bind: "127.0.0.1:PORT", limits: {head_timeout: 300ms, body: 10B}}]\n'
    proxy = await sluice(listeners + plain(back.address))
    client = await proxy.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost:")
    assert reason(await client.response()) == (408, "head_timeout")
    await client.close()
    big = await proxy.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n01234567890")
    assert reason(big) == (413, "body_too_large")
    assert back.requests == []


async def test_overlong_chunked_body_never_arrives_whole(sluice: Factory, origin: Factory, plain: Any) -> None:
    back = await origin()
    listeners = 'listeners: [{bind: "127.0.0.1:PORT", limits: {body: 10B}}]\n'
    proxy = await sluice(listeners + plain(back.address))
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    response = await proxy.ask(head + b"6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n")
    assert reason(response) == (413, "body_too_large")
    assert back.requests == []
