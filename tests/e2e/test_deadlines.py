"""What waits too long is ended, told by its name, and blamed on whom it was due to."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
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
def full() -> Iterator[str]:
    """An address whose queue is full: connections to it are neither taken nor refused."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"127.0.0.1:{listening.getsockname()[1]}"


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
        ("timeouts: {connect: 60s}\nretry: {retries: 0, per_try: 300ms}", None),
        ("timeouts: {connect: 60s, total: 300ms}", b"total_timeout"),
    ],
    ids=["connect", "per_try", "total"],
)
async def test_connection_that_is_never_made_is_waited_for_no_longer_than_allowed(
    sluice: Factory, plain: Any, full: str, service: str, expected: bytes | None
) -> None:
    proxy = await sluice(plain(full, service))
    status, token = reason(await proxy.ask(GET))
    assert status == 504
    assert token == expected or (expected is None and token in (b"try_timeout", b"connect_timeout"))


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
