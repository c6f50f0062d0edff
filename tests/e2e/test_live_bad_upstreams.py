"""Upstreams that hang, reset, say half or answer too soon, while all is changed: sound endpoints never pay."""

import asyncio
import os
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

Factory = Callable[..., Awaitable[Any]]

ROUNDS = 100 if os.environ.get("SLUICE_SOAK") else 10
BODY = 300_000
ASK = b"POST /%b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" + bytes(BODY)


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Read everything, say nothing."""
    while await reader.read(65536):
        pass


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection when a request comes."""
    await reader.read(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Promise eight bytes, give four."""
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(BODY)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
    await writer.drain()


async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer to the head, and read nothing more."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
    await writer.drain()


ILL = {"hang": hang, "reset": reset, "half": half, "early": early}


class Visitors:
    """Clients of the ill upstreams: `seen` counts what became of their requests."""

    def __init__(self, proxy: Any) -> None:
        self.proxy = proxy
        self.seen: Counter[tuple[str, str]] = Counter()
        self.goes_on = True

    async def visit(self, name: str) -> None:
        """Ask one of them again and again."""
        while self.goes_on:
            client = await self.proxy.connect()
            await client.send(ASK % (name.encode(), BODY))
            try:
                self.seen[name, str((await client.response(b"POST")).status)] += 1
            except (ConnectionError, asyncio.IncompleteReadError):
                self.seen[name, "broken"] += 1
            await client.close()


async def test_ill_upstreams_cost_sound_ones_no_request_while_all_is_changed(live: Factory, origin: Factory) -> None:
    ill = {name: await origin(serve=serve) for name, serve in ILL.items()}
    proxy = await live(workers=2)
    services = "".join(
        f"  {name}:\n    pools: {{only: {{endpoints: ['{each.address}']}}}}\n"
        "    timeouts: {response: 300ms}\n    limits: {pending: 4, connections: 8}\n"
        for name, each in ill.items()
    )
    routes = "".join(f"  - {{match: {{path: /{name}}}, service: {name}}}\n" for name in ill)
    text = proxy.text().replace("services:\n", f"services:\n{services}").replace("routes:\n", f"routes:\n{routes}")
    proxy.write(text)
    assert (await proxy.call("POST", "/v1/reload"))[0] == 200
    visitors = Visitors(proxy)
    async with asyncio.TaskGroup() as group, proxy.load(4) as load:
        tasks = [group.create_task(visitors.visit(name)) for name in ill for _ in range(2)]
        for number in range(ROUNDS):
            colour = ("green", "blue")[number % 2]
            assert (await proxy.call("POST", "/v1/services/shop/flip", {"to": colour}))[0] == 200
            proxy.write(text.replace("response: 300ms", f"response: {300 + number}ms"))
            assert (await proxy.call("POST", "/v1/reload"))[0] == 200
            assert await proxy.colours(3) == {colour}
        async with asyncio.timeout(60):
            while {name for name, _ in visitors.seen} != set(ill):
                await load.more(1)
        await load.more(50)
        visitors.goes_on = False
        await asyncio.gather(*tasks)
    assert load.failures == []
    assert {status for name, status in visitors.seen if name == "hang"} == {"504"}
    assert {status for name, status in visitors.seen if name == "reset"} <= {"502", "504"}
    assert ("reset", "502") in visitors.seen
    assert {status for name, status in visitors.seen if name == "half"} <= {"broken", "504"}
    assert ("half", "broken") in visitors.seen
    assert {status for name, status in visitors.seen if name == "early"} <= {"413", "502", "504"}
    assert ("early", "413") in visitors.seen
    assert "Traceback" not in proxy.output
