"""Clients that dawdle, cut their bytes oddly or leave: each gets what it is due, and nobody else pays for it."""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\necho"


def limited(limits: str) -> str:
    """YAML of the only listener with these limits."""
    return f'listeners: [{{bind: "127.0.0.1:PORT", limits: {{{limits}}}}}]\n'


def reason(response: Any) -> tuple[int, bytes]:
    """Status and reason token of a reply of ours."""
    return response.status, response.one(b"x-sluice-reason")


async def dribble(client: Any, piece: bytes) -> Any:
    """Send `piece` again and again, now and then, until the proxy answers; its answer."""
    answer = asyncio.ensure_future(client.response())
    while not answer.done():
        await client.send(piece)
        await asyncio.wait([answer], timeout=0.02)
    return answer.result()


# -- slow clients


@pytest.mark.parametrize(
    ("begun", "piece"),
    [
        (b"G", b""),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"a"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: a\r\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r", b""),
        (GET + b"GET /", b"a"),
    ],
    ids=["first byte", "endless value", "endless fields", "last byte missing", "behind a request"],
)
async def test_head_that_never_ends_is_408(
    sluice: Factory, origin: Factory, plain: Any, begun: bytes, piece: bytes
) -> None:
    back = await origin()
    proxy = await sluice(limited("head_timeout: 300ms, fields: 10000, head: 1MiB") + plain(back.address))
    client = await proxy.connect()
    await client.send(begun)
    if begun.startswith(GET):
        assert (await client.response()).body == b"echo"
    response = await dribble(client, piece)
    assert (*reason(response), response.one(b"connection")) == (408, b"head_timeout", b"close")
    assert await client.rest() == b""
    await client.close()
    assert len(back.requests) == begun.count(GET)


async def test_head_that_comes_byte_by_byte_in_time_is_served(proxied: Factory) -> None:
    sluice, origin = await proxied()
    client = await sluice.connect()
    for _ in range(2):
        for byte in GET:
            await client.send(bytes([byte]))
        assert (await client.response()).body == b"echo"
    await client.close()
    assert len(origin.streams) == 1


async def test_connection_that_says_nothing_is_closed_in_silence(sluice: Factory, origin: Factory, plain: Any) -> None:
    back = await origin()
    proxy = await sluice(limited("head_timeout: 300ms") + plain(back.address))
    client = await proxy.connect()
    assert await client.rest() == b""
    await client.close()
    assert back.streams == []


async def test_kept_connection_is_closed_in_silence_when_its_time_is_over(
    sluice: Factory, origin: Factory, plain: Any
) -> None:
    back = await origin()
    proxy = await sluice(limited("keep_alive: 300ms") + plain(back.address))
    client = await proxy.connect()
    assert (await client.ask(GET)).body == b"echo"
    assert await client.rest() == b""
    await client.close()


