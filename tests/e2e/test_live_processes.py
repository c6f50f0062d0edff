"""Processes that die, stop or restart while traffic flows: nobody but their own connections notices."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]


async def test_killed_worker_is_replaced_and_only_its_connections_break(live: Factory) -> None:
    proxy = await live(workers=2)
    async with proxy.load(8) as load:
        victim = proxy.workers()[0]
        os.kill(victim, signal.SIGKILL)
        await proxy.until_workers(2, without=[victim])
        await load.more(200)
    assert all(failure.broken for failure in load.failures), load.failures
    assert len(load.failures) <= 8
    assert load.after_reconnect == []


async def test_killed_controller_harms_nobody_and_the_next_one_knows_everything(live: Factory) -> None:
    proxy = await live(workers=2)
    assert (await proxy.call("POST", "/v1/services/shop/flip", {"to": "green"}))[0] == 200
    generation = (await proxy.status())["generation"]
    async with proxy.load(4) as load:
        before = proxy.controller()
        os.kill(before, signal.SIGKILL)
        await proxy.until(lambda: proxy.controller() not in (None, before))
        await proxy.until_ready()
        await load.more(200)
        assert (await proxy.status())["generation"] == generation
        assert (await proxy.call("POST", "/v1/services/shop/undo"))[0] == 200
        assert await proxy.colours(20) == {"blue"}
    assert not load.failures


async def test_controller_killed_while_the_file_is_broken_goes_on_with_what_is_in_force(live: Factory) -> None:
    proxy = await live()
    proxy.write("services: [oops")
    await proxy.until_status(lambda status: status["problems"])
    before = proxy.controller()
    os.kill(before, signal.SIGKILL)
    await proxy.until(lambda: proxy.controller() not in (None, before))
    await proxy.until_status(lambda status: status["problems"])
    assert await proxy.colours(10) == {"blue"}
    assert (await proxy.call("POST", "/v1/services/shop/flip", {"to": "green"}))[0] == 200
    assert await proxy.colours(10) == {"green"}


async def test_killed_master_leaves_no_orphan_and_the_port_free(live: Factory) -> None:
    proxy = await live(workers=2)
    children = [*proxy.workers(), proxy.controller()]
    client = await proxy.connect()
    assert (await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
    proxy.process.kill()
    await asyncio.to_thread(proxy.process.wait)
    assert await client.rest() == b""
    await proxy.until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", proxy.port)
    server.close()
    await client.close()


async def test_stopped_worker_is_replaced_and_the_change_goes_through(live: Factory) -> None:
    proxy = await live(workers=2)
    stopped = proxy.workers()[1]
    os.kill(stopped, signal.SIGSTOP)
    status, _ = await proxy.call("POST", "/v1/services/shop/flip", {"to": "green"})
    assert status == 200
    await proxy.until_workers(2, without=[stopped])
    assert await proxy.colours(20) == {"green"}


async def test_stopped_proxy_says_not_ready_while_it_still_serves(live: Factory) -> None:
    proxy = await live(extra="shutdown: {delay: 1s, idle: 0s}")
    proxy.process.send_signal(signal.SIGTERM)
    while await proxy.admin("/readyz") != 503:
        await asyncio.sleep(0)
    assert await proxy.colours(5) == {"blue"}
    assert await proxy.ended() == 0


async def test_second_interrupt_ends_at_once(live: Factory) -> None:
    proxy = await live(extra="shutdown: {delay: 60s}")
    proxy.process.send_signal(signal.SIGINT)
    while await proxy.admin("/readyz") != 503:
        await asyncio.sleep(0)
    proxy.process.send_signal(signal.SIGINT)
    assert await proxy.ended() == 1


@pytest.mark.parametrize("how", ["signal", "admin"])
async def test_restart_keeps_pid_tunnels_and_every_request(live: Factory, how: str) -> None:
    proxy = await live(workers=2)
    assert (await proxy.call("POST", "/v1/services/shop/flip", {"to": "green"}))[0] == 200
    tunnels = [await proxy.tunnel() for _ in range(8)]
    old = {*proxy.workers(), proxy.controller()}
    async with proxy.load(4) as load:
        if how == "signal":
            proxy.process.send_signal(signal.SIGUSR2)
        else:
            assert (await proxy.call("POST", "/v1/restart"))[0] == 200
        await proxy.until_workers(2, without=old)
        await proxy.until(lambda: proxy.controller() not in {None, *old})
        await proxy.until_ready()
        await load.more(200)
        assert (await proxy.call("POST", "/v1/services/shop/undo"))[0] == 200
        assert await proxy.colours(20) == {"blue"}
    for tunnel in tunnels:
        await tunnel.echo(b"still here")
        await tunnel.close()
    await proxy.until(lambda: not old & {*proxy.workers(), proxy.controller()})
    assert not load.failures
    assert proxy.process.poll() is None


async def test_restart_with_code_that_does_not_start_is_refused(live: Factory, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    proxy = await live(environ={"PYTHONPATH": str(broken)})
    before = proxy.workers()
    (broken / "msgspec.py").write_text("raise ImportError('this was upgraded badly')\n")
    proxy.process.send_signal(signal.SIGUSR2)
    await proxy.until_status(lambda status: any("upgraded badly" in each for each in status["problems"]))
    assert proxy.workers() == before
    assert await proxy.colours(5) == {"blue"}


async def test_start_that_cannot_succeed_ends_with_its_reason(live: Factory) -> None:
    proxy = await live()
    second = proxy.twin()
    assert await second.ended() == 1
    assert f"cannot listen on 127.0.0.1:{proxy.port}" in second.output
    assert "Traceback" not in second.output
