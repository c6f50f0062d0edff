"""Hot restarts under constant load: what goes well loses nothing, and what does not go well changes nothing."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

import proxy as package

Factory = Callable[..., Awaitable[Any]]

SOAK = bool(os.environ.get("SLUICE_SOAK"))
SOCKETS = 50
# Python imports it before anything else: every process of that name which starts from then on comes to this.
FATE = "import os, signal, sys\nif 'proxy.{role}' in sys.orig_argv:\n    {fate}\n"
DIES = "os._exit(3)"
HANGS = "signal.pause()"


async def _echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@pytest_asyncio.fixture
async def chat() -> AsyncIterator[int]:
    """The port of a WebSocket server that echoes."""
    async with serve(_echo, "127.0.0.1", 0) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@pytest_asyncio.fixture
async def chatting(live: Factory, chat: int) -> AsyncIterator[Factory]:
    """A factory of a proxy with 50 WebSockets open through it: await chatting(extra=…) -> (proxy, sockets)."""
    async with AsyncExitStack() as stack:

        async def start(**how: Any) -> tuple[Any, list[ClientConnection]]:
            proxy = await live(workers=2, **how)
            service = f"services:\n  chat: {{pools: {{only: {{endpoints: [127.0.0.1:{chat}]}}}}}}\n"
            route = "routes:\n  - {match: {path: /chat}, service: chat}\n"
            proxy.write(proxy.text().replace("services:\n", service).replace("routes:\n", route))
            assert (await proxy.call("POST", "/v1/reload"))[0] == 200
            url = f"ws://127.0.0.1:{proxy.port}/chat"
            sockets = [await stack.enter_async_context(connect(url, proxy=None)) for _ in range(SOCKETS)]
            return proxy, sockets

        yield start


async def says_back(socket: ClientConnection, text: str) -> bool:
    """Does what is sent come back?"""
    await socket.send(text)
    async with asyncio.timeout(30):
        return await socket.recv() == text


async def restarted(proxy: Any, old: set[int]) -> None:
    """Restart, and wait until the new ones serve and control."""
    proxy.process.send_signal(signal.SIGUSR2)
    await proxy.until_workers(2, without=old)
    await proxy.until(lambda: proxy.controller() not in {None, *old})
    await proxy.until_ready()


async def test_restart_leaves_websockets_to_the_old_workers_until_they_end(chatting: Factory) -> None:
    proxy, sockets = await chatting()
    old = set(proxy.workers())
    async with proxy.load(8) as load:
        await restarted(proxy, old)
        await load.more(100)
        assert all([await says_back(socket, "still here") for socket in sockets])
        assert old < set(proxy.workers())
        assert (await proxy.call("POST", "/v1/services/shop/flip", {"to": "green"}))[0] == 200
        assert all([await says_back(socket, "and still") for socket in sockets])
        for socket in sockets:
            await socket.close()
        await proxy.until(lambda: not old & set(proxy.workers()))
        await load.more(50)
    assert load.failures == []


@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.skipif(not SOAK, reason="make soak runs it"))])
async def test_what_is_asked_of_the_admin_in_a_restart_is_answered_and_costs_no_worker(
    live: Factory, api: Callable[..., Any], times: int
) -> None:
    proxy = await live(workers=2)
    admin, done = api(proxy), asyncio.Event()

    async def ask(method: str, path: str, body: Any = None) -> None:
        while not done.is_set():
            said = await admin(method, path, body)
            assert said.status == 200, said

    async with proxy.load(4) as load, asyncio.TaskGroup() as tasks:
        tasks.create_task(ask("PUT", "/v1/services/shop/split", {"blue": 100}))
        tasks.create_task(ask("POST", "/v1/services/shop/flip", {"to": "green"}))
        tasks.create_task(ask("GET", "/v1/status"))
        for _ in range(times):
            await restarted(proxy, set(proxy.workers()))
            await load.more(50)
        done.set()
    assert load.failures == []
    assert not [line for line in proxy.output.splitlines() if "does not" in line]


async def test_grace_of_a_restart_ends_websockets_and_no_request(chatting: Factory) -> None:
    proxy, sockets = await chatting(extra="restart: {grace: 500ms}")
    old = set(proxy.workers())
    async with proxy.load(8) as load:
        await restarted(proxy, old)
        async with asyncio.timeout(30):
            for socket in sockets:
                await socket.wait_closed()
        await proxy.until(lambda: not old & set(proxy.workers()))
        await load.more(100)
    assert load.failures == []
    assert len(proxy.workers()) == 2
    assert "does not end: killed" not in proxy.output, "they have closed them themselves"


@pytest.mark.parametrize(
    ("role", "fate"),
    [
        ("worker", DIES),
        ("controller", DIES),
        pytest.param("worker", HANGS, marks=pytest.mark.skipif(not SOAK, reason="takes 30 s; make soak runs it")),
    ],
    ids=["worker dies", "controller dies", "worker hangs"],
)
async def test_restart_whose_processes_do_not_come_up_is_called_off(
    live: Factory, tmp_path: Path, role: str, fate: str
) -> None:
    (tmp_path / "code").mkdir()
    proxy = await live(workers=2, environ={"PYTHONPATH": str(tmp_path / "code")})
    tunnel = await proxy.tunnel()
    old = proxy.workers(), proxy.controller()
    async with proxy.load(4) as load:
        (tmp_path / "code" / "sitecustomize.py").write_text(FATE.format(role=role, fate=fate))
        proxy.process.send_signal(signal.SIGUSR2)
        async with asyncio.timeout(60):
            while not (problems := (await proxy.status())["problems"]):
                await load.more(1)
        assert "does not start" in problems[0] or "does not come up" in problems[0]
        await proxy.until(lambda: (proxy.workers(), proxy.controller()) == old)
        await load.more(100)
        _, events = await proxy.call("GET", "/v1/events")
        assert [event["text"] for event in events if event["kind"] == "restart_refused"] == problems
        assert (await proxy.call("POST", "/v1/services/shop/flip", {"to": "green"}))[0] == 200
        assert await proxy.colours(10) == {"green"}
        if role == "worker":
            (tmp_path / "code" / "sitecustomize.py").unlink()
            await restarted(proxy, {*old[0], old[1]})
    assert load.failures == []
    await tunnel.echo(b"not cut")
    await tunnel.close()


async def test_controller_that_dies_while_the_old_one_hands_over_costs_nothing(live: Factory) -> None:
    proxy = await live(workers=2)
    tunnel = await proxy.tunnel()
    old = proxy.workers()
    before = proxy.controller()
    async with proxy.load(4) as load:
        os.kill(before, signal.SIGSTOP)  # so it keeps the store until it is killed for that
        proxy.process.send_signal(signal.SIGUSR2)
        await proxy.until(lambda: len(set(proxy.workers()) & set(old)) == 1)  # all is ready: who is idle has gone
        new = set(proxy.workers()) - set(old)
        os.kill(proxy.controller(), signal.SIGKILL)
        await proxy.until_workers(2, without=old)
        await proxy.until_ready()
        assert (await proxy.call("POST", "/v1/services/shop/flip", {"to": "green"}))[0] == 200
        await load.more(50)
        assert new < set(proxy.workers())
    assert load.failures == []
    await tunnel.echo(b"not cut")
    await tunnel.close()


@pytest.mark.parametrize("way", ["restarted", "killed"])
async def test_next_controller_does_without_a_file_whose_addresses_cannot_be_had(live: Factory, way: str) -> None:
    proxy = await live(workers=2)
    proxy.write(proxy.text().replace("[{bind:", "[{bind: 192.0.2.1:80}, {bind:").replace("workers: 2", "workers: 4"))
    await proxy.until_status(lambda status: any("192.0.2.1" in each for each in status["problems"]))
    old = {proxy.controller()}
    async with proxy.load(4) as load:
        if way == "killed":
            os.kill(proxy.controller(), signal.SIGKILL)
            await proxy.until(lambda: proxy.controller() not in {None, *old})
            await proxy.until_ready()
        else:
            await restarted(proxy, {*old, *proxy.workers()})
        await proxy.until_status(lambda status: any("192.0.2.1" in each for each in status["problems"]))
        assert (await proxy.call("POST", "/v1/services/shop/flip", {"to": "green"}))[0] == 200
        assert await proxy.colours(30) == {"green"}
    assert load.failures == []


async def test_restart_to_another_protocol_leaves_tunnels_and_asks_old_workers_nothing(
    live: Factory, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    source = Path(package.__file__).parent
    shutil.copytree(source, code / "proxy", ignore=shutil.ignore_patterns("__pycache__"))
    proxy = await live(workers=2, environ={"PYTHONPATH": str(code)})
    tunnels = [await proxy.tunnel() for _ in range(8)]
    old = set(proxy.workers())
    messages = code / "proxy" / "channel" / "messages.py"
    assert "\nPROTOCOL: Final = 1\n" in messages.read_text()
    async with proxy.load(4) as load:
        messages.write_text(messages.read_text().replace("\nPROTOCOL: Final = 1\n", "\nPROTOCOL: Final = 2\n"))
        await restarted(proxy, {*old, proxy.controller()})
        for colour in ("green", "canary", "blue"):
            status, _ = await proxy.call("POST", "/v1/services/shop/flip", {"to": colour})
            assert status == 200
            assert await proxy.colours(10) == {colour}
        proxy.write(proxy.text() + "access_log: off\n")
        assert (await proxy.call("POST", "/v1/reload"))[0] == 200
        await load.more(50)
    assert load.failures == []
    assert "does not answer" not in proxy.output
    for tunnel in tunnels:
        await tunnel.echo(b"still here")
    assert len(old & set(proxy.workers())) >= 1
    for tunnel in tunnels:
        await tunnel.close()
    await proxy.until(lambda: not old & set(proxy.workers()))
