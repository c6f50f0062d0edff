"""Listening sockets that close under constant load: who asks once and never again still loses nothing."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from live import GET

Factory = Callable[..., Awaitable[Any]]

ROUNDS = 10 if os.environ.get("SLUICE_SOAK") else 1
ONCE = GET.replace(b"Host: a", b"Host: a\r\nConnection: close")


@dataclass
class Patrons:
    """Clients that never retry. Each asks until it is refused, or while `goes_on`.

    `lost` are requests without their whole response, and connections that were neither taken nor refused.
    """

    proxy: Any
    goes_on: bool = True
    answered: int = 0
    told_to_leave: int = 0
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def more(self, count: int) -> None:
        """Wait until so many more requests were answered."""
        wanted = self.answered + count
        async with asyncio.timeout(30):
            while self.answered < wanted:
                self.news.clear()
                await self.news.wait()

    async def ask(self, request: bytes) -> None:
        """One client: connect, ask until the proxy says close, connect again; until nobody listens."""
        while self.goes_on:
            try:
                client = await self.proxy.connect()
            except ConnectionRefusedError:
                self.refused += 1
                return
            except ConnectionError as error:
                self.lost.append(repr(error))
                continue
            try:
                await self._on(client, request)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                self.lost.append(repr(error))
            await client.close()

    async def _on(self, client: Any, request: bytes) -> None:
        while self.goes_on:
            response = await client.ask(request)
            assert (response.status, response.body) == (200, b"blue")
            self.answered += 1
            self.news.set()
            if response.one(b"connection") == b"close":
                self.told_to_leave += request is GET
                assert await client.reader.read() == b""  # and it ends in peace: a reset would raise
                return


async def test_proxy_that_ends_under_load_loses_no_request_of_clients_that_never_retry(live: Factory) -> None:
    for _ in range(ROUNDS):
        proxy = await live(workers=2, extra="shutdown: {idle: 10s}")
        patrons = Patrons(proxy)
        async with asyncio.TaskGroup() as group:
            for number in range(24):
                group.create_task(patrons.ask((GET, ONCE)[number % 2]))
            await patrons.more(200)
            assert patrons.refused == 0
            proxy.process.send_signal(signal.SIGTERM)
        assert patrons.lost == []
        assert patrons.refused == 24
        assert patrons.told_to_leave >= 12
        assert await proxy.ended() == 0
        assert "Traceback" not in proxy.output


async def test_workers_that_become_fewer_lose_no_new_connection(live: Factory) -> None:
    proxy = await live(workers=1, extra="shutdown: {idle: 10s}")
    patrons = Patrons(proxy)
    text = proxy.text()
    async with asyncio.TaskGroup() as group:
        for _ in range(12):
            group.create_task(patrons.ask(ONCE))
        for _ in range(ROUNDS):
            for count in (3, 1):
                proxy.write(text.replace("workers: 1", f"workers: {count}"))
                assert (await proxy.call("POST", "/v1/reload"))[0] == 200
                await proxy.until_workers(count, without=[])
                await proxy.until(lambda count=count: len(proxy.workers()) == count)
                await patrons.more(50)
        patrons.goes_on = False
    assert patrons.lost == []
    assert patrons.refused == 0


async def test_workers_that_go_before_they_serve_lose_no_new_connection(live: Factory) -> None:
    proxy = await live(workers=1, extra="shutdown: {idle: 10s}")
    patrons = Patrons(proxy)
    text = proxy.text()
    async with asyncio.TaskGroup() as group:
        for _ in range(12):
            group.create_task(patrons.ask(ONCE))
        for count in (4, 1) * 3 * ROUNDS:  # answered when those that serve know it, and others are still starting
            proxy.write(text.replace("workers: 1", f"workers: {count}"))
            assert (await proxy.call("POST", "/v1/reload"))[0] == 200
            await patrons.more(50)
        await proxy.until(lambda: len(proxy.workers()) == 1)
        patrons.goes_on = False
    assert patrons.lost == []
    assert patrons.refused == 0
    assert "Traceback" not in proxy.output


async def test_listener_that_comes_while_the_proxy_ends_is_refused_and_a_flip_is_not(
    live: Factory, free_port: Callable[[], int]
) -> None:
    proxy = await live(extra="shutdown: {delay: 60s, idle: 0s}")
    proxy.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        while await proxy.admin("/readyz") != 503:
            await asyncio.sleep(0)
    proxy.write(proxy.text().replace("[{bind:", f"[{{bind: 127.0.0.1:{free_port()}}}, {{bind:"))
    status, problem = await proxy.call("POST", "/v1/reload")
    assert status == 422
    assert "the proxy is ending" in problem["problems"][0]
    assert (await proxy.call("POST", "/v1/services/shop/flip", {"to": "green"}))[0] == 200
    assert await proxy.colours(5) == {"green"}
    assert "Traceback" not in proxy.output
    proxy.process.kill()
    await proxy.ended()