async def test_client_below_the_least_rate_is_cut_off(sluice: Factory, origin: Factory, plain: Any) -> None:
    # The rate is judged over ten seconds: both ways in one test, side by side.
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            await reader.read()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(bytes(1 << 16))
                await writer.drain()
        gone.set()

    back = await origin(serve=serve)
    proxy = await sluice(limited("min_rate: 1MiB") + plain(back.address))
    sender, reader = await proxy.connect(), await proxy.connect()
    await sender.send(POST + b"Content-Length: 100\r\n\r\n" + bytes(50))
    await reader.send(GET)
    assert (await reader.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")  # and no more of it
    response = await asyncio.wait_for(sender.response(), 30)
    assert (*reason(response), response.one(b"connection")) == (408, b"body_timeout", b"close")
    assert await sender.rest() == b""
    await asyncio.wait_for(gone.wait(), 30)
    assert len(await reader.rest()) < 100_000_000
    assert await proxy.admin("/readyz") == 200
    for client in (sender, reader):
        await client.close()


# -- clients that leave


@pytest.mark.parametrize(
    ("request_bytes", "begins"),
    [
        (GET, False),
        (GET, True),
        (POST + b"Content-Length: 100\r\n\r\nhalf", False),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", False),
        (POST + b"Content-Length: 100\r\n\r\nhalf", True),
    ],
    ids=["waiting", "reading", "sending", "sending chunks", "sending and reading"],
)
@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
async def test_client_that_leaves_ends_the_attempt_and_blames_nobody(
    sluice: Factory, origin: Factory, request_bytes: bytes, begins: bool, reset: bool
) -> None:
    arrived: asyncio.Queue[None] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"x-whole" in head:
            writer.write(ANSWER)
        elif begins:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        arrived.put_nowait(None)
        await reader.read()

    backs = [await origin(serve=serve), await origin(serve=serve)]
    proxy = await sluice(
        f"services: {{app: {{pools: {{only: {{endpoints: ['{backs[0].address}', '{backs[1].address}']}}}},\n"
        "  balance: round_robin, ejection: {consecutive_errors: 1}}}\nroutes: [{service: app}]\n"
    )
    for _ in backs:
        client = await proxy.connect()
        await client.send(request_bytes)
        await asyncio.wait_for(arrived.get(), 15)
        if begins:
            await asyncio.wait_for(client.reader.readuntil(b"half"), 15)
        if reset:
            sock = client.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await client.close()
    for back in backs:
        await back.until(lambda back=back: back.streams and all(stream.at_eof() for stream in back.streams))
    whole = GET.replace(b"\r\n\r\n", b"\r\nx-whole: 1\r\n\r\n")
    for _ in range(2):
        assert (await proxy.ask(whole)).body == b"echo"
    assert [len(back.streams) for back in backs] == [2, 2]


async def test_half_closed_client_gets_its_response(proxied: Factory) -> None:
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await release.wait()
        writer.write(ANSWER)
        await writer.drain()

    sluice, origin = await proxied(serve=serve)
    client = await sluice.connect()
    await client.send(GET)
    client.writer.write_eof()
    await origin.until(lambda: GET[:5] in origin.received)
    release.set()
    assert (await client.response()).body == b"echo"
    assert await client.rest() == b""
    await client.close()


async def test_half_closed_client_gets_the_responses_to_all_it_had_asked(proxied: Factory) -> None:
    sluice, origin = await proxied()
    client = await sluice.connect()
    await client.send(GET * 3)
    client.writer.write_eof()
    assert [(await client.response()).body for _ in range(3)] == [b"echo"] * 3
    assert await client.rest() == b""
    await client.close()
    assert len(origin.requests) == 3


# -- pipelines


async def test_chunked_request_with_trailers_that_we_answer_does_not_stop_the_next(
    sluice: Factory, origin: Factory, plain: Any
) -> None:
    back = await origin()
    ours = "routes: [{match: {path: /ours}, respond: {status: 418, body: tea}}, {service: app}]\n"
    proxy = await sluice(plain(back.address).replace("routes: [{service: app}]\n", ours))
    chunked = b"POST /ours HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n"
    client = await proxy.connect()
    await client.send(chunked + GET)
    assert (await client.response()).body == b"tea"
    assert (await client.response()).body == b"echo"
    await client.close()


def _request(chance: random.Random, number: int) -> tuple[bytes, bytes]:
    """A valid request in one of its many shapes, and the body that it carries."""
    body = chance.randbytes(chance.choice((0, 1, 7, 300, 5000, 70_000)))
    path = chance.choice((b"/app/%d", b"/ours/%d", b"/late/%d")) % number
    fields = b"".join(b"X-%d: %b\r\n" % (i, b"v" * chance.randrange(80)) for i in range(chance.randrange(6)))
    head = b"%%b %b HTTP/1.1\r\nHost: a\r\n%b" % (path, fields)
    if not body and chance.random() < 0.7:
        return head % b"GET" + b"\r\n", b""
    if chance.random() < 0.5:
        return head % b"POST" + b"Content-Length: %d\r\n\r\n%b" % (len(body), body), body
    chunks, at = b"", 0
    while at < len(body):
        piece = body[at : at + chance.choice((1, 2, 100, 30_000)) * 10]
        chunks += b"%x%b\r\n%b\r\n" % (len(piece), chance.choice((b"", b";a=b", b';a="\\""')), piece)
        at += len(piece)
    last = b"0\r\n" + chance.choice((b"", b"X-Sum: 1\r\n")) + b"\r\n"
    return head % b"POST" + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + last, body


def _answer(message: Any) -> bytes:
    """What the origin says: the target and the body it got, now sized, now chunked, now with a 103 before."""
    text = message.start.split(b" ")[1] + b" " + message.body
    hints = b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" if b"/late" in text[:5] else b""
    if len(text) % 2:
        return hints + b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)
    return hints + b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(text), text)


async def _send_in_pieces(chance: random.Random, client: Any, data: bytes) -> None:
    at = 0
    while at < len(data):
        size = chance.choice((1, 2, 3, 17, 100, 1000, 10_000, 100_000, 1_000_000))
        await client.send(data[at : at + size])
        at += size
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)  # let the other side in: now one read brings many pieces, now one


@pytest.mark.parametrize("seed", range(6))
async def test_pipeline_cut_anywhere_gets_every_answer_in_order(
    sluice: Factory, origin: Factory, plain: Any, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable chaos
    back = await origin(answer=_answer)
    ours = 'routes: [{match: {path: "/ours/*"}, respond: {status: 200, body: ours}}, {service: app}]\n'
    proxy = await sluice(plain(back.address).replace("routes: [{service: app}]\n", ours))
    requests = [_request(chance, number) for number in range(60)]
    client = await proxy.connect()
    sending = asyncio.ensure_future(_send_in_pieces(chance, client, b"".join(data for data, _ in requests)))
    for data, body in requests:
        response = await client.response()
        while response.status == 103:
            response = await client.response()
        target = data.split(b" ", 2)[1]
        expected = b"ours" if target.startswith(b"/ours") else target + b" " + body
        assert (response.status, response.body) == (200, expected)
    await sending
    await client.close()
    assert back.problems == []
    assert len(back.requests) == sum(b" /ours" not in data[:10] for data, _ in requests)
