"""How much a listener takes: connections, per client, heads, bodies, and descriptors until there are none."""

import asyncio
import contextlib
import os
import resource
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def limited(limits: str) -> str:
    """YAML of the only listener with these limits."""
    return f'listeners: [{{bind: "127.0.0.1:PORT", limits: {{{limits}}}}}]\n'


def reason(response: Any) -> tuple[int, bytes | None]:
    """Status and reason token of a reply of ours."""
    return response.status, response.one(b"x-sluice-reason")


async def is_turned_away(client: Any) -> bool:
    """Whether the proxy closes this connection without a word; False where it serves it."""
    await client.send(GET)
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        assert (await client.response()).status == 200
        return False
    return True


# -- connections


async def test_connection_above_the_cap_waits_until_another_ends(sluice: Factory, origin: Factory, plain: Any) -> None:
    back = await origin()
    proxy = await sluice(limited("connections: 2") + plain(back.address))
    clients = [await proxy.connect() for _ in range(4)]
    for client in clients[:2]:
        assert (await client.ask(GET)).body == b"echo"
    for client in clients[2:]:
        await client.send(GET)
    assert (await clients[0].ask(GET)).body == b"echo"
    assert len(back.requests) == 3  # two wait in the kernel's queue, with what they ask
    for number in (0, 1):
        await clients[number].close()
        assert (await clients[number + 2].response()).body == b"echo"
    for client in clients[2:]:
        await client.close()


async def test_cap_is_reached_however_fast_clients_come(sluice: Factory, origin: Factory, plain: Any) -> None:
    back = await origin()
    proxy = await sluice(limited("connections: 40") + plain(back.address))
    for _ in range(5):
        clients = []
        for _ in range(40):  # one by one, each while the one before is still being taken in
            clients.append(await proxy.connect())
            await clients[-1].send(GET)
        assert [(await client.response()).body for client in clients] == [b"echo"] * 40
        for client in clients:
            await client.close()


async def test_client_above_its_own_cap_is_turned_away(sluice: Factory, origin: Factory, plain: Any) -> None:
    back = await origin()
    proxy = await sluice(limited("per_client: 2") + plain(back.address))
    clients = [await proxy.connect() for _ in range(2)]
    assert not any([await is_turned_away(client) for client in clients])
    for _ in range(3):
        third = await proxy.connect()
        assert await is_turned_away(third)
        await third.close()
    await clients.pop().close()
    async with asyncio.timeout(15):
        while await is_turned_away(another := await proxy.connect()):
            await another.close()
    for client in (*clients, another):
        await client.close()


async def test_tunnel_counts_as_the_connection_that_it_is(sluice: Factory, origin: Factory, plain: Any) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHED)
        await reader.read()

    back = await origin(serve=serve)
    proxy = await sluice(limited("per_client: 2") + plain(back.address))
    tunnels = [await proxy.connect() for _ in range(2)]
    for tunnel in tunnels:
        assert (await tunnel.ask(UPGRADE)).status == 101
    third = await proxy.connect()
    await third.send(UPGRADE)
    assert await third.rest() == b""
    await third.close()
    await tunnels[0].close()
    async with asyncio.timeout(15):
        while True:
            another = await proxy.connect()
            await another.send(UPGRADE)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                assert (await another.response()).status == 101
                break
            await another.close()
    for tunnel in (tunnels[1], another):
        await tunnel.close()


# -- heads and bodies


