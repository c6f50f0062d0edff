"""Probes over real sockets: what goes out, and what becomes of servers that are well, ill or mad."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.control.probes import Prober, Target, ask
from proxy.pools.endpoint import Signal, State
from proxy.pools.registry import EndpointKey
from proxy.snapshot.document import Health

DEADLINE = 10.0
Factory = Callable[..., Awaitable[Any]]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Clock:
    """Real time."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)


def answers(data: bytes, *, then_hangs: bool = False) -> Serve:
    """A server that reads a head, writes `data`, and closes, or does not."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()
        if then_hangs:
            await reader.read()

    return serve


def never_ends(begin: bytes, again: bytes) -> Serve:
    """A server that writes `begin`, and then `again` for ever."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while True:
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(0)  # a drain that has room does not let others run

    return serve


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that cuts the connection."""
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


async def test_probe_sends_a_plain_request(origin: Factory) -> None:
    back = await origin(serve=answers(OK))
    path = '/a%2fb%7E?x=%20&y=+\'"z"'  # nothing of it is decoded, encoded or made upper case
    outcome = await ask(Target(back.address, "shop.internal:80", Health(path, timeout=DEADLINE)))
    assert (outcome.signal, outcome.sentence) == (Signal.PASS, f"GET {path}: 200")
    start, *fields = back.received.decode().removesuffix("\r\n\r\n").split("\r\n")
    assert start == f"GET {path} HTTP/1.1"
    sent = dict(field.split(": ", 1) for field in fields)
    assert sent.pop("User-Agent").startswith("sluice-probe/")
    assert sent == {"Host": "shop.internal:80", "Connection": "close", "Accept": "*/*"}
    assert len(fields) == 4


async def test_proxies_of_the_environment_are_not_used(origin: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    back = await origin(serve=answers(OK))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    outcome = await ask(Target(back.address, back.address, Health("/", timeout=DEADLINE)))
    assert outcome.signal is Signal.PASS


async def test_unix_socket_is_asked(tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "app.sock")
    async with server:
        outcome = await ask(Target(f"unix:{tmp_path}/app.sock", "localhost", Health("/", timeout=DEADLINE)))
    assert (outcome.signal, outcome.sentence) == (Signal.PASS, "GET /: 200")
    assert b"\r\nHost: localhost\r\n" in asked[0]


@pytest.mark.parametrize(
    ("status", "expect", "signal"),
    [
        (200, ((200, 399),), Signal.PASS),
        (399, ((200, 399),), Signal.PASS),
        (400, ((200, 399),), Signal.FAIL),
        (503, ((200, 399),), Signal.FAIL),
        (503, ((200, 204), (503, 503)), Signal.PASS),
        (204, ((200, 204), (503, 503)), Signal.PASS),
        (205, ((200, 204), (503, 503)), Signal.FAIL),
        (999, ((200, 399),), Signal.FAIL),
    ],
)
async def test_status_decides(
    origin: Factory, status: int, expect: tuple[tuple[int, int], ...], signal: Signal
) -> None:
    back = await origin(serve=answers(b"HTTP/1.1 %d Odd\r\nContent-Length: 0\r\n\r\n" % status))
    outcome = await ask(Target(back.address, back.address, Health("/healthz", timeout=DEADLINE, expect=expect)))
    assert (outcome.signal, outcome.sentence) == (signal, f"GET /healthz: {status}")


async def test_redirect_is_an_answer_and_not_followed(origin: Factory) -> None:
    back = await origin()
    back.serve = answers(
        b"HTTP/1.1 302 Found\r\nLocation: http://%s/\r\nContent-Length: 0\r\n\r\n" % back.address.encode()
    )
    outcome = await ask(Target(back.address, back.address, Health("/", timeout=DEADLINE)))
    assert (outcome.signal, outcome.sentence) == (Signal.PASS, "GET /: 302")
    assert len(back.streams) == 1


HEAD = b"HTTP/1.1 200 OK\r\n"
PASSES = {
    "http/1.0": answers(b"HTTP/1.0 200 OK\r\n\r\nok"),
    "body until it closes": answers(HEAD + b"\r\nok"),
    "chunked body": answers(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    "one early hint": answers(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK),
    "body of no known length that never ends": never_ends(HEAD + b"\r\n", b"x" * 10_000),
    "body of a length that never ends": never_ends(HEAD + b"Content-Length: 1000000000000\r\n\r\n", b"x" * 10_000),
    "chunks that never end": never_ends(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1_000),
    "compressed body that is not": answers(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok"),
    "cookies": answers(HEAD + b"Set-Cookie: \xff;=;;\r\nContent-Length: 0\r\n\r\n"),
    "stays open": answers(OK, then_hangs=True),
}
FAILS = {
    "closes": (answers(b""), "closed without an answer"),
    "closes in the head": (answers(HEAD), "closed without an answer"),
    "resets": (resets, "closed without an answer"),
    "garbage": (answers(b"\x00\x01\xff hello\r\n\r\n"), "the answer is not HTTP"),
    "other protocol": (answers(b"220 mail.example ESMTP\r\n"), "the answer is not HTTP"),
    "fields that never end": (never_ends(HEAD, b"X: y\r\n" * 1_000), "the answer is not HTTP"),
    "a field that never ends": (never_ends(HEAD + b"X: ", b"y" * 10_000), "the answer is not HTTP"),
    "body that is too short": (answers(HEAD + b"Content-Length: 9\r\n\r\nok"), "the body broke off"),
    "bad chunk": (answers(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "the answer is not HTTP"),
    "upgrade": (answers(b"HTTP/1.1 101 Odd\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "GET /: 101"),
    "bad status and no body": (answers(b"HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\n", then_hangs=True), "GET /: 503"),
}
LATE = {
    "hangs": answers(b"", then_hangs=True),
    "hangs in the head": answers(HEAD, then_hangs=True),
    "hangs in the body": answers(HEAD + b"Content-Length: 9\r\n\r\nok", then_hangs=True),
    "flood of early hints": never_ends(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100),
}


@pytest.mark.parametrize("kind", PASSES)
async def test_server_that_answers_somehow_passes(origin: Factory, kind: str) -> None:
    back = await origin(serve=PASSES[kind])
    outcome = await ask(Target(back.address, back.address, Health("/", timeout=DEADLINE)))
    assert (outcome.signal, outcome.sentence) == (Signal.PASS, "GET /: 200")


@pytest.mark.parametrize("kind", FAILS)
async def test_server_that_is_wrong_fails(origin: Factory, kind: str) -> None:
    serve, sentence = FAILS[kind]
    back = await origin(serve=serve)
    outcome = await ask(Target(back.address, back.address, Health("/", timeout=DEADLINE)))
    assert (outcome.signal, outcome.sentence, outcome.is_unforeseen) == (Signal.FAIL, sentence, False)


@pytest.mark.parametrize("kind", LATE)
async def test_server_that_takes_too_long_fails(origin: Factory, kind: str) -> None:
    back = await origin(serve=LATE[kind])
    async with asyncio.timeout(DEADLINE):
        outcome = await ask(Target(back.address, back.address, Health("/", timeout=0.2)))
    assert (outcome.signal, outcome.sentence) == (Signal.FAIL, "no answer within 0.2 s")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:1", "connection refused"),
        ("[::1]:1", None),  # refused, or no way there where the machine has no IPv6
        ("unix:/nowhere/app.sock", "no such file or directory"),
    ],
)
async def test_nobody_there_fails(address: str, sentence: str | None) -> None:
    outcome = await ask(Target(address, "shop", Health("/", timeout=DEADLINE)))
    assert (outcome.signal, outcome.is_unforeseen) == (Signal.FAIL, False)
    assert sentence in (None, outcome.sentence)


async def test_error_that_nobody_foresaw_fails() -> None:
    outcome = await ask(Target("nonsense", "shop", Health("/", timeout=DEADLINE)))
    assert (outcome.signal, outcome.is_unforeseen) == (Signal.FAIL, True)
    assert outcome.sentence.startswith("ValueError: not an address")


async def test_endpoint_is_proven_goes_down_and_comes_back(origin: Factory, free_port: Callable[[], int]) -> None:
    port, news = free_port(), asyncio.Queue[EndpointKey]()
    key = ("shop", "blue", f"127.0.0.1:{port}")
    settled = asyncio.Event()
    prober = Prober(Clock(), news.put_nowait, settled.set)
    prober.watch({key: Target(key[2], key[2], Health("/healthz", interval=0.02, timeout=DEADLINE, passes=2, fails=2))})
    try:
        async with asyncio.timeout(DEADLINE):
            await settled.wait()
            assert prober.states == {key: State.UNPROVEN}
            back = await origin(port=port, serve=answers(OK))
            assert (await news.get(), prober.states) == (key, {key: State.UP})
            await back.stop()
            assert (await news.get(), prober.states) == (key, {key: State.DOWN})
            back = await origin(port=port, serve=answers(OK))
            assert (await news.get(), prober.states) == (key, {key: State.UP})
    finally:
        await prober.close()
    last = prober.last(key)
    assert last
    assert last.sentence == "GET /healthz: 200"
    assert abs((last.at or 0.0) - time.time()) < DEADLINE


async def test_close_cuts_a_probe_under_way(origin: Factory) -> None:
    back = await origin(serve=answers(b"", then_hangs=True))
    key = ("shop", "blue", back.address)
    prober = Prober(Clock(), pytest.fail, pytest.fail)  # type: ignore[arg-type]
    prober.watch({key: Target(back.address, back.address, Health("/", timeout=600.0))})
    await back.until(lambda: back.received.endswith(b"\r\n\r\n"))
    async with asyncio.timeout(DEADLINE):
        await prober.close()
    await back.until(lambda: all(stream.at_eof() for stream in back.streams))
