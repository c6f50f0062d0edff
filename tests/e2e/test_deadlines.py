"""What waits too long is ended, told by its name, and blamed on whom it was due to."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\necho"


def reason(response: Any) -> tuple[int, bytes | None]:
    """Status and reason token of a reply, None where it is not ours."""
    return response.status, response.one(b"x-sluice-reason")


@pytest.fixture
def full() -> Iterator[socket.socket]:
    """A listening socket whose queue is full: connections to it are neither taken nor refused."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening


def address(listening: socket.socket) -> str:
    """Where it listens, as the configuration takes it."""
    return f"127.0.0.1:{listening.getsockname()[1]}"


def connecting(listening: socket.socket) -> int:
    """How many sockets have asked for a connection to it, and wait for an answer."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    there = f":{listening.getsockname()[1]:04X}"
    return sum(row[2].endswith(there) and row[3] == "02" for row in rows)


def received(listening: socket.socket) -> bytes:
    """What has come on all the connections that it has taken."""
    data = b""
    listening.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            with listening.accept()[0] as connection, contextlib.suppress(BlockingIOError):
                connection.setblocking(False)
                data += connection.recv(65536)
    return data


def clocks(app: str, quiet: str, routes: str, early: str, late: str) -> str:
    """YAML of a service at `app`, and of two at `quiet` whose 504 tells that a time is over: /early and /late."""
    return f"""services:
  app: {{pools: {{only: {{endpoints: ['{app}']}}}}}}
  early: {{pools: {{only: {{endpoints: ['{quiet}']}}}}, timeouts: {{response: {early}}}}}
  late: {{pools: {{only: {{endpoints: ['{quiet}']}}}}, timeouts: {{response: {late}}}}}
routes: [{routes}{routes and ", "}
  {{match: {{path: /early}}, service: early}}, {{match: {{path: /late}}, service: late}}, {{service: app}}]
