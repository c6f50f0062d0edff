"""Endpoints that come, drain and go under constant load; what runs on them ends in peace, or at the deadline."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from live import colour_server

Factory = Callable[..., Awaitable[Any]]

ROUNDS = 50 if os.environ.get("SLUICE_SOAK") else 5
SHOP = "/v1/services/shop"


async def service(proxy: Any) -> Any:
    status, body = await proxy.call("GET", SHOP)
    assert status == 200
    return body


async def until_service(proxy: Any, holds: Callable[[Any], bool]) -> None:
    end = asyncio.get_running_loop().time() + 20
    while not holds(found := await service(proxy)):
        assert asyncio.get_running_loop().time() < end, found
        await asyncio.sleep(0.02)


async def test_endpoints_come_drain_and_go_without_a_failed_request(live: Factory) -> None:
    proxy = await live(workers=2)
    tasks: set[asyncio.Task[None]] = set()
    server = await colour_server("more", tasks)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    endpoint = f"{SHOP}/pools/blue/endpoints"
    tunnel = await proxy.tunnel()
    async with proxy.load(6) as load:
        for _ in range(ROUNDS):
            assert (await proxy.call("POST", endpoint, {"address": address}))[0] == 200
            while "more" not in await proxy.colours(4):
                pass
            assert (await proxy.call("POST", f"{endpoint}/{address}/drain", {}))[0] == 200
            assert await proxy.colours(10) == {"blue"}
            assert (await proxy.call("DELETE", f"{endpoint}/{address}"))[0] == 200
        await load.more(50)
    assert not load.failures
    print(f"{ROUNDS} endpoints added, drained and removed")
    await tunnel.echo(b"not cut")
    await tunnel.close()
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_drain_shows_its_progress_and_a_removed_endpoint_stays_visible_until_it_is_empty(live: Factory) -> None:
    proxy = await live()
    tunnel = await proxy.tunnel()
    assert (await proxy.call("PUT", f"{SHOP}/split", {"blue": 1, "green": 1}))[0] == 200
    (blue,) = (await service(proxy))["pools"]["blue"]["endpoints"]
    status, body = await proxy.call("POST", f"{SHOP}/pools/blue/drain", {"deadline": "1h"})
    assert status == 200
    assert body["pools"]["blue"]["state"] == "draining"
    (draining,) = body["pools"]["blue"]["endpoints"]
    assert (draining["state"], draining["tunnels"]) == ("draining", 1)
    assert await proxy.colours(10) == {"green"}
    await tunnel.echo(b"goes on")
    await tunnel.close()
    await until_service(proxy, lambda shop: shop["pools"]["blue"]["state"] == "drained")
    assert (await proxy.call("POST", f"{SHOP}/pools/blue/restore", {}))[0] == 200
    await until_service(proxy, lambda shop: shop["pools"]["blue"]["endpoints"][0]["state"] == "up")
    assert (await service(proxy))["pools"]["blue"]["endpoints"][0]["address"] == blue["address"]


async def test_deadline_of_a_drain_closes_tunnels_and_outlives_the_controller(live: Factory) -> None:
    proxy = await live()
    tunnel = await proxy.tunnel()
    assert (await proxy.call("PUT", f"{SHOP}/split", {"blue": 1, "green": 1}))[0] == 200
    assert (await proxy.call("POST", f"{SHOP}/pools/blue/drain", {"deadline": "2s"}))[0] == 200
    before = proxy.controller()
    os.kill(before, 9)
    await proxy.until(lambda: proxy.controller() not in (None, before))
    assert await tunnel.client.rest() == b""
    await tunnel.close()
    await until_service(proxy, lambda shop: shop["pools"]["blue"]["state"] == "drained")


async def test_drain_that_would_leave_nowhere_to_go_needs_force(live: Factory) -> None:
    proxy = await live()
    status, problem = await proxy.call("POST", f"{SHOP}/pools/blue/drain", {})
    assert status == 409
    assert "force" in problem["detail"]
    assert (await proxy.call("POST", f"{SHOP}/pools/blue/drain?force=true", {}))[0] == 200
    status, problem = await proxy.call("POST", f"{SHOP}/flip", {"to": "blue"})
    assert status == 409
    assert (await proxy.call("POST", f"{SHOP}/flip", {"to": "green"}))[0] == 200
    assert await proxy.colours(5) == {"green"}
