"""Responses that do not wait for the request, are not whole, or are more than was asked for."""

import asyncio
import signal
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\necho"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

MIB = 1 << 20
BIG = 64 * MIB


# -- responses that do not wait for the request


async def test_response_before_a_little_rest_keeps_both_connections(proxied: Factory) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(ANSWER)
            await reader.readexactly(100)

    sluice, origin = await proxied(serve=serve)
    client = await sluice.connect()
    for _ in range(3):
        assert (await client.ask(POST + b"Content-Length: 100\r\n\r\n" + bytes(50))).body == b"echo"
        await client.send(bytes(50))
    await client.close()
    await origin.until(lambda: len(origin.received) > 3 * 100)
    assert len(origin.streams) == 1


@pytest.mark.parametrize("chunked", [False, True])
async def test_response_of_an_origin_that_closes_leaves_the_rest_to_us(proxied: Factory, chunked: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await writer.drain()
        await reader.read()

    sluice, _ = await proxied(serve=serve)
    client = await sluice.connect()
    head = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: 100\r\n\r\n"
    halves = (b"32\r\n%b\r\n" % bytes(50), b"32\r\n%b\r\n0\r\n\r\n" % bytes(50)) if chunked else (bytes(50),) * 2
    for _ in range(3):
        assert (await client.ask(POST + head + halves[0])).body == b"echo"
        await client.send(halves[1])
    await client.close()


@pytest.mark.parametrize("chunked", [False, True])
async def test_endless_rest_behind_a_response_ends_the_connection(proxied: Factory, chunked: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        while await reader.read(MIB):
            pass

    sluice, _ = await proxied(serve=serve)
    client = await sluice.connect()
    head = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % (1 << 40)
    assert (await client.ask(POST + head)).body == b"echo"
    piece = b"10000\r\n%b\r\n" % bytes(1 << 16) if chunked else bytes(1 << 16)
    ended = asyncio.ensure_future(client.rest())
    sent = 0
    while not ended.done():
        await client.send(piece)
        sent += len(piece)
        assert sent < BIG, "it takes any amount of a body that nobody waits for"
        await asyncio.sleep(0)
    assert await ended == b""
    await client.close()


# -- responses that are not whole, or too much


@pytest.mark.parametrize(
    ("tail", "reset"),
    [
        (b"Content-Length: 10\r\n\r\nhalf", False),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", False),
        (b"\r\nhalf", True),
    ],
    ids=["sized", "chunked", "reset before its end"],
)
async def test_broken_response_is_reset_for_a_client_that_sees_only_the_end(
    proxied: Factory, tail: bytes, reset: bool
) -> None:
    read = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + tail)
        await writer.drain()
        await read.wait()
        if reset:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    sluice, _ = await proxied(service="retry: {retries: 0}", serve=serve)
    client = await sluice.connect()
    await client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert (await client.reader.readuntil(b"half")).startswith(b"HTTP/1.1 200")
    read.set()
    if b"Content-Length" in tail:
        assert await client.rest() == b""  # six bytes short of what was announced
    else:
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(client.reader.read(), 15)
    await client.close()


@pytest.mark.parametrize(
    ("tail", "late"),
    [
        (b"Content-Length: 5\r\n\r\nhello", b""),
        (b"Content-Length: 5\r\n\r\n", b"hello"),
        (b"Content-Length: 5\r\n\r\n", b""),
        (b"\r\nhello", b""),
    ],
    ids=["with the head", "behind it", "never comes", "unannounced"],
)
async def test_body_of_a_204_reaches_nobody(proxied: Factory, tail: bytes, late: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 204 No Content\r\nX-A: b\r\n" + tail)
            if late:
                await answered.wait()
                writer.write(late)

    sluice, origin = await proxied(service="timeouts: {upstream_idle: 60s}", serve=serve)
    client = await sluice.connect()
    for number in range(3):
        answered = asyncio.Event()
        response = await client.ask(GET)
        assert (response.status, response.one(b"x-a"), response.one(b"content-length")) == (204, b"b", None)
        answered.set()
        assert len(origin.streams) == number + 1  # what was announced may still come: never on this connection again
    await client.close()


async def test_body_until_close_is_whole_for_http10(proxied: Factory) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
        await writer.drain()

    sluice, _ = await proxied(serve=serve)
    response = await sluice.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (response.body, response.one(b"connection")) == (b"until the end", b"close")


@pytest.mark.parametrize(("count", "status"), [(10, 200), (11, 502)])
async def test_informational_responses_have_an_end(proxied: Factory, count: int, status: int) -> None:
    sluice, _ = await proxied(answer=b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * count + ANSWER)
    client = await sluice.connect()
    await client.send(GET)
    response = await client.response()
    seen = 0
    while response.status == 103:
        seen += 1
        response = await client.response()
    assert (seen, response.status) == (10, status)
    assert response.one(b"x-sluice-reason") == (b"upstream_malformed" if status == 502 else None)
    await client.close()


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (GET, SWITCHED),
        (UPGRADE, SWITCHED.replace(b"websocket", b"h2c")),
        (UPGRADE, SWITCHED.replace(b"Upgrade: websocket\r\n", b"")),
        (UPGRADE.replace(b"websocket", b"h2c"), SWITCHED.replace(b"websocket", b"h2c")),
    ],
    ids=["unasked", "to something else", "to nothing", "to what was stripped"],
)
async def test_switch_that_nobody_asked_for_is_502(proxied: Factory, request_bytes: bytes, answer: bytes) -> None:
    sluice, _ = await proxied(answer=answer + b"more")
    response = await sluice.ask(request_bytes)
    assert (response.status, response.one(b"x-sluice-reason")) == (502, b"upstream_malformed")


async def test_unasked_bytes_on_an_idle_connection_reach_nobody(proxied: Factory) -> None:
    speak = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await speak.wait()
        writer.write(ANSWER.replace(b"echo", b"evil"))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)

    sluice, origin = await proxied(service="timeouts: {upstream_idle: 60s}", serve=serve)
    client = await sluice.connect()
    assert (await client.ask(GET)).body == b"echo"
    speak.set()
    await origin.until(origin.streams[0].at_eof)
    assert (await client.ask(GET)).body == b"echo"
    assert len(origin.streams) == 2
    await client.close()


@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_unasked_bytes_that_came_before_the_request_do_not_answer_it(proxied: Factory, method: bytes) -> None:
    speak, spoken = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await speak.wait()
        writer.write(ANSWER.replace(b"echo", b"evil"))
        await writer.drain()
        spoken.set()
        await reader.read()

    sluice, _ = await proxied(service="timeouts: {upstream_idle: 60s}", serve=serve)
    client = await sluice.connect()
    assert (await client.ask(GET)).body == b"echo"
    sluice.process.send_signal(signal.SIGSTOP)  # so that it finds both at once
    speak.set()
    await asyncio.wait_for(spoken.wait(), 15)
    await client.send(GET.replace(b"GET", method))
    sluice.process.send_signal(signal.SIGCONT)
    assert (await client.response()).body == b"echo"
    await client.close()
