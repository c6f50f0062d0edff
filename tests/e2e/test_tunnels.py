"""Tunnels, by hand: whose bytes go where, whose places they take, and how they end."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\necho"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


# -- bytes


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


# -- places


@pytest.mark.parametrize("ends", ["client", "origin", "idle", "half-closed"])
async def test_tunnel_has_a_place_in_its_pool_until_it_ends(proxied: Factory, ends: str) -> None:
    leave = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while b"websocket" not in await reader.readuntil(b"\r\n\r\n"):
            writer.write(ANSWER)
        writer.write(SWITCHED)
        if ends == "half-closed":
            writer.write_eof()
        await (leave.wait() if ends == "origin" else reader.read())

    service = "limits: {connections: 1, pending: 1, pending_timeout: 15s}"
    is_idle = ends in ("idle", "half-closed")  # the end of one direction keeps the other no longer
    if is_idle:
        service += "\ntimeouts: {tunnel_idle: 300ms}"
    sluice, origin = await proxied(service=service, serve=serve)
    for _ in range(3):  # a place that is given back twice, or not at all, shows by then
        leave.clear()
        tunnel, waiting = await sluice.connect(), await sluice.connect()
        assert (await tunnel.ask(UPGRADE)).status == 101
        await waiting.send(GET)
        if not is_idle:
            await sluice.caught_up()
            full = await sluice.ask(GET)
            assert (full.status, full.one(b"x-sluice-reason")) == (503, b"overloaded")
            assert origin.received.count(GET[:16]) == origin.received.count(b"websocket") * 2 - 1
        leave.set()
        if ends == "origin":
            assert await tunnel.rest() == b""
        if not is_idle:
            await tunnel.close()
        assert (await waiting.response()).body == b"echo"
        for client in (tunnel, waiting):
            await client.close()


# -- ends


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


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_endpoint_that_closes_its_side_right_behind_its_101_is_heard_and_told(
    sluice: Factory, origin: Factory, plain: Any, loop: str
) -> None:
    agreed, said = asyncio.Event(), asyncio.Event()
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await agreed.wait()
        writer.write(SWITCHED + b"hello")
        writer.write_eof()
        said.set()
        heard.set_result(await reader.read())

    back = await origin(serve=serve)
    proxy = await sluice(plain(back.address), {"SLUICE_LOOP": loop})
    client = await proxy.connect()
    await client.send(UPGRADE + b"early")
    await back.until(lambda: b"\r\n\r\n" in back.received)
    proxy.process.send_signal(signal.SIGSTOP)  # so that it finds the 101, what is behind it and the end at once
    agreed.set()
    await asyncio.wait_for(said.wait(), 15)
    proxy.process.send_signal(signal.SIGCONT)
    assert (await client.response()).status == 101
    assert await client.rest() == b"hello"
    await client.send(b" and late")  # the other direction is still open
    client.writer.write_eof()
    assert await asyncio.wait_for(heard, 15) == b"early and late"
    await client.close()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_client_that_closes_its_side_before_the_101_is_heard_and_told(
    sluice: Factory, origin: Factory, plain: Any, loop: str
) -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHED + b"hello")
        heard.append(await reader.read())
        writer.write(b" and late")
        await writer.drain()

    back = await origin(serve=serve)
    proxy = await sluice(plain(back.address), {"SLUICE_LOOP": loop})
    client = await proxy.connect()
    proxy.process.send_signal(signal.SIGSTOP)  # so that it finds the request and the end behind it at once
    client.writer.write(UPGRADE + b"early")
    client.writer.write_eof()
    proxy.process.send_signal(signal.SIGCONT)
    assert (await client.response()).status == 101
    assert await client.rest() == b"hello and late"
    await client.close()
    assert heard == [b"early"]


# -- sessions


async def test_upgrade_through_a_sticky_service_begins_a_session(sluice: Factory, origin: Factory) -> None:
    def coloured(colour: bytes) -> Any:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(SWITCHED.replace(b"\r\n\r\n", b"\r\nX-Colour: %b\r\n\r\n" % colour))
            await reader.read()

        return serve

    blue, green = await origin(serve=coloured(b"blue")), await origin(serve=coloured(b"green"))
    proxy = await sluice(
        "services:\n  app:\n    pools:\n"
        f"      blue: {{endpoints: ['{blue.address}']}}\n      green: {{endpoints: ['{green.address}']}}\n"
        "    split: {blue: 50, green: 50}\n    sticky: {cookie: s}\nroutes: [{service: app}]\n"
        "cookie_keys: [0123456789abcdef0123456789abcdef]\n"
    )
    first = await proxy.ask(UPGRADE)
    assert (first.status, first.one(b"cache-control")) == (101, b"private")
    pair = (first.one(b"set-cookie") or b"").partition(b";")[0]
    assert pair.startswith(b"s=")
    for _ in range(10):
        again = await proxy.ask(UPGRADE.replace(b"\r\n\r\n", b"\r\nCookie: %b\r\n\r\n" % pair))
        assert (again.status, again.one(b"x-colour")) == (101, first.one(b"x-colour"))
        assert again.one(b"set-cookie") is None
