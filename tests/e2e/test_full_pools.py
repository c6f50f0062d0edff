"""Full pools: who waits, in which order, for how long, and who gives a place back."""

import asyncio
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\necho"
FAILING = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"


def reason(response: Any) -> tuple[int, bytes | None]:
    """Status and reason token of a reply, None where it is not ours."""
    return response.status, response.one(b"x-sluice-reason")


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """An origin that reads and never answers."""
    await reader.read()


async def test_pool_lets_wait_who_fits_and_turns_away_the_rest(proxied: Factory) -> None:
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            await release.wait()
            writer.write(ANSWER)

    sluice, origin = await proxied(service="limits: {connections: 1, pending: 1, pending_timeout: 10s}", serve=serve)
    first, second = await sluice.connect(), await sluice.connect()
    await first.send(GET)
    await origin.until(lambda: origin.received.count(GET[:4]) == 1)
    await second.send(GET)
    await sluice.caught_up()
    assert reason(await sluice.ask(GET)) == (503, b"overloaded")
    release.set()
    assert [(await client.response()).body for client in (first, second)] == [b"echo"] * 2
    assert (await first.ask(GET)).body == b"echo"
    for client in (first, second):
        await client.close()
    assert len(origin.streams) == 1


async def test_waiting_in_a_full_pool_has_an_end(proxied: Factory) -> None:
    sluice, origin = await proxied(service="limits: {connections: 1, pending: 1, pending_timeout: 300ms}", serve=silent)
    first, second = await sluice.connect(), await sluice.connect()
    await first.send(GET)
    await origin.until(lambda: b"\r\n\r\n" in origin.received)
    assert reason(await second.ask(GET)) == (503, b"pending_timeout")
    assert reason(await second.ask(GET)) == (503, b"pending_timeout")  # its place in the queue was free again
    for client in (first, second):
        await client.close()
    assert len(origin.streams) == 1


async def test_client_that_leaves_the_queue_leaves_its_place(proxied: Factory) -> None:
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            await release.wait()
            writer.write(ANSWER)

    sluice, origin = await proxied(service="limits: {connections: 1, pending: 1, pending_timeout: 12s}", serve=serve)
    first, second, third = [await sluice.connect() for _ in range(3)]
    await first.send(GET)
    await origin.until(lambda: b"\r\n\r\n" in origin.received)
    await second.send(GET.replace(b"/", b"/left", 1))
    await sluice.caught_up()
    second.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await second.close()
    await sluice.caught_up()
    await third.send(GET)
    await sluice.caught_up()
    release.set()
    assert [(await client.response()).status for client in (first, third)] == [200, 200]
    for client in (first, third):
        await client.close()
    assert b"/left" not in origin.received


async def test_request_after_one_that_waited_in_vain_is_served(sluice: Factory, origin: Factory) -> None:
    holding = {b"/first": asyncio.Event(), b"/next": asyncio.Event()}
    paths: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            paths.append(head.split(b" ")[1])
            await holding[paths[-1]].wait()
            writer.write(ANSWER)

    back, quiet = await origin(serve=serve), await origin(serve=silent)
    proxy = await sluice(
        "services:\n"
        f"  app: {{pools: {{only: {{endpoints: ['{back.address}']}}}},"
        " limits: {connections: 1, pending: 1, pending_timeout: 300ms}}\n"
        f"  clock: {{pools: {{only: {{endpoints: ['{quiet.address}']}}}}, timeouts: {{response: 800ms}}}}\n"
        "routes: [{match: {path: /clock}, service: clock}, {service: app}]\n"
    )
    first, second = await proxy.connect(), await proxy.connect()
    await first.send(GET.replace(b"/", b"/first", 1))
    await back.until(lambda: b"/first" in back.received)
    assert reason(await second.ask(GET.replace(b"/", b"/gone", 1))) == (503, b"pending_timeout")
    holding[b"/first"].set()
    assert (await first.response()).body == b"echo"
    await second.send(GET.replace(b"/", b"/next", 1))
    assert (await proxy.ask(GET.replace(b"/", b"/clock", 1))).status == 504  # well past pending_timeout
    holding[b"/next"].set()
    assert reason(await second.response()) == (200, None)
    for client in (first, second):
        await client.close()
    assert paths == [b"/first", b"/next"]


@pytest.mark.parametrize(
    ("retry", "answers"),
    [
        ("{on: [reset]}", [b""]),
        ("{on: ['503']}", [FAILING]),
        ("{retries: 3, on: [reset, '503']}", [FAILING, b"", FAILING]),
        ("{retries: 0}", [ANSWER, b""]),
    ],
    ids=["reset", "status", "both", "stale connection"],
)
async def test_retry_goes_before_those_who_wait(proxied: Factory, retry: str, answers: list[bytes]) -> None:
    left = list(answers)
    queued = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if b"/warm" not in head:
                await queued.wait()
            if not (answer := left.pop(0) if left else ANSWER):
                return
            writer.write(answer)

    limits = "limits: {connections: 1, pending: 1, pending_timeout: 15s}"
    sluice, origin = await proxied(service=f"{limits}\nretry: {retry}", serve=serve)
    first, second = await sluice.connect(), await sluice.connect()
    if answers[0] == ANSWER:
        assert (await first.ask(GET.replace(b"/", b"/warm", 1))).body == b"echo"
    await first.send(GET.replace(b"/", b"/first", 1))
    await origin.until(lambda: b"/first" in origin.received)
    await second.send(GET.replace(b"/", b"/second", 1))
    await sluice.caught_up()
    assert reason(await sluice.ask(GET)) == (503, b"overloaded")  # and it waits
    queued.set()
    assert [(await client.response()).body for client in (first, second)] == [b"echo"] * 2
    for client in (first, second):
        await client.close()
    tries = answers.count(b"") + answers.count(FAILING) + 1
    assert re.findall(rb"GET /(first|second)", origin.received) == [b"first"] * tries + [b"second"]
