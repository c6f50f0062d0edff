"""Bodies in motion: memory stays bounded whoever stops reading, and no byte reaches whom it is not meant for."""

import asyncio
import contextlib
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

Factory = Callable[..., Awaitable[Any]]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\necho"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

MIB = 1 << 20
BIG = 64 * MIB
ROOM = 10 * 1024  # KiB by which the proxy may grow, whatever passes through
PERIOD = MIB + 7
PATTERN = random.Random(1).randbytes(PERIOD) * 2  # noqa: S311 - repeatable bytes
DEADLINE = 60.0


class Stream:
    """A body without end that nobody has to store: makes the bytes, and knows them when they come."""

    def __init__(self) -> None:
        self.passed = 0

    def make(self, size: int) -> bytes:
        """The next `size` bytes."""
        piece = self._look(size)
        self.passed += size
        return piece

    def check(self, data: bytes) -> None:
        """Take `data` for the next bytes, which they must be."""
        assert data == self._look(len(data)), f"wrong bytes in the {len(data)} after {self.passed}"
        self.passed += len(data)

    def _look(self, size: int) -> bytes:
        at = self.passed % PERIOD
        return PATTERN[at : at + size]


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """A factory of bare servers that keep nothing of what they read: await server(serve) -> its address."""
    running: list[asyncio.Server] = []
    tasks: set[asyncio.Task[Any]] = set()

    async def start(serve: Serve, kind: str = "tcp") -> str:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            tasks.add(task)
            ends = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
            with contextlib.closing(writer), contextlib.suppress(*ends):
                await serve(reader, writer)

        if kind == "unix":
            running.append(await asyncio.start_unix_server(accepted, tmp_path / "origin"))
            return f"unix:{tmp_path}/origin"
        running.append(await asyncio.start_server(accepted, "127.0.0.1", 0))
        return f"127.0.0.1:{running[-1].sockets[0].getsockname()[1]}"

    yield start
    for each in running:
        each.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def grown(proxy: Any) -> int:
    """The most memory that the proxy has ever used, in KiB."""
    status = Path(f"/proc/{proxy.worker}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def descriptors(proxy: Any) -> int:
    """How many descriptors the proxy has open."""
    return len(os.listdir(f"/proc/{proxy.worker}/fd"))  # noqa: PTH208 - a count, nothing more


async def send_stream(writer: asyncio.StreamWriter, stream: Stream, size: int) -> None:
    """Send `size` bytes of the stream as fast as they are taken."""
    while stream.passed < size:
        writer.write(stream.make(min(MIB, size - stream.passed)))
        await writer.drain()


async def read_stream(reader: asyncio.StreamReader, stream: Stream, size: int) -> None:
    """Read on until `size` bytes of the stream have come, and are right."""
    async with asyncio.timeout(DEADLINE):
        while stream.passed < size:
            data = await reader.read(min(MIB, size - stream.passed))
            assert data, f"ended after {stream.passed} of {size}"
            stream.check(data)


async def until(proxy: Any, condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds of the proxy; it is looked at between requests to the admin."""
    end = asyncio.get_running_loop().time() + 15
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it never came to that"
        await proxy.admin("/readyz")


def sized(size: int) -> bytes:
    """The head of a response of that size."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size


async def small_client(where: Any) -> socket.socket:
    """A socket connected to a path or a proxy that takes next to nothing until it is read."""
    sock = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    address = where if isinstance(where, str) else ("127.0.0.1", where.port)
    await asyncio.get_running_loop().sock_connect(sock, address)
    return sock


async def by_path(reader: asyncio.StreamReader) -> bytes:
    """The path of the next request, less the slash."""
    return (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1][1:]


# -- back-pressure


@pytest.mark.parametrize(
    ("framing", "loop"),
    [("sized", "uvloop"), ("sized", "asyncio"), ("until the end", "uvloop"), ("until the end", "asyncio")],
)  # what ends with the connection goes on in chunks: three pieces in one go, which asyncio's loop takes in its own way
async def test_client_that_stops_reading_holds_the_origin_back(
    sluice: Factory, server: Any, plain: Any, framing: str, loop: str
) -> None:
    sent = {b"slow": Stream(), b"fast": Stream(), b"warm": Stream()}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = await by_path(reader)
        writer.write(sized(BIG) if framing == "sized" else b"HTTP/1.1 200 OK\r\n\r\n")
        await send_stream(writer, sent[name], BIG)

    proxy = await sluice(plain(await server(serve)), {"SLUICE_LOOP": loop})

    async def fetch(name: bytes) -> Any:
        client = await proxy.connect()
        await client.send(b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % name)
        await client.reader.readuntil(b"\r\n\r\n")
        return client

    async def read(client: Any) -> None:
        if framing == "sized":
            await read_stream(client.reader, Stream(), BIG)
            return
        stream = Stream()
        while size := int(await asyncio.wait_for(client.reader.readline(), DEADLINE), 16):
            stream.check((await asyncio.wait_for(client.reader.readexactly(size + 2), DEADLINE))[:-2])
        assert stream.passed == BIG

    warm = await fetch(b"warm")
    await read(warm)
    before = grown(proxy)
    slow = await fetch(b"slow")  # and no more of it for now
    fast = await fetch(b"fast")
    await read(fast)
    assert sent[b"slow"].passed < BIG / 2  # what the kernel's four buffers hold, and no more
    await read(slow)
    assert grown(proxy) - before < ROOM
    for client in (warm, slow, fast):
        await client.close()


@pytest.mark.parametrize("framing", [b"Content-Length: %d" % BIG, b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])  # a Unix socket takes less than one read brings: full at once
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_origin_that_stops_reading_holds_the_client_back(
    sluice: Factory, server: Any, plain: Any, framing: bytes, kind: str, loop: str
) -> None:
    release = asyncio.Event()
    stalled = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await by_path(reader) == b"slow":
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            stalled.set()
            await release.wait()
            reader._transport.resume_reading()  # type: ignore[attr-defined]
        if b"chunked" in framing:
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
        else:
            await read_stream(reader, Stream(), BIG)
        writer.write(ANSWER)
        await writer.drain()

    async def send(client: Any, name: bytes, stream: Stream) -> None:
        # Head and first piece at once, so that there is a lot in hand when the connection to the origin is made.
        head = b"POST /%b HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % (name, framing)
        while stream.passed < BIG:
            piece = stream.make(MIB)
            client.writer.write(head + (b"%x\r\n%b\r\n" % (MIB, piece) if b"chunked" in framing else piece))
            head = b""
            await client.writer.drain()
        client.writer.write(b"0\r\n\r\n" if b"chunked" in framing else b"")

    proxy = await sluice(plain(await server(serve, kind)), {"SLUICE_LOOP": loop})
    warm, slow, fast = [await proxy.connect() for _ in range(3)]
    await send(warm, b"warm", Stream())
    assert (await warm.response()).body == b"echo"
    before = grown(proxy)
    stream = Stream()
    sending = asyncio.ensure_future(send(slow, b"slow", stream))
    await asyncio.wait_for(stalled.wait(), 15)
    await send(fast, b"fast", Stream())
    assert (await fast.response()).body == b"echo"
    assert stream.passed < BIG / 2
    assert grown(proxy) - before < ROOM
    release.set()
    await sending
    assert (await slow.response()).body == b"echo"
    for client in (warm, slow, fast):
        await client.close()


async def test_response_behind_one_that_is_not_read_waits_too(sluice: Factory, server: Any, plain: Any) -> None:
    sent = Stream()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while name := await by_path(reader):
            if name == b"big":
                writer.write(sized(BIG))
                await send_stream(writer, sent, BIG)
            else:
                writer.write(sized(200_000) + bytes(200_000))

    proxy = await sluice(plain(await server(serve)))
    # Nobody reads 200 small responses: somewhere among them the connection is full and a response complete.
    small = b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n"
    client, fast = await small_client(proxy), await proxy.connect()
    before = grown(proxy)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, small * 200 + b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
    for _ in range(300):
        await fast.ask(small)
    assert sent.passed == 0
    assert grown(proxy) - before < ROOM
    client.close()
    await fast.close()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])  # they tell of a full buffer at different moments
