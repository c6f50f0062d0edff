"""What happens when an endpoint fails: who tries again, how often, and who is kept from doing it twice."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\necho"
FAILING = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


def reason(response: Any) -> tuple[int, bytes | None]:
    """Status and reason token of a reply, None where it is not ours."""
    return response.status, response.one(b"x-sluice-reason")


def several(addresses: list[str], extra: str = "") -> str:
    """One service of one pool that takes its endpoints in turn."""
    pool = f"{{endpoints: {addresses}}}"
    return (
        f"services:\n  app:\n    pools: {{only: {pool}}}\n    balance: round_robin\n{extra}routes: [{{service: app}}]\n"
    )


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address where nobody listens, held so that nobody else takes it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


async def closing_on_the_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An origin that answers once and closes when the next request comes."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(ANSWER)
    await reader.read(1)


# -- kept-alive connections that have gone stale


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"])
async def test_stale_connection_costs_an_idempotent_request_nothing(proxied: Factory, method: bytes) -> None:
    sluice, origin = await proxied(service="retry: {retries: 0}", serve=closing_on_the_second)
    client = await sluice.connect()
    assert (await client.ask(GET)).status == 200
    # What of its bytes the origin read is for the kernel to say: it closes at the first.
    assert (await client.ask(GET.replace(b"GET", method))).status == 200
    await client.close()
    assert len(origin.streams) == 2


async def test_stale_connection_repeats_a_body_that_is_still_held(proxied: Factory) -> None:
    bodies: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        bodies.append(await reader.readexactly(4))
        writer.write(ANSWER)
        await reader.read(1)

    sluice, origin = await proxied(service="retry: {retries: 0}", serve=serve)
    client = await sluice.connect()
    for _ in range(2):
        assert (await client.ask(POST.replace(b"POST", b"PUT"))).body == b"echo"
    await client.close()
    assert (len(origin.streams), bodies) == (2, [b"body"] * 2)


async def test_stale_connection_does_not_send_a_post_twice(proxied: Factory) -> None:
    sluice, origin = await proxied(serve=closing_on_the_second)
    client = await sluice.connect()
    assert (await client.ask(GET)).status == 200
    assert reason(await client.ask(POST)) == (502, b"upstream_reset")
    await client.close()
    assert origin.received.count(b"POST") <= 1
    assert len(origin.streams) == 1


async def test_body_that_was_let_go_is_not_sent_twice(proxied: Factory) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await reader.readexactly(100_000)

    sluice, origin = await proxied(serve=serve)
    client = await sluice.connect()
    assert (await client.ask(GET)).status == 200
    put = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
    assert reason(await client.ask(put)) == (502, b"upstream_reset")
    await client.close()
    assert len(origin.streams) == 1


# -- retries that the configuration asks for


@pytest.mark.parametrize("request_bytes", [GET, POST], ids=["GET", "POST"])
@pytest.mark.parametrize("ejection", ["{}", "{consecutive_errors: 1000}", "off"])
async def test_refused_connection_always_goes_to_a_sound_endpoint(
    sluice: Factory, origin: Factory, deaf: str, request_bytes: bytes, ejection: str
) -> None:
    back = await origin()
    extra = f"    ejection: {ejection}\n    retry: {{budget: 0%}}\n"
    proxy = await sluice(several([deaf, back.address], extra))
    # Half of them go to the dead one first, as long as it is not ejected: far beyond the budget.
    assert [(await proxy.ask(request_bytes)).body for _ in range(30)] == [b"echo"] * 30
    assert len(back.requests) == 30


@pytest.mark.parametrize(
    ("request_bytes", "retry", "first", "expected", "asked"),
    [
        (GET, "{retries: 1, on: [connect, reset, 503]}", FAILING, (200, None), 2),
        (GET, "{retries: 1, on: [5xx]}", FAILING, (200, None), 2),
        (GET, "{retries: 1, on: [connect, reset]}", FAILING, (503, None), 1),
        (GET, "{retries: 0, on: [503]}", FAILING, (503, None), 1),
        (POST, "{retries: 1, on: [503]}", FAILING, (503, None), 1),
        (POST, "{retries: 1, on: [503], methods: [POST]}", FAILING, (200, None), 2),
        (POST, "{retries: 1, on: [503], methods: [POST], body: 3B}", FAILING, (503, None), 1),
        (GET, "{retries: 1, on: [reset]}", b"", (200, None), 2),
        (GET, "{retries: 1, on: [reset]}", b"HTTP/1.1 200 O", (200, None), 2),
        (GET, "{retries: 1, on: [503]}", b"", (502, b"upstream_reset"), 1),
        (POST, "{retries: 1, on: [reset]}", b"", (502, b"upstream_reset"), 1),
        (GET, "{retries: 3, on: [reset, 5xx]}", b"nonsense\r\n\r\n", (502, b"upstream_malformed"), 1),
    ],
)
async def test_failed_attempt_is_repeated_only_where_that_is_allowed(
    proxied: Factory, request_bytes: bytes, retry: str, first: bytes, expected: Any, asked: int
) -> None:
    left = [first]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(left.pop() if left else ANSWER)

    sluice, origin = await proxied(service=f"retry: {retry}", serve=serve)
    assert reason(await sluice.ask(request_bytes)) == expected
    assert len(origin.streams) == asked
    if asked == 2 and request_bytes is POST:
        assert origin.received.count(b"body") == 2


async def test_last_answer_is_passed_on(proxied: Factory) -> None:
    sluice, origin = await proxied(
        service="retry: {retries: 2, on: [503]}",
        answer=lambda _: FAILING.replace(b"busy", b"no %d" % len(origin.requests)),
    )
    response = await sluice.ask(GET)
    assert (reason(response), response.body) == ((503, None), b"no 3")


async def test_started_response_is_never_repeated(proxied: Factory) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await writer.drain()

    sluice, origin = await proxied(service="retry: {retries: 3, on: [reset, 5xx]}", serve=serve)
    client = await sluice.connect()
    await client.send(GET)
    assert (await client.rest()).endswith(b"\r\n\r\nhalf")
    await client.close()
    assert len(origin.streams) == 1


async def test_budget_bounds_retries_of_an_outage(proxied: Factory) -> None:
    # A key of its own, so that no other test's requests count.
    service = "retry: {retries: 1, on: [503], budget: 20%}\nejection: {consecutive_errors: 999}"
    sluice, origin = await proxied(service=service, answer=FAILING)
    asked = 100
    client = await sluice.connect()
    assert [(await client.ask(GET)).status for _ in range(asked)] == [503] * asked
    await client.close()
    # At least 3 a window, then a fifth of the requests; a slow machine may see a few windows.
    assert 3 <= len(origin.requests) - asked <= asked * 0.2 + 3 * 3


# -- passive ejection


async def test_endpoint_that_keeps_failing_is_ejected(sluice: Factory, origin: Factory) -> None:
    bad, good = await origin(answer=BROKEN), await origin()
    proxy = await sluice(several([bad.address, good.address]))
    seen: list[int] = []
    async with asyncio.timeout(15):
        while seen[-20:] != [200] * 20:  # the controller decides: a request more may be on its way meanwhile
            seen.append((await proxy.ask(GET)).status)
    failed = len(bad.requests)
    assert failed >= 5
    assert {(await proxy.ask(GET)).status for _ in range(20)} == {200}
    assert len(bad.requests) == failed == seen.count(500)


async def test_ejected_endpoint_comes_back(sluice: Factory, origin: Factory) -> None:
    bad, good = await origin(answer=BROKEN), await origin()
    proxy = await sluice(several([bad.address, good.address], "    ejection: {consecutive_errors: 1, base: 300ms}\n"))
    client = await proxy.connect()
    while not bad.requests:
        await client.ask(GET)
    bad.answer = ANSWER
    async with asyncio.timeout(15):
        while len(bad.requests) < 2:
            assert (await client.ask(GET)).status == 200
    await client.close()


async def test_last_usable_endpoint_is_never_ejected(sluice: Factory, origin: Factory, deaf: str) -> None:
    bad = await origin(answer=BROKEN)
    ejection = "    ejection: {consecutive_errors: 1, max_share: 100%}\n    retry: {retries: 0}\n"
    proxy = await sluice(several([bad.address, deaf], ejection))
    seen: list[int] = []
    async with asyncio.timeout(15):
        while len(seen) < 20 or len(set(seen[-20:])) > 1:  # the controller decides, meanwhile both are asked
            seen.append((await proxy.ask(GET)).status)
    # One of the two is out, the other stays in however it fails.
    assert {(await proxy.ask(GET)).status for _ in range(20)} == {seen[-1]} <= {500, 502}
    alone = await sluice(several([bad.address], ejection))
    assert [(await alone.ask(GET)).status for _ in range(10)] == [500] * 10
