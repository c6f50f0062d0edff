"""Who is alive decides where requests go: probes, ejections, names, slow starts, in every worker at once."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest_asyncio

Factory = Callable[..., Awaitable[Any]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass
class Moody:
    """An origin that answers its name, and to probes what it is told to."""

    name: str
    well: bool = True
    fails: bool = False
    asked: list[bytes] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                probe = head.startswith(b"GET /healthz ")
                if probe:
                    self.asked.append(head)
                status = b"200 OK" if (self.well if probe else not self.fails) else b"503 No"
                body = self.name.encode()
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@pytest_asyncio.fixture
async def moody() -> AsyncIterator[Callable[..., Awaitable[Moody]]]:
    """A factory of such origins: await moody(name, host)."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()

    async def start(name: str, host: str = "127.0.0.1", port: int = 0, **how: Any) -> Moody:
        origin = Moody(name, **how)

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(origin.serve(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            task.add_done_callback(lambda _: writer.close())  # also of one that was cancelled before it began

        servers.append(await asyncio.start_server(accept, host, port))
        origin.port = servers[-1].sockets[0].getsockname()[1]
        return origin

    yield start
    for server in servers:
        server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


HEALTH = "health: {path: /healthz, interval: 100ms, timeout: 1s, passes: 1, fails: 1}"


def config(blue: list[str], green: list[str], service: str, workers: int = 2) -> str:
    return (
        f"workers: {workers}\nservices:\n  shop:\n    pools:\n"
        f"      blue: {{endpoints: [{', '.join(blue)}]}}\n      green: {{endpoints: [{', '.join(green)}]}}\n"
        f"    split: {{blue: 100}}\n    {service}\nroutes:\n  - service: shop\n"
    )


async def names(proxy: Any, count: int) -> Counter[str]:
    """Who has answered so many requests on new connections."""
    return Counter([(await proxy.ask(GET)).body.decode() for _ in range(count)])


async def until_names(proxy: Any, wanted: set[str]) -> None:
    """Until exactly these answer."""
    end = asyncio.get_running_loop().time() + 20
    while (found := set(await names(proxy, 12))) != wanted:
        assert asyncio.get_running_loop().time() < end, found


async def test_endpoint_that_is_ill_gets_nothing_and_comes_back(sluice: Factory, moody: Factory) -> None:
    one, two, other = await moody("one"), await moody("two"), await moody("other")
    blue = [f"127.0.0.1:{one.port}", f"127.0.0.1:{two.port}"]
    proxy = await sluice(config(blue, [f"127.0.0.1:{other.port}"], HEALTH))
    await until_names(proxy, {"one", "two"})
    one.well = False
    await until_names(proxy, {"two"})
    two.well = False
    await until_names(proxy, {"one", "two"})  # no other pool has weight: any that was proven is better than none
    two.well = True
    await until_names(proxy, {"two"})
    one.well = True
    await until_names(proxy, {"one", "two"})
    assert b"User-Agent: sluice-probe" in one.asked[0]


async def test_proxy_is_ready_after_the_first_round_and_unproven_endpoints_get_nothing(
    sluice: Factory, moody: Factory
) -> None:
    well, ill = await moody("well"), await moody("ill", well=False)
    blue = [f"127.0.0.1:{well.port}", f"127.0.0.1:{ill.port}"]
    proxy = await sluice(config(blue, [f"127.0.0.1:{well.port}"], HEALTH))
    assert set(await names(proxy, 20)) == {"well"}
    assert len(ill.asked) >= 1


async def test_endpoint_that_keeps_failing_is_ejected_in_every_worker(sluice: Factory, moody: Factory) -> None:
    one, two, other = await moody("one", fails=True), await moody("two"), await moody("other")
    blue = [f"127.0.0.1:{one.port}", f"127.0.0.1:{two.port}"]
    service = (
        "ejection: {consecutive_errors: 2, base: 60s, max: 60s}\n    balance: round_robin\n    retry: {retries: 0}"
    )
    proxy = await sluice(config(blue, [f"127.0.0.1:{other.port}"], service))
    await until_names(proxy, {"two"})
    assert set(await names(proxy, 30)) == {"two"}


async def test_last_usable_endpoint_is_never_ejected(sluice: Factory, moody: Factory) -> None:
    one, other = await moody("one", fails=True), await moody("other")
    proxy = await sluice(
        config([f"127.0.0.1:{one.port}"], [f"127.0.0.1:{other.port}"], "ejection: {consecutive_errors: 1}")
    )
    assert set(await names(proxy, 20)) == {"one"}


async def test_every_address_of_a_name_is_an_endpoint(sluice: Factory, moody: Factory) -> None:
    one = await moody("one", host="127.0.0.1")
    proxy = await sluice(config([f"localhost:{one.port}"], [f"127.0.0.1:{one.port}"], HEALTH))
    assert set(await names(proxy, 4)) == {"one"}
    assert f"Host: localhost:{one.port}".encode() in one.asked[0]


async def test_name_that_does_not_resolve_is_told_and_the_rest_serves(sluice: Factory, moody: Factory) -> None:
    one = await moody("one")
    blue = [f"127.0.0.1:{one.port}", "no-such-name.invalid:80"]
    proxy = await sluice(config(blue, [f"127.0.0.1:{one.port}"], ""))
    assert set(await names(proxy, 10)) == {"one"}
    assert "no-such-name.invalid" in proxy.output


async def test_endpoint_on_a_unix_socket_serves_and_is_probed(sluice: Factory, tmp_path: Any) -> None:
    origin = Moody("unix")
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.get_running_loop().create_task(origin.serve(reader, writer)))

    server = await asyncio.start_unix_server(accept, tmp_path / "origin.sock")
    try:
        proxy = await sluice(config([f"unix:{tmp_path}/origin.sock"], ["127.0.0.1:1"], HEALTH))
        assert set(await names(proxy, 4)) == {"unix"}
        assert origin.asked
        await proxy.stop()
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_controller_that_dies_takes_no_endpoint_out(live: Factory) -> None:

    proxy = await live(service="health: {path: /, interval: 100ms}")
    async with proxy.load(4) as load:
        before = proxy.controller()
        os.kill(before, signal.SIGKILL)
        await proxy.until(lambda: proxy.controller() not in (None, before))
        await proxy.until_ready()
        await load.more(100)
    assert not load.failures


async def test_endpoint_that_is_restored_is_proven_again_first(live: Factory, moody: Factory) -> None:
    one, two = await moody("one"), await moody("two")
    proxy = await live(service=HEALTH)
    lines = proxy.text().split("\n")
    blue = f"      blue: {{endpoints: [127.0.0.1:{one.port}, 127.0.0.1:{two.port}]}}"
    proxy.write("\n".join(blue if line.startswith("      blue:") else line for line in lines))
    assert (await proxy.call("POST", "/v1/reload"))[0] == 200
    await until_names(proxy, {"one", "two"})
    endpoint = f"/v1/services/shop/pools/blue/endpoints/127.0.0.1:{one.port}"
    assert (await proxy.call("POST", f"{endpoint}/drain", {}))[0] == 200
    assert set(await names(proxy, 10)) == {"two"}
    one.well = False
    assert (await proxy.call("POST", f"{endpoint}/restore", {}))[0] == 200
    probes = len(one.asked)
    while len(one.asked) < probes + 2:
        assert set(await names(proxy, 4)) == {"two"}
    one.well = True
    await until_names(proxy, {"one", "two"})
