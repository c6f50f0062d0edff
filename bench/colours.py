#!/usr/bin/env python3
"""Backends that say who they are: `colours.py blue/a=9001 canary/c=9003`, each a colour, a name and a port of loopback.

`/large…` is 256 KiB, `/slow…` comes after 100 ms, `/-/fail/30` makes 30 % of its later answers a 500.
All carry X-Colour and X-Endpoint, and tell in X-Received how long the body was.
"""

import asyncio
import random
import re
import sys
from typing import cast

LARGE = b"x" * 262_144
SLOW = 0.1


class Backend:
    """One address of one colour."""

    def __init__(self, colour: str, name: str) -> None:
        self._fields = f"X-Colour: {colour}\r\nX-Endpoint: {name}\r\n"
        self._failing = 0.0

    def answer(self, path: str, received: int) -> bytes:
        """The whole response."""
        told = re.fullmatch(r"/-/fail/(\d+)", path)
        if told:
            self._failing = int(told[1]) / 100
        fails = not told and random.random() < self._failing
        body = LARGE if "/large" in path and not fails else b"here"
        status = "500 Bad Release" if fails else "200 OK"
        head = f"HTTP/1.1 {status}\r\n{self._fields}X-Received: {received}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


class Connection(asyncio.Protocol):
    """Requests one after the other; bodies have a Content-Length."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._waiting = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        end = self._waiting.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._waiting[:end])
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        received = int(length[1]) if length else 0
        if len(self._waiting) < end + 4 + received:
            return
        del self._waiting[: end + 4 + received]
        path = head.split(b" ", 2)[1].decode("latin-1")
        response = self._backend.answer(path, received)
        if "/slow" in path:
            asyncio.get_running_loop().call_later(SLOW, self._transport.write, response)
        else:
            self._transport.write(response)


async def serve(backends: list[str]) -> None:
    """All of them until told to end."""
    loop = asyncio.get_running_loop()
    for each in backends:
        who, _, port = each.partition("=")
        backend = Backend(*who.split("/"))
        await loop.create_server(lambda backend=backend: Connection(backend), "127.0.0.1", int(port), backlog=4096)  # type: ignore[misc]
    print("ready", flush=True)
    await loop.create_future()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(sys.argv[1:]))