async def test_tunnel_whose_client_does_not_read_holds_the_origin_back(
    sluice: Factory, server: Any, plain: Any, tmp_path: Path, loop: str
) -> None:
    sent = Stream()
    begun = asyncio.Event()
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not (head := await reader.readuntil(b"\r\n\r\n")).count(b"websocket"):
            writer.write(sized(150_000) + bytes(150_000) if b"/fill" in head else ANSWER)
        begun.set()
        await release.wait()
        writer.write(SWITCHED)
        await send_stream(writer, sent, BIG)

    # The response before the upgrade nearly fills a Unix socket: what comes with the 101 is too much for it.
    listeners = f'listeners: [{{bind: "127.0.0.1:PORT"}}, {{bind: "unix:{tmp_path}/front"}}]\n'
    proxy = await sluice(listeners + plain(await server(serve)), {"SLUICE_LOOP": loop})
    client = await small_client(f"{tmp_path}/front")
    before = grown(proxy)
    await asyncio.get_running_loop().sock_sendall(client, GET.replace(b"/", b"/fill", 1) + UPGRADE)
    await asyncio.wait_for(begun.wait(), 15)
    # Stopped, so that it finds more behind the 101 than the client takes.
    proxy.process.send_signal(signal.SIGSTOP)
    release.set()
    while sent.passed < MIB:
        await asyncio.sleep(0)
    proxy.process.send_signal(signal.SIGCONT)
    for _ in range(300):
        assert (await proxy.ask(GET)).body == b"echo"
    assert sent.passed < BIG / 2
    assert grown(proxy) - before < ROOM
    client.close()


