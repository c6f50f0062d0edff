"""Lines of a running proxy's access log: of tunnels, of what never became an exchange; which are chosen; restarts."""

import asyncio
import json
import os
import signal
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
UPGRADE = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def get(path: str, fields: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()


class Log:
    """The file `a.log` of a proxy, and a way to start one: await log.proxy(yaml, address, keys of the service)."""

    def __init__(self, sluice: Factory, plain: Callable[..., str], folder: Path) -> None:
        self._sluice = sluice
        self._plain = plain
        self._path = folder / "a.log"

    async def proxy(self, text: str, address: str, keys: str = "") -> Any:
        return await self._sluice(text + self._plain(address, keys))

    def lines(self) -> list[str]:
        return self._path.read_text().splitlines() if self._path.exists() else []

    async def told(self, count: int) -> list[Any]:
        """What it holds as JSON, once it has so many lines."""
        async with asyncio.timeout(15):
            while len(self.lines()) < count:
                await asyncio.sleep(0.02)
        return [json.loads(line) for line in self.lines()]


@pytest.fixture
def log(sluice: Factory, plain: Callable[..., str], tmp_path: Path) -> Log:
    return Log(sluice, plain, tmp_path)


# -- tunnels


async def leaves(client: Any, _proxy: Any) -> None:
    await client.close()


async def resets(client: Any, _proxy: Any) -> None:
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


async def waits(client: Any, _proxy: Any) -> None:
    assert await client.rest() == b""


async def ends_the_proxy(_client: Any, proxy: Any) -> None:
    assert await proxy.stop() == 0


@pytest.mark.parametrize(
    ("end", "reason", "keys"),
    [
        (leaves, None, ""),
        (resets, "client_left", ""),
        (waits, "tunnel_idle", "timeouts: {tunnel_idle: 300ms}"),
        (ends_the_proxy, "tunnel_cut", ""),
    ],
)
async def test_tunnel_is_logged_once_when_it_has_ended(
    log: Log, origin: Factory, end: Any, reason: str | None, keys: str
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"websocket" not in await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK)
        else:
            writer.write(SWITCHED + b"first")
        while data := await reader.read(100):
            writer.write(data.upper())
        writer.write_eof()

    back = await origin(serve=serve)
    text = "access_log: a.log\nshutdown: {idle: 0s, grace: 100ms}\n"
    proxy = await log.proxy(text, back.address, keys)
    client = await proxy.connect()
    assert (await client.ask(UPGRADE + b"early")).status == 101
    assert await client.reader.readexactly(10) == b"firstEARLY"
    await client.send(b"ping")
    assert await client.reader.readexactly(4) == b"PING"
    assert (await proxy.ask(get("/meanwhile"))).status == 200
    assert [line["target"] for line in await log.told(1)] == ["/meanwhile"]
    await end(client, proxy)
    line = (await log.told(2))[1]
    assert (line["target"], line["status"], line["reason"]) == ("/chat", 101, reason)
    assert (line["received"], line["sent"]) == (9, 14)
    assert line["total"] >= line["first_byte"] >= 0
    assert (line["service"], line["endpoint"]) == ("app", back.address)
    await client.close()


# -- what never became an exchange, and what ended without a response

BROKEN = [
    (b"GET / HTTP/1.1\r\nHost: a\r\n", 408, "head_timeout", ""),
    (b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\nx", 408, "body_timeout", "/slow"),
    (b"GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line", ""),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "target_too_long", ""),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431, "head_too_large", ""),
    (b"GET /expect HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n", 417, "expectation_failed", "/expect"),
    (b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_path", "/%00"),
]


@pytest.mark.parametrize(("request_", "status", "reason", "target"), BROKEN)
async def test_what_was_never_passed_on_is_logged_with_its_reason(
    log: Log, origin: Factory, request_: bytes, status: int, reason: str, target: str
) -> None:
    back = await origin(serve=lambda reader, _writer: reader.read())
    listener = "listeners: [{bind: 127.0.0.1:PORT, limits: {head_timeout: 300ms, min_rate: 1KiB}}]\n"
    proxy = await log.proxy(listener + "access_log: a.log\n", back.address)
    response = await proxy.ask(request_)
    assert (response.status, response.one(b"x-sluice-reason")) == (status, reason.encode())
    (line,) = await log.told(1)
    assert (line["status"], line["reason"], line["target"]) == (status, reason, target)
    assert (line["client"], line["sent"]) == ("127.0.0.1", len(response.body))


async def test_client_that_leaves_before_its_response_is_logged_as_499(log: Log, origin: Factory) -> None:
    back = await origin(serve=lambda reader, _writer: reader.read())
    proxy = await log.proxy("access_log: a.log\n", back.address)
    client = await proxy.connect()
    await client.send(get("/left"))
    await back.until(lambda: b"/left" in back.received)
    await resets(client, proxy)
    (line,) = await log.told(1)
    assert (line["status"], line["reason"], line["target"]) == (499, "client_left", "/left")


# -- where to, and which


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_log_goes_to_a_standard_stream(
    sluice: Factory, origin: Factory, plain: Callable[..., str], stream: str
) -> None:
    back = await origin(answer=OK)
    proxy = await sluice(f"workers: 2\naccess_log: {{path: {stream}, format: 'LOG {{path}}'}}\n" + plain(back.address))
    for number in range(10):
        assert (await proxy.ask(get(f"/{number}"))).status == 200
    os.kill(proxy.process.pid, signal.SIGUSR1)  # a stream is no file that could be opened anew
    assert (await proxy.ask(get("/10"))).status == 200
    assert await proxy.stop() == 0
    told = sorted(line for line in proxy.output.splitlines() if line.startswith("LOG "))
    assert told == sorted(f"LOG /{number}" for number in range(11))


async def test_conditions_choose_by_status_and_slowness(log: Log, origin: Factory) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if b"websocket" in head:
                writer.write(SWITCHED)
            elif b"/slow" in head:
                await asyncio.sleep(1.2)  # what is measured, not what is waited for
                writer.write(OK)
            else:
                writer.write(OK.replace(b"200 OK", b"503 No" if b"/bad" in head else b"200 OK"))

    back = await origin(serve=serve)
    text = "access_log: {path: a.log, if: {status: [418, 500-599], slower_than: 1s}}\n"
    proxy = await log.proxy(text, back.address, "timeouts: {tunnel_idle: 1200ms}")
    tunnel = await proxy.connect()
    assert (await tunnel.ask(UPGRADE)).status == 101
    assert await tunnel.rest() == b""  # it lasted long, but was not slow
    client = await proxy.connect()
    for path in ("/quick", "/bad", "/slow", "/quick"):
        await client.ask(get(path))
    assert await proxy.stop() == 0
    assert {line["target"] for line in await log.told(2)} == {"/bad", "/slow"}
    for each in (client, tunnel):
        await each.close()


async def test_sample_is_a_share_of_what_no_condition_means(log: Log, origin: Factory) -> None:
    back = await origin(answer=lambda asked: OK.replace(b"200", b"404") if b"/none" in asked.start else OK)
    text = "access_log: {path: a.log, format: '{status} {target}', sample: 30%, if: {status: 404}}\n"
    proxy = await log.proxy(text, back.address)
    client = await proxy.connect()
    for _ in range(500):
        assert (await client.ask(get("/a"))).status == 200
    for _ in range(20):
        assert (await client.ask(get("/none"))).status == 404
    await client.close()
    assert await proxy.stop() == 0
    lines = log.lines()
    assert lines.count("404 /none") == 20
    assert 80 < lines.count("200 /a") < 220  # 150 ± 7 standard deviations
    assert len(lines) == lines.count("404 /none") + lines.count("200 /a")


# -- restarts


async def test_hot_restart_loses_no_line_and_both_generations_write(live: Factory, log: Log) -> None:
    proxy = await live(workers=2, extra="access_log: {path: a.log, format: '{target} {status} .'}\n")
    old = set(proxy.workers())
    answered: list[str] = []
    goes_on = True

    async def ask(client: int) -> None:
        number = 0
        connection = await proxy.connect()
        while goes_on:
            response = await connection.ask(get(f"/{client}/{number}"))
            assert response.status == 200
            answered.append(f"/{client}/{number} 200 .")
            number += 1
            if response.one(b"connection") == b"close":
                await connection.close()
                connection = await proxy.connect()
        await connection.close()

    tunnel = await proxy.tunnel()  # keeps an old worker, which has something to write long after the new ones
    clients = [asyncio.create_task(ask(number)) for number in range(4)]
    proxy.process.send_signal(signal.SIGUSR2)
    await proxy.until_workers(2, without=old)
    await proxy.until(lambda: len(old & set(proxy.workers())) == 1)
    os.kill(proxy.process.pid, signal.SIGUSR1)
    goes_on = False
    await asyncio.gather(*clients)
    await tunnel.echo(b"ping")
    await tunnel.close()
    await proxy.until(lambda: not old & set(proxy.workers()))
    assert await proxy.stop() == 0
    lines = log.lines()
    assert lines.count("/socket 101 .") == 1
    assert sorted(lines) == sorted([*answered, "/socket 101 ."])