"""


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """An origin that reads and never answers."""
    await reader.read()


@pytest.mark.parametrize(
    ("service", "expected", "tries"),
    [
        ("timeouts: {response: 300ms}\nretry: {retries: 3}", b"response_timeout", 1),
        ("timeouts: {response: 300ms}\nretry: {retries: 2, on: [timeout]}", b"response_timeout", 3),
        ("retry: {retries: 2, on: [timeout], per_try: 300ms}", b"try_timeout", 3),
        ("timeouts: {total: 500ms}\nretry: {retries: 50, on: [timeout], per_try: 200ms}", b"total_timeout", None),
        ("timeouts: {total: 300ms, response: 60s}", b"total_timeout", 1),
    ],
)
async def test_deadline_is_told_by_its_name(proxied: Factory, service: str, expected: bytes, tries: int | None) -> None:
    sluice, origin = await proxied(service=service, serve=silent)
    assert reason(await sluice.ask(GET)) == (504, expected)
    await origin.until(lambda: all(stream.at_eof() for stream in origin.streams))
    assert tries is None or len(origin.streams) == tries


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("timeouts: {connect: 300ms}\nretry: {retries: 0}", b"connect_timeout"),
        ("timeouts: {connect: 60s}\nretry: {retries: 0, per_try: 300ms}", b"try_timeout"),
        ("timeouts: {connect: 60s, total: 300ms}", b"total_timeout"),
    ],
    ids=["connect", "per_try", "total"],
)
async def test_connection_that_is_never_made_is_waited_for_no_longer_than_allowed(
    sluice: Factory, plain: Any, full: socket.socket, service: str, expected: bytes
) -> None:
    proxy = await sluice(plain(address(full), service))
    assert reason(await proxy.ask(GET)) == (504, expected)


async def test_per_try_begins_before_the_connection_is_made(sluice: Factory, plain: Any, full: socket.socket) -> None:
    # A lost SYN is sent again after a second. Were that second not counted, `total` would be over first.
    service = "timeouts: {connect: 60s, total: 2600ms}\nretry: {retries: 0, per_try: 2s}"
    proxy = await sluice(plain(address(full), service))
    before = connecting(full)
    client = await proxy.connect()
    await client.send(GET)
    async with asyncio.timeout(15):
        while connecting(full) == before:
            await proxy.admin("/readyz")
    full.listen(16)
    assert reason(await client.response()) == (504, b"try_timeout")
    await client.close()
    assert GET[:16] in received(full)


async def test_total_ends_a_response_that_has_begun(proxied: Factory) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await reader.read()

    sluice, origin = await proxied(service="timeouts: {total: 300ms}", serve=serve)
    client = await sluice.connect()
    await client.send(GET)
    assert (await client.rest()).endswith(b"\r\n\r\nhalf")
    await origin.until(origin.streams[0].at_eof)
    await client.close()


async def test_client_that_pauses_its_body_is_not_the_endpoints_fault(sluice: Factory, origin: Factory) -> None:
    quiet, back = await origin(serve=silent), await origin()
    proxy = await sluice(
        f"services:\n  app: {{pools: {{only: {{endpoints: ['{back.address}']}}}}, timeouts: {{body_idle: 200ms}}}}\n"
        f"  clock: {{pools: {{only: {{endpoints: ['{quiet.address}']}}}}, timeouts: {{response: 800ms}}}}\n"
        "routes: [{match: {path: /clock}, service: clock}, {service: app}]\n"
    )
    client = await proxy.connect()
    await client.send(POST[:-2])
    await back.until(lambda: back.received.endswith(b"bo"))
    # Well past body_idle. The endpoint took at once what there was: it is the client who makes us wait.
    assert (await proxy.ask(GET.replace(b"/", b"/clock", 1))).status == 504
    await client.send(b"dy")
    assert reason(await client.response(b"POST")) == (200, None)
    await client.close()
    assert [request.body for request in back.requests] == [b"body"]


async def test_client_that_pauses_its_body_past_per_try_is_told_and_blames_nobody(
    sluice: Factory, origin: Factory
) -> None:
    backs = [await origin(), await origin()]
    proxy = await sluice(
        f"services: {{app: {{pools: {{only: {{endpoints: ['{backs[0].address}', '{backs[1].address}']}}}},\n"
        "  balance: round_robin, ejection: {consecutive_errors: 1}, retry: {on: [timeout], per_try: 300ms}}}\n"
        "routes: [{service: app}]\n"
    )
    clients = [await proxy.connect() for _ in backs]
    for client in clients:
        await client.send(POST.replace(b"POST", b"PUT")[:-2])
        assert reason(await client.response()) == (504, b"try_timeout")
    for client in clients:
        await client.send(b"dy")  # the rest, which nobody waits for
        assert [(await client.ask(GET)).body for _ in range(2)] == [b"echo"] * 2
        await client.close()
    assert [len(back.requests) for back in backs] == [2, 2]
    assert [back.received.count(b"PUT") for back in backs] == [1, 1]
    assert "ejected" not in proxy.output


async def test_body_has_its_time_from_a_late_continue_on(sluice: Factory, origin: Factory) -> None:
    # The rate is judged over ten seconds. The 100 comes late in those that began with the head, the body after them.
    agreed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await agreed.wait()
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(4)
        writer.write(ANSWER)
        await writer.drain()

    back, quiet = await origin(serve=serve), await origin(serve=silent)
    proxy = await sluice(clocks(back.address, quiet.address, "", early="8s", late="3s"))
    client = await proxy.connect()
    await client.send(POST.replace(b"\r\n\r\nbody", b"\r\nExpect: 100-continue\r\n\r\n"))
    assert (await proxy.ask(GET.replace(b"/", b"/early", 1))).status == 504
    agreed.set()
    assert (await client.response()).status == 100
    assert (await proxy.ask(GET.replace(b"/", b"/late", 1))).status == 504
    await client.send(b"body")
    assert (await client.response()).body == b"echo"
    await client.close()


@pytest.mark.parametrize("path", [b"/stuck", b"/quick"])
async def test_deadline_of_a_request_never_reaches_the_next_one(sluice: Factory, origin: Factory, path: bytes) -> None:
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if not head.startswith(b"GET /quick"):
                await release.wait()
            writer.write(ANSWER)

    back, quiet = await origin(serve=serve), await origin(serve=silent)
    total = "timeouts: {total: 500ms}"
    routes = f"{{match: {{path: /stuck}}, service: app, {total}}}, {{match: {{path: /quick}}, service: app, {total}}}"
    proxy = await sluice(clocks(back.address, quiet.address, routes, early="1s", late="1s"))
    client = await proxy.connect()
    expected = (200, None) if path == b"/quick" else (504, b"total_timeout")
    assert reason(await client.ask(GET.replace(b"/", path, 1))) == expected
    await client.send(GET.replace(b"/", b"/next", 1))
    await back.until(lambda: b"GET /next" in back.received)
    assert (await proxy.ask(GET.replace(b"/", b"/early", 1))).status == 504  # the deadline has come and gone
    release.set()
    assert reason(await client.response()) == (200, None)
    assert (await client.ask(GET)).body == b"echo"
    await client.close()
    assert back.received.count(b"GET /next") == 1


async def test_origin_that_takes_nothing_of_a_body_is_at_fault(proxied: Factory) -> None:
    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.Event().wait()

    sluice, _ = await proxied(service="timeouts: {body_idle: 300ms}\nretry: {retries: 0}", serve=serve)
    client = await sluice.connect()
    size = 64 << 20
    head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
    sending = asyncio.ensure_future(client.send(head + bytes(size)))
    assert reason(await client.response(b"PUT")) == (504, b"send_timeout")
    await client.close()
    await sending
