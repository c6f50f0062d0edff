"""Tunnels, by hand: whose bytes go where, whose places they take, and how they end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Factory = Callable[..., Awaitable[Any]]

UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def test_early_bytes_of_a_refused_upgrade_never_reach_the_origin(proxied: Factory) -> None:
    sluice, origin = await proxied()
    client = await sluice.connect()
    frame = b"\x82\x85mask\x05\x04\x1f\x07\x02 GET /frame HTTP/1.1\r\nHost: a\r\n\r\n"
    await client.send(UPGRADE + frame)
    assert (await client.response()).body == b"echo"
    assert (await client.response()).status == 400
    assert await client.rest() == b""
    await client.close()
    assert len(origin.requests) == 1
    assert b"frame" not in origin.received


async def test_idle_tunnel_is_closed_on_both_sides(proxied: Factory) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHED)
        await reader.read()

    sluice, origin = await proxied(service="timeouts: {tunnel_idle: 300ms}", serve=serve)
    client = await sluice.connect()
    assert (await client.ask(UPGRADE)).status == 101
    await client.send(b"ping")
    assert await client.rest() == b""
    await origin.until(origin.streams[0].at_eof)
    assert origin.received.endswith(b"ping")
    await client.close()
