"""Webhooks and smoke tests against whatever answers them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from proxy.control.jobs import _smoke_test
from proxy.control.webhooks import Webhooks
from proxy.rollouts.step import Result
from proxy.rollouts.steps.smoke import Smoke
from proxy.snapshot.document import Endpoint

Serve = Callable[..., Awaitable[int]]


class Answer(asyncio.Protocol):
    """Answers each connection with these pieces, one after the other, and ends it where `ends`."""

    def __init__(self, pieces: tuple[bytes, ...], *, ends: bool) -> None:
        self.pieces = pieces
        self.ends = ends

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """A request, or more of it."""
        if data:
            self._go_on(0)

    def _go_on(self, turn: int) -> None:
        if turn % 20 == 0 and turn // 20 < len(self.pieces):
            self.transport.write(self.pieces[turn // 20])
        if turn < 20 * len(self.pieces):
            asyncio.get_running_loop().call_soon(self._go_on, turn + 1)
        elif self.ends:
            self.transport.close()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """A factory: await serve(*pieces) is the port of a server that answers with these, and ends where `ends`."""
    servers: list[asyncio.Server] = []

    async def start(*pieces: bytes, ends: bool = True) -> int:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Answer(pieces, ends=ends), "127.0.0.1", 0)
        servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    yield start
    for server in servers:
        server.close()
    await asyncio.sleep(0)


async def ask(url: str, **how: Any) -> Result:
    return await Webhooks(lambda _: None).ask(url, {"text": "x"}, **{"retries": 0, **how})


ANSWERS = [
    (b"HTTP/1.1 204 No Content\r\n\r\n", True, "answers 204"),
    (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", False, "answers 302"),
    (b"HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\n\x1b[2J[/x]\r\n", False, "answers 500: [2J[/x]"),
    (b"HTTP/1.1 403 No\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 2000, False, "x" * 500),
    (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", False, "cannot be reached"),
    (b"what?\r\n\r\n", False, "cannot be reached"),
]


@pytest.mark.parametrize(("answer", "ok", "text"), ANSWERS)
async def test_answer_is_taken_for_what_it_is(serve: Serve, answer: bytes, ok: bool, text: str) -> None:
    result = await ask(f"http://user:pass@127.0.0.1:{await serve(answer)}/secret?token=secret")
    assert (result.ok, text in result.text) == (ok, True), result
    assert "secret" not in result.text
    assert "pass" not in result.text
    assert result.text.isprintable()


async def test_hook_that_never_answers_is_given_up(serve: Serve) -> None:
    result = await ask(f"http://127.0.0.1:{await serve(ends=False)}/", patience=0.05)
    assert (result.ok, "does not answer within 0.05 s" in result.text) == (False, True)


@pytest.mark.parametrize("url", ["http://host:secret/x", "http://host:99999/secret", "http://[secret/"])
async def test_url_that_is_none_is_not_told(url: str) -> None:
    result = await ask(url)
    assert (result.ok, "secret" in result.text) == (False, False)


class Inbox(asyncio.Protocol):
    """A hook that takes what it is told, and refuses the first `fails` times with 503."""

    def __init__(self, got: list[str], fails: list[int]) -> None:
        self.got = got
        self.fails = fails
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """A request, or more of it."""
        self.data += data
        head, found, body = self.data.partition(b"\r\n\r\n")
        if not found or not body.endswith(b"}"):
            return
        assert head
        if self.fails[0]:
            self.fails[0] -= 1
            self.transport.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            self.got.append(json.loads(body)["text"])
            self.transport.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        self.transport.close()


async def test_what_one_rollout_tells_arrives_in_order_also_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.control.webhooks._PAUSES", (0.0, 0.0, 0.0))
    got: list[str] = []
    fails = [1]
    tasks: list[asyncio.Task[Any]] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Inbox(got, fails), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    hooks = Webhooks(lambda work: tasks.append(asyncio.ensure_future(work)))
    texts = [f"event {number}" for number in range(20)]
    for text in texts:
        hooks.tell(url, {"text": text, "rollout": "r"})
    await asyncio.gather(*tasks)
    server.close()
    assert (got, hooks.lost) == (texts, 0)


async def test_smoke_test_reads_a_body_that_comes_in_pieces(serve: Serve) -> None:
    port = await serve(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"a": ', b'"b"', b"}")
    step = Smoke(expect_json={"a": "b"}, contains='"b"')
    (job,) = step.begin()
    assert await _smoke_test(Endpoint(f"127.0.0.1:{port}"), job.options) == ""  # type: ignore[union-attr]
