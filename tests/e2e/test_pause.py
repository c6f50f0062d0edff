"""`pause` during a cut-over: what is held goes on to the new pool, and nothing is lost."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

SEEN = b"GET /seen HTTP/1.1\r\nHost: a\r\n\r\n"
BIG = 32 * 1024 * 1024  # more than the system's buffers between client and proxy take


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def answer(colour: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(colour), colour)


def text(blue: str, green: str, pause: str, where: str = "service", workers: int = 1) -> str:
    filters = f"    filters: [{{pause: {pause}}}]\n" if where == "service" else ""
    above = f"filters: [{{pause: {pause}}}]\n" if where == "above" else ""
    return (
        f"workers: {workers}\n{above}services:\n  shop:\n    pools:\n"
        f"      blue: {{endpoints: ['{blue}']}}\n      green: {{endpoints: ['{green}']}}\n"
        f"    split: {{blue: 100}}\n{filters}"
        "routes: [{match: {path: /seen}, respond: {status: 204}}, {service: shop}]\n"
    )


async def cut_over(proxy: Any, api: Any) -> None:
    """Flip the split and take the pause away, in one reload."""
    lines = proxy.config.read_text().replace("{blue: 100}", "{green: 100}").split("\n")
    proxy.config.write_text("\n".join(line for line in lines if "pause" not in line))
    said = await api(proxy)("POST", "/v1/reload")
    assert said.status == 200, said.body


@pytest.mark.parametrize(("where", "workers"), [("service", 1), ("service", 2), ("above", 1)])
async def test_held_requests_are_answered_by_the_new_pool(
    sluice: Factory, origin: Factory, api: Callable[..., Any], where: str, workers: int
) -> None:
    blue, green = await origin(answer=answer(b"blue")), await origin(answer=answer(b"green"))
    proxy = await sluice(text(blue.address, green.address, "{at_most: 60s}", where, workers))
    clients = [await proxy.connect() for _ in range(20)]
    for number, client in enumerate(clients):
        await client.send(get(f"/{number}"))
    uploader = await proxy.connect()
    await uploader.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % BIG)
    upload = asyncio.create_task(uploader.send(bytes(BIG)))
    if where == "service":
        for _ in range(5):
            assert (await proxy.ask(SEEN)).status == 204  # the pause is the service's alone
    await cut_over(proxy, api)
    answers = [await client.response() for client in (*clients, uploader)]
    assert [(each.status, each.body) for each in answers] == [(200, b"green")] * 21
    await upload
    assert sorted(len(each.body) for each in green.requests)[-2:] == [0, BIG]
    assert (len(green.requests), blue.requests) == (21, [])
    assert (await proxy.ask(get("/after"))).body == b"green"
    for client in (*clients, uploader):
        await client.close()


async def test_body_of_a_held_request_waits_with_the_client(sluice: Factory, origin: Factory) -> None:
    back = await origin()
    proxy = await sluice(text(back.address, back.address, "{at_most: 60s}") + "shutdown: {grace: 0s}\n")
    client = await proxy.connect()
    await client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % BIG)
    client.writer.write(bytes(BIG))
    waiting = client.writer.transport.get_write_buffer_size
    while True:
        before = waiting()
        for _ in range(50):
            assert (await proxy.ask(SEEN)).status == 204
        if waiting() == before:
            break
    assert waiting() > 0
    client.writer.transport.abort()  # there is more to send than will ever be taken
    await client.close()


async def test_who_is_held_too_long_is_refused_and_so_is_one_too_many(sluice: Factory, origin: Factory) -> None:
    back = await origin()
    proxy = await sluice(text(back.address, back.address, "{at_most: 1500ms, most: 1}"))
    client = await proxy.connect()
    assert (await client.ask(SEEN)).status == 204
    await client.send(get("/held"))
    assert (await proxy.ask(SEEN)).status == 204
    refused = [await proxy.ask(get("/too-many")), await client.response()]
    assert [(each.status, each.one(b"x-sluice-reason")) for each in refused] == [(503, b"paused")] * 2
    assert [each.one(b"retry-after") for each in refused] == [b"2", b"2"]
    assert back.requests == []
    await client.close()


async def test_who_is_held_long_enough_goes_on_where_that_is_said(sluice: Factory, origin: Factory) -> None:
    back = await origin()
    proxy = await sluice(text(back.address, back.address, "{at_most: 100ms, then: go_on}"))
    assert (await proxy.ask(get("/held"))).status == 200


async def test_request_held_across_a_hot_restart_goes_on_with_the_cut_over(
    sluice: Factory, origin: Factory, api: Callable[..., Any]
) -> None:
    blue, green = await origin(answer=answer(b"blue")), await origin(answer=answer(b"green"))
    proxy = await sluice(text(blue.address, green.address, "{at_most: 60s}"))
    client = await proxy.connect()
    assert (await client.ask(SEEN)).status == 204
    await client.send(get("/held"))
    assert (await proxy.ask(SEEN)).status == 204
    before = proxy.worker
    proxy.process.send_signal(signal.SIGUSR2)

    def replaced(status: Any) -> bool:
        states = {worker["pid"]: worker["state"] for worker in status["workers"]}
        return states.pop(before, None) == "draining" and list(states.values()) == ["ready"]

    await api(proxy).until("/v1/status", replaced)
    await cut_over(proxy, api)
    held = await client.response()
    assert (held.status, held.body, held.one(b"connection")) == (200, b"green", b"close")
    assert blue.requests == []
    await client.close()
