"""SIGTERM: what is under way ends well, what is idle is closed, and the exit status is 0."""

import asyncio
import fcntl
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def proxied(sluice: Factory, origin: Factory, plain: Any) -> Factory:
    """A proxy of its own for each test, since each ends it."""

    async def start(**options: Any) -> tuple[Any, Any]:
        back = await origin(**options)
        return await sluice(plain(back.address)), back

    return start


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
async def test_idle_proxy_exits_with_0(proxied: Factory, sent: signal.Signals) -> None:
    sluice, _ = await proxied()
    idle = await sluice.connect()
    assert (await idle.ask(GET)).status == 200
    sluice.process.send_signal(sent)
    assert await idle.rest() == b""
    assert await sluice.ended() == 0
    await idle.close()
    assert "Traceback" not in sluice.output


async def test_admin_answers_who_was_let_in_before_the_end(proxied: Factory) -> None:
    sluice, _ = await proxied()
    follower, late = [await asyncio.open_connection("127.0.0.1", sluice.admin_port) for _ in range(2)]
    follower[1].write(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
    await follower[0].readuntil(b"\r\n\r\n")
    sluice.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        await follower[0].readuntil(b"\r\n0\r\n\r\n")  # the admin is about to close
    late[1].write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await late[0].readline()).startswith(b"HTTP/1.1 200 ")
    for _, writer in (follower, late):
        writer.close()
        await writer.wait_closed()
    assert await sluice.ended() == 0


async def test_request_under_way_is_finished(proxied: Factory) -> None:
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        await release.wait()
        writer.write(b"half")
        await writer.drain()

    sluice, _ = await proxied(serve=serve)
    client = await sluice.connect()
    await client.send(GET)
    begun = await client.reader.readuntil(b"half")
    sluice.process.send_signal(signal.SIGTERM)
    await _refuses(sluice)
    release.set()
    assert begun + await client.rest() == begun + b"half"
    assert await sluice.ended() == 0
    await client.close()


async def _refuses(sluice: Any) -> None:
    """Wait until no new connection is taken."""
    async with asyncio.timeout(15):
        while True:
            try:
                client = await sluice.connect()
            except ConnectionError:
                return
            await client.close()


async def test_response_while_draining_says_close(proxied: Factory) -> None:
    asked = asyncio.Event()
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    sluice, _ = await proxied(serve=serve)
    client = await sluice.connect()
    await client.send(GET)
    await asked.wait()
    sluice.process.send_signal(signal.SIGTERM)
    await _refuses(sluice)
    release.set()
    response = await client.response()
    assert (response.status, response.one(b"connection")) == (200, b"close")
    assert await sluice.ended() == 0
    await client.close()


async def test_readiness_ends_before_the_listener_during_the_delay(
    start_sluice: Factory, origin: Factory, plain: Any, tmp_path: Any
) -> None:
    back = await origin()
    sluice = await start_sluice(tmp_path, "shutdown: {delay: 60s, idle: 0s}\n" + plain(back.address))
    assert (await sluice.admin("/healthz"), await sluice.admin("/readyz")) == (200, 200)
    sluice.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(15):
        while await sluice.admin("/readyz") != 503:
            pass
    assert (await sluice.ask(GET)).status == 200
    assert await sluice.admin("/healthz") == 200
    sluice.process.kill()
    sluice.process.wait()


async def test_data_listener_says_that_the_end_is_near_while_it_serves(
    start_sluice: Factory, origin: Factory, plain: Any, tmp_path: Any
) -> None:
    back = await origin()
    text = plain(back.address).replace("routes: [", "routes: [{match: {path: /ready}, respond: {ready: {}}}, ")
    sluice = await start_sluice(tmp_path, "shutdown: {delay: 60s, idle: 0s}\n" + text)
    ready = GET.replace(b"/", b"/ready", 1)
    assert (await sluice.ask(ready)).body == b"ready\n"
    sluice.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(15):
        while (response := await sluice.ask(ready)).status != 503:
            pass
    assert response.body == b"not ready\n"
    assert (await sluice.ask(GET)).status == 200
    sluice.process.kill()
    sluice.process.wait()


async def test_grace_bounds_what_never_ends(sluice: Factory, origin: Factory, plain: Any) -> None:
    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    back = await origin(serve=serve)
    proxy = await sluice("shutdown: {idle: 0s, grace: 300ms}\n" + plain(back.address))
    client = await proxy.connect()
    await client.send(GET)
    await back.until(lambda: b"\r\n\r\n" in back.received)
    proxy.process.send_signal(signal.SIGTERM)
    assert await proxy.ended() == 0
    await client.close()


async def test_no_request_is_lost_while_the_proxy_ends(sluice: Factory, origin: Factory, plain: Any) -> None:
    back = await origin()
    proxy = await sluice("shutdown: {idle: 10s}\n" + plain(back.address))
    clients = [await proxy.connect() for _ in range(20)]
    done = [await client.ask(GET) for client in clients]
    asking = [asyncio.create_task(_ask_until_told_to_stop(client)) for client in clients]
    proxy.process.send_signal(signal.SIGTERM)
    assert all(await asyncio.gather(*asking))
    assert len(done) == 20
    assert await proxy.ended() == 0
    for client in clients:
        await client.close()


async def _ask_until_told_to_stop(client: Any) -> bool:
    """Ask again and again until a response says close: a client that behaves loses nothing."""
    while True:
        try:
            response = await client.ask(GET)
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        if response.one(b"connection") == b"close":
            return response.status == 200


def untaken(client: socket.socket) -> int:
    """How many bytes have come for it that it has not read."""
    return int.from_bytes(fcntl.ioctl(client, termios.FIONREAD, bytes(4)), sys.byteorder)


async def test_client_that_reads_slowly_gets_all_of_its_responses(
    sluice: Factory, origin: Factory, plain: Any, tmp_path: Any
) -> None:
    # A Unix socket takes a fixed amount: what does not fit waits in the proxy, and how much has come is known.
    back = await origin(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + bytes(20_000))
    listeners = f'listeners: [{{bind: "127.0.0.1:PORT"}}, {{bind: "unix:{tmp_path}/front"}}]\n'
    proxy = await sluice(listeners + plain(back.address))
    idle = await proxy.connect()
    size = len((await idle.ask(GET)).raw)
    with socket.socket(socket.AF_UNIX) as slow:
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, f"{tmp_path}/front")
        asked = 0
        while untaken(slow) == asked * size:
            asked += 1
            await loop.sock_sendall(slow, GET)
            await back.until(lambda asked=asked: len(back.requests) > asked)
            for _ in range(20):  # until it has come, or will not
                await proxy.admin("/readyz")
                if untaken(slow) == asked * size:
                    break
        proxy.process.send_signal(signal.SIGTERM)
        assert await idle.rest() == b""  # so the idle ones have been looked through
        received = 0
        while data := await asyncio.wait_for(loop.sock_recv(slow, 65536), 15):
            received += len(data)
    assert received == asked * size
    assert await proxy.ended() == 0
    await idle.close()


async def test_port_in_use_is_one_line_and_exit_1(proxied: Factory, tmp_path: Any) -> None:
    sluice, _ = await proxied()
    second = tmp_path / "second.yaml"
    second.write_text(sluice.config.read_text())
    command = [*sluice.process.args[:-1], str(second)]
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=15, check=False)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert str(sluice.port) in ended.stderr
