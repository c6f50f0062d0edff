"""`concurrency_limit` on real connections: who waits, who is turned away, and who gives a place back."""

import asyncio
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from live import SWITCHED, UPGRADE

Factory = Callable[..., Awaitable[Any]]

SEEN = b"GET /seen HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\necho"


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def reason(response: Any) -> tuple[int, bytes | None]:
    return response.status, response.one(b"x-sluice-reason")


def text(address: str, options: str) -> str:
    return (
        f"services: {{app: {{pools: {{only: {{endpoints: ['{address}']}}}}, "
        f"filters: [{{concurrency_limit: {options}}}]}}}}\n"
        "routes: [{match: {path: /seen}, respond: {status: 204}}, {service: app}]\n"
    )


class Held:
    """An origin that answers when it is let, and knows what it was asked."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.paths: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            self.paths += re.findall(r"GET (\S+)", head.decode())
            if b"websocket" in head:
                writer.write(SWITCHED)
                await reader.read()
                return
            await self.release.wait()
            writer.write(ANSWER)


async def test_place_goes_to_who_has_waited_longest_and_who_left_is_passed_over(
    sluice: Factory, origin: Factory
) -> None:
    held = Held()
    back = await origin(serve=held.serve)
    proxy = await sluice(text(back.address, "{limit: 1, queue: 2, timeout: 15s}"))
    first, left, second, third = [await proxy.connect() for _ in range(4)]
    await first.send(get("/first"))
    await back.until(lambda: held.paths == ["/first"])
    for client, path in ((left, "/left"), (second, "/second")):
        assert (await client.ask(SEEN)).status == 204
        await client.send(get(path))
        assert (await proxy.ask(SEEN)).status == 204  # the proxy has read what came before
    refused = await third.ask(get("/refused"))
    assert reason(refused) == (503, b"concurrency")
    assert refused.one(b"retry-after") == b"1"
    # A reset: whoever only stops sending may still want its answer.
    left.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await left.close()
    assert (await proxy.ask(SEEN)).status == 204
    await third.send(get("/third"))
    assert (await proxy.ask(SEEN)).status == 204
    held.release.set()
    assert [reason(await client.response()) for client in (first, second, third)] == [(200, None)] * 3
    assert held.paths == ["/first", "/second", "/third"]
    for client in (first, second, third):
        await client.close()


async def test_wait_has_an_end_and_a_client_that_goes_gives_its_place_back(sluice: Factory, origin: Factory) -> None:
    held = Held()
    back = await origin(serve=held.serve)
    proxy = await sluice(text(back.address, "{limit: 1, queue: 1, timeout: 200ms}"))
    first = await proxy.connect()
    await first.send(get("/first"))
    await back.until(lambda: held.paths == ["/first"])
    for _ in range(3):
        late = await proxy.ask(get("/late"))
        assert (reason(late), late.one(b"retry-after")) == ((503, b"concurrency"), b"1")
    await first.close()
    held.release.set()
    async with asyncio.timeout(15):
        while (await proxy.ask(get("/after"))).status != 200:
            pass
    assert "/late" not in held.paths


async def test_tunnel_is_under_way_until_it_begins(sluice: Factory, origin: Factory) -> None:
    held = Held()
    held.release.set()
    back = await origin(serve=held.serve)
    proxy = await sluice(text(back.address, "{limit: 1, queue: 0}"))
    tunnels = []
    for _ in range(3):
        tunnels.append(await proxy.connect())
        assert (await tunnels[-1].ask(UPGRADE)).status == 101
    assert reason(await proxy.ask(get("/beside"))) == (200, None)
    for tunnel in tunnels:
        await tunnel.close()
