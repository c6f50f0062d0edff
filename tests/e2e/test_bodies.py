"""Big bodies through real clients and servers: whole, and never collected in memory."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import pytest_asyncio
from aiohttp import web

Factory = Callable[..., Awaitable[Any]]

PIECE = bytes(range(256)) * 256
PIECES = 1024  # 64 MiB in all
SUM = hashlib.sha256(PIECE * PIECES).hexdigest()
ROOM = 16 * 1024  # KiB by which the proxy may grow for any of this


async def _upload(request: web.Request) -> web.Response:
    digest = hashlib.sha256()
    async for piece in request.content.iter_chunked(1 << 16):
        digest.update(piece)
    return web.Response(text=digest.hexdigest(), headers={"X-Framing": _framing(request)})


def _framing(request: web.Request) -> str:
    return "chunked" if request.content_length is None else "length"


async def _download(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    if request.query_string == "length":
        response.content_length = len(PIECE) * PIECES
    await response.prepare(request)
    for _ in range(PIECES):
        await response.write(PIECE)
    return response


async def _early(_request: web.Request) -> web.Response:
    return web.Response(status=403, text="not read")


@pytest_asyncio.fixture
async def aiohttp_port() -> AsyncIterator[int]:
    """The port of an aiohttp server that takes and gives big bodies."""
    app = web.Application(client_max_size=1 << 30)
    app.add_routes([web.post("/up", _upload), web.get("/down", _download), web.post("/early", _early)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest_asyncio.fixture
async def proxy(sluice: Factory, plain: Any, aiohttp_port: int) -> Any:
    """A proxy before the aiohttp server."""
    return await sluice(plain(f"127.0.0.1:{aiohttp_port}"))


def _peak(proxy: Any) -> int:
    """The most memory the proxy has ever used, in KiB."""
    status = Path(f"/proc/{proxy.worker}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


async def _pieces() -> AsyncIterator[bytes]:
    for _ in range(PIECES):
        yield PIECE


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_big_upload_arrives_whole_in_bounded_memory(proxy: Any, framing: str) -> None:
    before = _peak(proxy)
    headers = {"Content-Length": str(len(PIECE) * PIECES)} if framing == "length" else {}
    async with aiohttp.ClientSession() as session:
        response = await session.post(f"{proxy.url}/up", data=_pieces(), headers=headers)
        assert (await response.text(), response.headers["X-Framing"]) == (SUM, framing)
    assert _peak(proxy) - before < ROOM


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_big_download_arrives_whole_in_bounded_memory(proxy: Any, framing: str) -> None:
    before = _peak(proxy)
    digest = hashlib.sha256()
    async with (
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
        client.stream("GET", f"{proxy.url}/down?{framing}") as response,
    ):
        async for piece in response.aiter_raw():
            digest.update(piece)
    assert digest.hexdigest() == SUM
    assert _peak(proxy) - before < ROOM


async def test_slow_reader_holds_the_origin_back(proxied: Factory) -> None:
    written = {b"/slow": 0, b"/fast": 0}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(PIECE) * PIECES))
        for _ in range(PIECES):
            writer.write(PIECE)
            await writer.drain()
            written[path] += len(PIECE)

    sluice, _ = await proxied(serve=serve)
    before = _peak(sluice)
    slow, fast = await sluice.connect(), await sluice.connect()
    await slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    await slow.reader.readuntil(b"\r\n\r\n")  # and nothing more for now: its own buffer stops at 2 MiB
    assert len((await fast.ask(b"GET /fast HTTP/1.1\r\nHost: a\r\n\r\n")).body) == len(PIECE) * PIECES
    assert written[b"/slow"] < len(PIECE) * PIECES
    assert _peak(sluice) - before < ROOM
    body = await asyncio.wait_for(slow.reader.readexactly(len(PIECE) * PIECES), 60)
    assert hashlib.sha256(body).hexdigest() == SUM
    await slow.close()
    await fast.close()


async def test_early_answer_to_an_upload_is_read(proxy: Any) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.post(f"{proxy.url}/early", content=PIECE * 2)
        assert (response.status_code, response.text) == (403, "not read")


async def test_session_of_many_small_requests_loses_none(proxy: Any) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=20)) as session:

        async def one(number: int) -> bool:
            async with session.post(f"{proxy.url}/up", data=b"%d" % number) as response:
                return await response.text() == hashlib.sha256(b"%d" % number).hexdigest()

        assert all(await asyncio.gather(*map(one, range(500))))