# -- a lot


async def test_gibibyte_each_way_passes_in_constant_memory(sluice: Factory, server: Any, plain: Any) -> None:
    size = 1 << 30
    sink = Stream()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await by_path(reader) == b"up":
            await read_stream(reader, sink, size)
            writer.write(ANSWER)
        else:
            writer.write(sized(size))
            await send_stream(writer, Stream(), size)
        await writer.drain()

    proxy = await sluice(plain(await server(serve)))
    before = grown(proxy)
    client = await proxy.connect()
    await client.send(b"GET /down HTTP/1.1\r\nHost: a\r\n\r\n")
    await client.reader.readuntil(b"\r\n\r\n")
    await read_stream(client.reader, Stream(), size)
    await client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
    await send_stream(client.writer, Stream(), size)
    assert (await client.response()).body == b"echo"
    assert sink.passed == size
    assert grown(proxy) - before < ROOM
    await client.close()


# -- tunnels


@pytest.mark.parametrize("ends", ["idle", "origin"])
async def test_tunnel_whose_client_reads_nothing_is_let_go(sluice: Factory, server: Any, plain: Any, ends: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHED + bytes(8 * MIB))
        if ends == "idle":
            await reader.read()

    proxy = await sluice(plain(await server(serve), "timeouts: {tunnel_idle: 300ms}"))
    warm = await proxy.connect()  # with the first connection the loop opens a descriptor of its own
    await warm.send(b"x\r\n\r\n")
    await warm.rest()
    await warm.close()
    before = descriptors(proxy)
    client = await small_client(proxy)
    await asyncio.get_running_loop().sock_sendall(client, UPGRADE)
    await until(proxy, lambda: descriptors(proxy) > before)
    await until(proxy, lambda: descriptors(proxy) <= before)
    client.close()