HEADS = [
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"a" * 900), 200),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"a" * 1100), 431),
    (b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % (b"A: b\r\n" * 9), 200),
    (b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % (b"A: b\r\n" * 10), 431),
    (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 99), 200),
    (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 100), 414),
    (b"GET /" + b"a" * 5000, 414),
    (b"GET / HTTP/1.1\r\nX: " + b"a" * 5000, 431),
]
BODIES = [
    (b"Content-Length: 10\r\n\r\n0123456789", 200),
    (b"Content-Length: 11\r\n\r\n0123456789a", 413),
    (b"Content-Length: 9999999999\r\n\r\n", 413),
    (b"Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n", 200),
    (b"Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n", 413),
    (b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 11, 413),
    (b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n" + b"a" * 11, 413),
]


@pytest.mark.parametrize("size", [100, 10_000], ids=["in pieces", "at once"])
async def test_head_limit_is_kept_to(sluice: Factory, origin: Factory, plain: Any, size: int) -> None:
    back = await origin()
    proxy = await sluice(limited("head: 1KiB, fields: 10, target: 100B") + plain(back.address))
    for head, status in HEADS:  # one proxy for all rows: starting it is what takes the time
        client = await proxy.connect()
        for start in range(0, len(head), size):
            await client.send(head[start : start + size])
        response = await client.response()
        assert response.status == status, head[:40]
        assert status == 200 or await client.rest() == b""
        await client.close()
    assert len(back.requests) == sum(status == 200 for _, status in HEADS)


@pytest.mark.parametrize("apart", [False, True], ids=["at once", "head first"])
async def test_body_limit_is_kept_to_the_byte(sluice: Factory, origin: Factory, plain: Any, apart: bool) -> None:
    back = await origin()
    proxy = await sluice(limited("body: 10B") + plain(back.address))
    for body, status in BODIES:
        client = await proxy.connect()
        head, end, rest = body.partition(b"\r\n\r\n")
        await client.send(POST + head + end + (b"" if apart else rest))
        if apart:
            await proxy.caught_up()
            await client.send(rest)
        response = await client.response()
        assert reason(response) == (status, b"body_too_large" if status == 413 else None), body[:40]
        assert status == 200 or await client.rest() == b""
        await client.close()
    assert len(back.requests) == sum(status == 200 for _, status in BODIES)


# -- descriptors


async def exhaust(proxy: Any) -> list[Any]:
    """Take every descriptor that the proxy has left, and ask for more; the clients that did it."""
    used = len(os.listdir(f"/proc/{proxy.worker}/fd"))  # noqa: PTH208 - a count, nothing more
    resource.prlimit(proxy.worker, resource.RLIMIT_NOFILE, (used + 20, used + 20))
    clients = [await proxy.connect() for _ in range(30)]
    async with asyncio.timeout(15):
        while "cannot accept" not in proxy.output:
            await asyncio.sleep(0.02)
    return clients


async def test_proxy_without_descriptors_waits_and_serves_again(sluice: Factory, origin: Factory) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while b"/quiet" not in await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\necho")
        await reader.read()

    back = await origin(serve=serve)
    proxy = await sluice(
        f"services: {{app: {{pools: {{only: {{endpoints: ['{back.address}']}}}},\n"
        "  timeouts: {response: 2s, upstream_idle: 1m}}}\nroutes: [{service: app}]\n"
    )
    served = await proxy.connect()
    assert (await served.ask(GET)).body == b"echo"  # so that it needs no other connection upstream
    clients = await exhaust(proxy)
    lines = proxy.output.count("cannot accept")
    assert (await served.ask(GET.replace(b"/", b"/quiet", 1))).status == 504
    # Two seconds of its own time have passed. It has tried again, every half second and not at each turn of its loop.
    assert 1 <= proxy.output.count("cannot accept") - lines < 50
    assert proxy.process.poll() is None
    for client in clients:
        await client.close()
    client = await proxy.connect()
    assert [(await client.ask(GET)).body for _ in range(3)] == [b"echo"] * 3
    for each in (served, client):
        await each.close()


async def test_proxy_without_descriptors_blames_no_endpoint(sluice: Factory, origin: Factory) -> None:
    backs = [await origin(), await origin()]
    proxy = await sluice(
        f"services: {{app: {{pools: {{only: {{endpoints: ['{backs[0].address}', '{backs[1].address}']}}}},\n"
        "  balance: round_robin, ejection: {consecutive_errors: 1}, retry: {retries: 0}}}\nroutes: [{service: app}]\n"
    )
    clients = await exhaust(proxy)
    for client in clients[:4]:
        assert (await client.ask(GET)).status in (502, 503)
    for client in clients:
        await client.close()
    assert [(await proxy.ask(GET)).body for _ in range(4)] == [b"echo"] * 4
    assert [len(back.requests) for back in backs] == [2, 2]
