"""`rate_limit` on real connections, and its exchange between real workers."""

import asyncio
import os
import re
import signal
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

Factory = Callable[..., Awaitable[Any]]


def get(path: str = "/", key: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{f'X-Key: {key}' if key else 'X-None: 1'}\r\n\r\n".encode()


def text(address: str, filters: str, more: str = "") -> str:
    return (
        f"{more}services: {{app: {{pools: {{only: {{endpoints: ['{address}']}}}}, filters: [{filters}]}}}}\n"
        "routes: [{match: {path: /named}, name: named, service: app}, {name: rest, service: app}]\n"
    )


async def test_burst_passes_and_the_rest_is_told_when_to_come_again(
    sluice: Factory, origin: Factory, api: Callable[..., Any]
) -> None:
    back = await origin()
    proxy = await sluice(text(back.address, "rate_limit: {rate: 60/h, burst: 3}"))
    client = await proxy.connect()
    answers = [await client.ask(get()) for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    refused = answers[-1]
    seconds = int(refused.one(b"retry-after"))
    assert 0 < seconds <= 60
    assert refused.one(b"x-sluice-reason") == b"rate_limited"
    assert refused.one(b"ratelimit") == b'"default";r=0;t=%d' % seconds
    assert refused.one(b"ratelimit-policy") == b'"default";q=60;w=3600'
    assert refused.body == b"429 too many requests; come again in %d s\n" % seconds
    assert len(back.requests) == 3
    # Another generation of the service, with the same limit.
    proxy.config.write_text(proxy.config.read_text().replace("filters:", "timeouts: {response: 50s}, filters:"))
    assert (await api(proxy)("POST", "/v1/reload")).status == 200
    assert (await client.ask(get())).status == 429
    await client.close()


async def test_each_key_and_each_route_has_its_own_bucket(sluice: Factory, origin: Factory) -> None:
    back = await origin()
    by_key = "{rate_limit: {rate: 1/h, by: {header: x-key}}}, {rate_limit: {rate: 1/h, burst: 3, by: route}}"
    proxy = await sluice(text(back.address, by_key))
    asked = [("/", "a"), ("/", "b"), ("/", "a"), ("/", ""), ("/", ""), ("/", "c"), ("/named", "d")]
    answers = [await proxy.ask(get(path, key)) for path, key in asked]
    assert [answer.status for answer in answers] == [200, 200, 429, 200, 429, 429, 200]


async def two_workers_of(proxy: Any) -> tuple[Any, Any]:
    """A connection to each of two workers: what one has granted, only the other grants again."""
    one = await proxy.connect()
    async with asyncio.timeout(15):
        for number in count():
            other = await proxy.connect()
            key = f"whose-{number}"
            if [(await each.ask(get("/", key))).status for each in (one, other)] == [200, 200]:
                return one, other
            await other.close()
    raise AssertionError


async def test_workers_hear_of_what_the_others_granted(sluice: Factory, origin: Factory) -> None:
    back = await origin()
    proxy = await sluice(text(back.address, "rate_limit: {rate: 1/h, by: {header: x-key}}", "workers: 2\n"))
    one, other = await two_workers_of(proxy)
    # The other is asked for each key once, and ever longer after the first has granted it: a refusal is hearsay.
    async with asyncio.timeout(15):
        for number in count():
            assert (await one.ask(get("/", f"key-{number}"))).status == 200
            if number % 2 == 0 and (await other.ask(get("/", f"key-{number // 2}"))).status == 429:
                break
    for client in (one, other):
        await client.close()


async def test_workers_grant_no_less_than_a_burst_and_no_more_than_one_each(sluice: Factory, origin: Factory) -> None:
    back = await origin()
    proxy = await sluice(text(back.address, "rate_limit: {rate: 1/h, burst: 20, by: {header: x-key}}", "workers: 2\n"))

    async def granted(client: Any, key: str) -> int:
        return [(await client.ask(get("/", key))).status for _ in range(60)].count(200)

    clients = [await proxy.connect() for _ in range(16)]  # the kernel spreads them over both
    for key in ("a", "b"):
        counts = await asyncio.gather(*(granted(client, key) for client in clients))
        assert 20 <= sum(counts) <= 40
    for client in clients:
        await client.close()


async def test_without_a_controller_each_worker_goes_by_itself(live: Factory) -> None:
    proxy = await live(workers=1, service="filters: [{rate_limit: {rate: 1/h, burst: 2}}]")
    controller = proxy.controller()
    assert controller is not None
    os.kill(controller, signal.SIGSTOP)
    client = await proxy.connect()
    assert [(await client.ask(get())).status for _ in range(3)] == [200, 200, 429]
    os.kill(controller, signal.SIGCONT)
    await client.close()
    assert not re.findall("Traceback", proxy.output)
