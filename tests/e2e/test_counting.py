"""What is counted for a pool, and that it is counted once.

Nothing shows the counters yet, so the data plane runs in the test's own process, on its loop and over real sockets.
"""

import asyncio
import os
import random
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from proxy.config.load import load
from proxy.dataplane import wheel
from proxy.dataplane.listener import Listener
from proxy.dataplane.plane import Plane
from proxy.pools.endpoint import Endpoint
from proxy.pools.registry import EndpointRegistry
from proxy.snapshot.compile import compile_snapshot

Factory = Callable[..., Awaitable[Any]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HELD = b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\necho"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
MALFORMED = CHUNKED + b"%x\r\n%b\r\nzz\r\n" % (1 << 20, bytes(1 << 20))  # more than one read brings


@dataclass
class Inside:
    """A data plane in here, before one pool of one endpoint."""

    plane: Plane
    endpoint: Endpoint
    port: int

    @property
    def counted(self) -> dict[str, Any]:
        """Everything that has been counted; the classes of status under `requests`, zeros left out."""
        counters = self.endpoint.shared.counters
        found = {name: getattr(counters, name) for name in ("overflowed", "retries") if getattr(counters, name)}
        found |= counters.failures
        requests = {f"{number}xx": count for number, count in enumerate(counters.requests) if count}
        assert counters.duration.count == counters.total
        assert self.plane.unrouted.total == 0
        return found | {"requests": requests}

    @property
    def is_empty(self) -> bool:
        """Is nothing left behind?"""
        return self.endpoint.is_empty and not self.endpoint.shared.connections and not self.endpoint.shared.pending


@pytest_asyncio.fixture
async def inside(plain: Callable[..., str], tmp_path: Path) -> AsyncIterator[Callable[..., Inside]]:
    """A factory: inside(address, keys of the service)."""
    loop = asyncio.get_running_loop()
    begun: list[tuple[Plane, Listener]] = []

    def start(address: str, service: str) -> Inside:
        path = tmp_path / "sluice.yaml"
        path.write_text('listeners: [{bind: "127.0.0.1:0"}]\n' + plain(address, service))
        loaded = load(path, {})
        assert loaded.document, loaded.problems
        registry = EndpointRegistry()
        snapshot = compile_snapshot(loaded.document, 1, registry, random.random, token=os.urandom)
        snapshot.activate()
        plane = Plane(loop, snapshot, time.time)
        wheel.run(plane.wheel, loop.call_later, loop.time)
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        listener = Listener(plane, loaded.document.listeners[0], sock)
        listener.start()
        begun.append((plane, listener))
        return Inside(plane, next(iter(registry)), sock.getsockname()[1])

    yield start
    for plane, listener in begun:
        for connection in tuple(listener.connections):
            connection.abort()
        listener.close()
        await plane.close()


async def holding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An origin that answers all but /held."""
    while b"/held" not in await reader.readuntil(b"\r\n\r\n"):
        writer.write(ANSWER)
    await reader.read()


def breaking(answer: bytes, then: str, seen: asyncio.Event) -> Any:
    """An origin whose answer has been seen when it closes or resets; or it says no more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if then == "wait":
            await reader.read()
        await seen.wait()
        if then == "reset":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return serve


@pytest.mark.parametrize(
    ("row", "failure"),
    [
        ((SIZED, "close", ""), "upstream_reset"),
        ((CHUNKED, "close", ""), "upstream_reset"),
        ((MALFORMED, "close", ""), "upstream_malformed"),
        ((b"HTTP/1.1 200 OK\r\n\r\nhalf", "reset", ""), "upstream_reset"),
        ((SIZED, "wait", "timeouts: {body_idle: 300ms}"), "body_idle"),
        ((SIZED, "wait", "timeouts: {total: 300ms}"), "total_timeout"),
    ],
    ids=["sized", "chunked", "malformed", "until the end", "body_idle", "total"],
)
async def test_response_that_breaks_off_is_counted_once(
    inside: Any, origin: Factory, connect: Factory, row: tuple[bytes, str, str], failure: str
) -> None:
    answer, then, service = row
    seen = asyncio.Event()
    back = await origin(serve=breaking(answer, then, seen))
    proxy = inside(back.address, service)
    client = await connect(proxy.port)
    await client.send(GET)
    assert (await client.reader.readuntil(b"half")).startswith(b"HTTP/1.1 200")
    seen.set()
    await client.rest()
    await client.close()
    assert proxy.counted == {"requests": {"2xx": 1}, failure: 1}
    assert proxy.is_empty


@pytest.mark.parametrize(
    ("service", "ours"),
    [
        ("timeouts: {total: 300ms}", {"requests": {"5xx": 1, "2xx": 2}, "total_timeout": 1}),
        ("timeouts: {response: 300ms}", {"requests": {"5xx": 1, "2xx": 2}, "response_timeout": 1}),
        ("retry: {per_try: 300ms}", {"requests": {"5xx": 1, "2xx": 2}, "try_timeout": 1}),
    ],
)
async def test_request_that_timed_out_is_counted_once_and_so_are_those_behind_it(
    inside: Any, origin: Factory, connect: Factory, service: str, ours: dict[str, Any]
) -> None:
    back = await origin(serve=holding)
    proxy = inside(back.address, service)
    client = await connect(proxy.port)
    assert [(await client.ask(each)).status for each in (HELD, GET, GET)] == [504, 200, 200]
    await client.close()
    assert proxy.counted == ours
    assert proxy.is_empty


async def test_request_that_waited_in_vain_is_counted_once_and_so_are_those_behind_it(
    inside: Any, origin: Factory, connect: Factory
) -> None:
    back = await origin(serve=holding)
    proxy = inside(back.address, "limits: {connections: 1, pending: 1, pending_timeout: 300ms}")
    first, second = await connect(proxy.port), await connect(proxy.port)
    await first.send(HELD)
    await back.until(lambda: b"/held" in back.received)
    assert (await second.ask(GET)).one(b"x-sluice-reason") == b"pending_timeout"
    await first.close()
    await back.until(back.streams[0].at_eof)
    assert [(await second.ask(GET)).status for _ in range(2)] == [200, 200]
    await second.close()
    assert proxy.counted == {"requests": {"4xx": 1, "5xx": 1, "2xx": 2}}  # 499 for the one that left
    assert proxy.is_empty
