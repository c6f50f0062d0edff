"""WebSockets through the proxy, with the `websockets` library on both sides, and upgrades by hand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Factory = Callable[..., Awaitable[Any]]

UPGRADE = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def _echo(connection: ServerConnection) -> None:
    async for message in connection:
        if message == "leave":
            await connection.close(4001, "told to")
        await connection.send(message)


@pytest_asyncio.fixture
async def echo_port() -> AsyncIterator[int]:
    """The port of a WebSocket server that echoes, chooses a subprotocol and takes big messages."""
    async with serve(_echo, "127.0.0.1", 0, subprotocols=["chat"], max_size=1 << 24) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@pytest_asyncio.fixture
async def url(sluice: Factory, plain: Any, echo_port: int) -> str:
    """Where the echo is reached through the proxy."""
    proxy = await sluice(plain(f"127.0.0.1:{echo_port}"))
    return f"ws://127.0.0.1:{proxy.port}/chat"


async def test_messages_pass_both_ways(url: str) -> None:
    async with connect(url, proxy=None, subprotocols=["chat"]) as client:
        assert client.subprotocol == "chat"
        for message in ("text", b"\x00\xff", "", "ü" * 1000):
            await client.send(message)
            assert await asyncio.wait_for(client.recv(), 15) == message


async def test_big_messages_pass_whole(url: str) -> None:
    async with connect(url, proxy=None, subprotocols=["chat"], max_size=1 << 24, compression=None) as client:
        message = bytes(range(256)) * (1 << 14)
        sending = asyncio.create_task(client.send(message))
        assert await asyncio.wait_for(client.recv(), 15) == message
        await sending


async def test_pings_and_close_codes_pass(url: str) -> None:
    async with connect(url, proxy=None, subprotocols=["chat"]) as client:
        await asyncio.wait_for(await client.ping(), 15)
        await client.send("leave")
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(client.recv(), 15)
        assert (client.close_code, client.close_reason) == (4001, "told to")


async def test_many_tunnels_do_not_mix(url: str) -> None:
    async def talk(number: int) -> bool:
        async with connect(url, proxy=None, subprotocols=["chat"]) as client:
            await client.send(f"{number}")
            return await asyncio.wait_for(client.recv(), 15) == f"{number}"

    assert all(await asyncio.gather(*map(talk, range(20))))


async def test_early_bytes_are_held_until_the_origin_agrees(proxied: Factory) -> None:
    agreed = asyncio.Event()

    async def serve_raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await agreed.wait()
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        writer.write(await reader.readexactly(5))
        await writer.drain()

    sluice, origin = await proxied(serve=serve_raw)
    client = await sluice.connect()
    await client.send(UPGRADE + b"early")
    await origin.until(lambda: b"\r\n\r\n" in origin.received)
    assert origin.received.endswith(b"\r\n\r\n")
    agreed.set()
    response = await client.response()
    assert (response.status, response.one(b"upgrade")) == (101, b"websocket")
    assert await client.rest() == b"helloearly"
    await client.close()


async def test_refused_upgrade_is_an_ordinary_response(proxied: Factory) -> None:
    sluice, origin = await proxied(answer=b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    client = await sluice.connect()
    await client.send(UPGRADE + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n")
    response = await client.response()
    assert (response.status, response.body) == (403, b"no")
    await client.close()
    assert len(origin.requests) == 1
    assert b"smuggled" not in origin.received


@pytest.mark.parametrize(
    "head",
    [
        UPGRADE.replace(b"GET", b"POST"),
        UPGRADE.replace(b"websocket", b"h2c"),
        UPGRADE.replace(b"websocket", b"websocket, h2c"),
        UPGRADE.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\n\r\n") + b"x",
        UPGRADE.replace(b"Connection: Upgrade\r\n", b""),
    ],
)
async def test_other_upgrade_is_never_offered_to_the_origin(proxied: Factory, head: bytes) -> None:
    sluice, origin = await proxied()
    response = await sluice.ask(head)
    assert response.status in (200, 400)
    assert not any(request.all(b"upgrade") for request in origin.requests)


async def test_origin_that_goes_away_closes_the_tunnel(proxied: Factory) -> None:
    async def serve_raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await writer.drain()

    sluice, _ = await proxied(serve=serve_raw)
    client = await sluice.connect()
    assert (await client.ask(UPGRADE)).status == 101
    assert await client.rest() == b""
    await client.close()
