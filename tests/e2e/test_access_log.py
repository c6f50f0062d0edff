"""The access log of a running proxy: what it says of each request, and that none is lost on the way."""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]
GET = b"GET /a?token=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: me\r\nX-Request-Id: r-1\r\n\r\n"


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def files_of(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob("a.log*"))]


async def lines(path: Path, count: int) -> list[str]:
    """The file, once it has so many lines."""
    async with asyncio.timeout(15):
        while (text := text_of(path)).count("\n") < count:
            await asyncio.sleep(0.02)
    return text.splitlines()


async def test_request_is_logged_with_all_there_is_to_tell(
    sluice: Factory, origin: Factory, plain: Callable[..., str], tmp_path: Path
) -> None:
    back = await origin(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    proxy = await sluice(plain(back.address) + "access_log: logs.json\n")
    assert (await proxy.ask(GET)).status == 200
    (line,) = await lines(tmp_path / "logs.json", 1)
    told = json.loads(line)
    assert (told["method"], told["target"], told["host"], told["protocol"]) == (
        "GET", "/a?token=1", "shop.example", "HTTP/1.1",
    )  # fmt: skip
    assert (told["status"], told["sent"], told["attempts"], told["endpoint"]) == (200, 5, 1, back.address)
    assert (told["client"], told["user_agent"], told["reason"]) == ("127.0.0.1", "me", None)
    assert (told["service"], told["pool"]) == ("app", "only")
    assert told["total"] >= told["first_byte"] >= 0  # in whole milliseconds of the loop's clock


async def test_what_was_no_request_is_logged_too(
    sluice: Factory, origin: Factory, plain: Callable[..., str], tmp_path: Path
) -> None:
    back = await origin(answer=b"")
    text = plain(back.address) + "access_log: {path: a.log, format: combined}\n"
    proxy = await sluice(text)
    assert (await proxy.ask(b"GET /\x01\r\n HTTP/9 \r\n\r\n")).status == 400
    assert (await proxy.ask(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")).status == 501
    bad, connect = await lines(tmp_path / "a.log", 2)
    assert bad.startswith("127.0.0.1 - - [")
    assert '] "-" 400 ' in bad
    assert '"CONNECT a:1 HTTP/1.1" 501 ' in connect


async def test_only_what_is_asked_for_is_logged(
    sluice: Factory, origin: Factory, plain: Callable[..., str], tmp_path: Path
) -> None:
    back = await origin(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    proxy = await sluice(
        plain(back.address) + "access_log: {path: a.log, format: '{status} {path}', if: {status: 400-599}}\n"
    )
    assert (await proxy.ask(GET)).status == 200
    assert (await proxy.ask(b"nonsense\r\n\r\n")).status == 400
    assert await proxy.stop() == 0
    assert (tmp_path / "a.log").read_text() == "400 -\n"


@pytest.mark.parametrize("workers", [1, 2])
async def test_rotation_under_load_loses_no_line(
    sluice: Factory, origin: Factory, plain: Callable[..., str], tmp_path: Path, workers: int
) -> None:
    back = await origin(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    proxy = await sluice(f"workers: {workers}\naccess_log: {{path: a.log, format: '{{path}}'}}\n" + plain(back.address))
    path = tmp_path / "a.log"
    sent: list[str] = []

    async def load(client: int) -> None:
        connection = await proxy.connect()
        while len(sent) < 1200 or not rotating.done():
            target = f"/{client}/{len(sent)}"
            sent.append(target)
            assert (await connection.ask(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())).status == 200
        await connection.close()

    async def rotate() -> None:
        await lines(path, 1)
        for number in range(5):
            path.rename(tmp_path / f"a.log.{number}")
            os.kill(proxy.process.pid, signal.SIGUSR1)
            await lines(path, 1)

    rotating = asyncio.create_task(rotate())
    await asyncio.gather(*(load(client) for client in range(4)), rotating)
    assert await proxy.stop() == 0
    files = files_of(tmp_path)
    assert len(files) == 6
    assert sorted(line for each in files for line in each.splitlines()) == sorted(sent)


async def test_log_that_cannot_be_opened_is_refused_with_its_place_and_traffic_goes_on(
    sluice: Factory, origin: Factory, plain: Callable[..., str], api: Callable[..., Any], tmp_path: Path
) -> None:
    back = await origin(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    proxy = await sluice(plain(back.address) + "access_log: a.log\n")
    proxy.config.write_text(proxy.config.read_text().replace("a.log", "none/a.log"))
    said = await api(proxy)("POST", "/v1/reload")
    assert said.status == 422
    assert "none/a.log cannot be opened: no such file or directory" in str(said.body)
    line = proxy.config.read_text()[: proxy.config.read_text().index("none/")].count("\n") + 1
    assert f":{line}:13: " in str(said.body)
    assert (await proxy.ask(GET)).status == 200
    assert len(await lines(tmp_path / "a.log", 1)) == 1


async def test_proxy_does_not_start_with_a_log_that_cannot_be_opened(
    launch_sluice: Callable[..., Any], plain: Callable[..., str], tmp_path: Path
) -> None:
    proxy = launch_sluice(tmp_path, plain("127.0.0.1:1") + "access_log: none/a.log\n", {})
    assert await proxy.ended() == 1
    assert "none/a.log cannot be opened" in proxy.output
    assert ":13: " in proxy.output


async def test_changed_log_needs_no_restart(
    sluice: Factory, origin: Factory, plain: Callable[..., str], api: Callable[..., Any], tmp_path: Path
) -> None:
    back = await origin(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    proxy = await sluice(plain(back.address) + "access_log: off\n")
    for wanted in ("{path: a.log, format: '1 {path}'}", "{path: a.log, format: '2 {path}'}", "b.log", "off"):
        text = proxy.config.read_text()
        proxy.config.write_text(text[: text.index("access_log:")] + f"access_log: {wanted}\n")
        assert (await api(proxy)("POST", "/v1/reload")).status == 200
        assert (await proxy.ask(GET)).status == 200
    assert await proxy.stop() == 0
    assert (tmp_path / "a.log").read_text() == "1 /a\n2 /a\n"
    assert len((tmp_path / "b.log").read_text().splitlines()) == 1


async def test_full_disk_harms_no_traffic_and_is_counted(
    sluice: Factory, origin: Factory, plain: Callable[..., str], api: Callable[..., Any]
) -> None:
    back = await origin(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    proxy = await sluice(plain(back.address) + "access_log: /dev/full\n")
    assert (await proxy.ask(GET)).status == 200
    await api(proxy).until("/metrics", lambda text: "sluice_access_log_dropped_total 1.0" in text)
    await api(proxy).until("/v1/status", lambda text: "the access log has lost 1 lines since the start" in str(text))
    assert (await proxy.ask(GET)).status == 200
