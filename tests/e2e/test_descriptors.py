"""A proxy that runs out of descriptors goes on with what it has, and takes up again where it can."""

import asyncio
import resource
from collections.abc import Awaitable, Callable
from typing import Any

Factory = Callable[..., Awaitable[Any]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_proxy_without_descriptors_serves_whom_it_has_and_blames_no_endpoint(
    sluice: Factory, origin: Factory, plain: Any
) -> None:
    back = await origin()
    proxy = await sluice(plain(back.address, "ejection: {consecutive_errors: 1}\ntimeouts: {upstream_idle: 1m}"))
    first = await proxy.connect()
    assert (await first.ask(GET)).status == 200
    resource.prlimit(proxy.worker, resource.RLIMIT_NOFILE, (40, 40))
    crowd = [await proxy.connect() for _ in range(60)]
    async with asyncio.timeout(15):
        while "cannot accept" not in proxy.output:
            await asyncio.sleep(0.01)
    assert (await first.ask(GET)).status == 200, "its connection upstream is there already"
    for each in crowd:
        await each.close()
    later = await proxy.connect()
    assert (await later.ask(GET)).status == 200
    assert "ejected" not in proxy.output
    assert "Traceback" not in proxy.output
    for each in (first, later):
        await each.close()
