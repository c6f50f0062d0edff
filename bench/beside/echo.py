#!/usr/bin/env python3
"""WebSocket echo, both ends: `echo.py serve PORT`, and `echo.py load PORT CONNECTIONS SECONDS`, which counts messages.

Messages of 64 bytes, each sent when the one before it came back. Masked with zeros (RFC 6455 section 5.3 lets the
client choose), so that the server need only leave the mask out.
"""

import asyncio
import base64
import hashlib
import json
import os
import re
import sys
import time
from functools import partial
from typing import cast

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT = b"x" * 64
MASKED = b"\x82" + bytes([0x80 | len(TEXT)]) + bytes(4) + TEXT
PLAIN = b"\x82" + bytes([len(TEXT)]) + TEXT
REFUSED = b"HTTP/1.1 200 OK\r\nX-Colour: echo\r\nContent-Length: 2\r\n\r\nok"


class Server(asyncio.Protocol):
    """Answers what is no handshake with 200, and every whole message with itself."""

    def __init__(self) -> None:
        self._waiting = b""
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        if not self._is_open:
            self._shake_hands()
        if self._is_open:
            count = len(self._waiting) // len(MASKED)
            self._waiting = self._waiting[count * len(MASKED) :]
            if count:
                self._transport.write(PLAIN * count)

    def _shake_hands(self) -> None:
        head, end, rest = self._waiting.partition(b"\r\n\r\n")
        if not end:
            return
        self._waiting = rest
        key = re.search(rb"(?i)\r\nsec-websocket-key: *(\S+)", head)
        if key is None:
            self._transport.write(REFUSED)
            return
        accept = base64.b64encode(hashlib.sha1(key[1] + MAGIC, usedforsecurity=False).digest())
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
        )
        self._is_open = True


class Client(asyncio.Protocol):
    """Sends a message for each that came back, and counts."""

    def __init__(self) -> None:
        self.count = 0
        self.waiting = b""
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        if not self.is_open:
            head, end, rest = self.waiting.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise SystemExit(head.decode("latin-1"))
            self.is_open, self.waiting = True, rest
            self._transport.write(MASKED)
        while len(self.waiting) >= len(PLAIN):
            assert self.waiting.startswith(PLAIN)
            self.waiting = self.waiting[len(PLAIN) :]
            self.count += 1
            self._transport.write(MASKED)


def _same(client: Client) -> Client:
    return client


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


async def load(port: int, connections: int, seconds: float) -> None:
    """Print what was counted, as JSON."""
    clients = [Client() for _ in range(connections)]
    for client in clients:
        await asyncio.get_running_loop().create_connection(partial(_same, client), "127.0.0.1", port)
    began = time.monotonic()
    before = sum(client.count for client in clients)
    await asyncio.sleep(seconds)
    took, count = time.monotonic() - began, sum(client.count for client in clients) - before
    idle = sum(client.count == 0 for client in clients)
    print(json.dumps({"requests": count, "rate": count / took, "silent": idle}))


def main() -> None:
    import uvloop  # noqa: PLC0415 - the module is also imported for its path

    what, *numbers = sys.argv[1:]
    work = serve(int(numbers[0])) if what == "serve" else load(int(numbers[0]), int(numbers[1]), float(numbers[2]))
    uvloop.run(work)


if __name__ == "__main__":
    main()
