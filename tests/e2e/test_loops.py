"""asyncio's own loop serves as uvloop does."""

import hashlib
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_loop_serves_streams_and_ends(sluice: Factory, origin: Factory, plain: Any, loop: str) -> None:
    body = os.urandom(3_000_000)

    def answer(message: Any) -> bytes:
        digest = hashlib.sha256(message.body).hexdigest().encode()
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n%b\r\n0\r\n\r\n" % digest

    back = await origin(answer=answer)
    proxy = await sluice(plain(back.address), {"SLUICE_LOOP": loop})
    client = await proxy.connect()
    head = b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    for _ in range(2):
        response = await client.ask(head + body)
        assert response.body.decode() == hashlib.sha256(body).hexdigest()
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [(await client.response()).status for _ in range(2)] == [200, 200]
    await client.close()
    proxy.process.terminate()
    assert await proxy.ended() == 0
    assert "Traceback" not in proxy.output
