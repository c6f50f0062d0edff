"""The commands for a running proxy, as a user types them."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]
ROOT = Path(__file__).parents[2]
TEXT = """\
services:
  shop:
    pools:
      blue: {endpoints: [127.0.0.1:1, 127.0.0.1:2]}
      green: {endpoints: [127.0.0.1:3]}
      canary: {endpoints: [127.0.0.1:4]}
    split: {blue: 60, green: 30, canary: 10}
routes: [{service: shop}]
"""


class Shell:
    """Runs commands against one admin."""

    def __init__(self, port: int, **environ: str) -> None:
        self.environ = {**os.environ, "SLUICE_ADMIN": f"127.0.0.1:{port}", **environ}

    async def __call__(self, *arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-W", "error", "-m", "proxy", *arguments]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env=self.environ
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr


async def _first(shell: Shell, *arguments: str) -> str:
    """The first line that a command prints which is to succeed."""
    status, out, err = await shell(*arguments)
    assert (status, err) == (0, ""), (arguments, err)
    return out.partition("\n")[0]


async def test_commands_change_the_proxy(sluice: Factory, api: Any) -> None:
    proxy = await sluice(TEXT)
    admin, shell = api(proxy), Shell(proxy.admin_port)
    rows = [
        (("split", "shop", "blue=3", "green=1"), "shop: blue 75 %, green 25 %, canary 0 % (override)"),
        (("split", "shop", "canary=20%", "rest"), "shop: blue 60 %, green 20 %, canary 20 % (override)"),
        (("flip", "shop", "green", "--reason", "a release"), "shop: blue 0 %, green 100 %, canary 0 % (override)"),
        (("undo", "shop"), "shop: blue 60 %, green 20 %, canary 20 % (override)"),
        (("diff",), "split of shop: blue 60 %, green 20 %, canary 20 % (the file: blue 60 %, green 30 %, canary 10 %)"),
        (("persist", "shop"), "shop: blue 60 %, green 20 %, canary 20 %"),
        (("diff",), "nothing differs from the file"),
        (("reset", "shop"), "shop: blue 60 %, green 20 %, canary 20 %"),
        (("reload",), "generation 5: nothing has changed"),
        (("services",), "shop: blue 60 %, green 20 %, canary 20 %"),
        (("top",), "service  pool    weight  state   req/s  errors/s  mean  in flight  tunnels  endpoints"),
        (("healthcheck", str(proxy.config)), "ready"),
    ]
    for arguments, expected in rows:
        assert await _first(shell, *arguments) == expected, arguments
    assert "split: {blue: 60, green: 20, canary: 20}" in proxy.config.read_text()
    _, out, _ = await shell("events")
    assert any(line.endswith("because a release") and "flip shop by admin" in line for line in out.splitlines())
    _, out, _ = await shell("status")
    assert out.startswith("sluice ")
    assert "worker 0: pid" in out
    for arguments, state in ((("drain", "--wait"), "drained"), (("restore",), "up")):
        out = (await shell(arguments[0], "shop", "blue", "127.0.0.1:1", *arguments[1:]))[1]
        assert f"127.0.0.1:1  {state}" in out
        assert (await admin.service())["pools"]["blue"]["endpoints"][0]["state"] == state
    out = (await shell("endpoints", "add", "shop", "blue", "10.0.0.9:80", "--weight", "2"))[1]
    assert "10.0.0.9:80  up  weight 2  " in out
    out = (await shell("endpoints", "add", "shop", "blue", "10.0.0.9:80", "--backup"))[1]
    assert "10.0.0.9:80  up  weight 1, backup" in out
    assert "10.0.0.9:80: weight 1.0, backup (the file: not there)" in (await shell("diff"))[1]
    assert "weight 3, backup" in (await shell("endpoints", "add", "shop", "blue", "10.0.0.9:80", "--weight", "3"))[1]
    assert "backup" not in (await shell("endpoints", "add", "shop", "blue", "10.0.0.9:80", "--no-backup"))[1]
    assert "10.0.0.9" not in (await shell("endpoints", "remove", "shop", "blue", "10.0.0.9:80"))[1]
    assert (await shell("restart"))[0] == 0


FAILURES = [
    (("split", "shop", "blue=0"), 1, "gives nothing to any pool"),
    (("split", "shop", "canary=5"), 1, "canary=5 rest"),
    (("split", "nope", "a=100"), 1, "there is no service 'nope'"),
    (("split", "nope", "a=5", "rest"), 1, "there is no service 'nope'"),
    (("split", "shop", "nope=100"), 1, "there is no pool 'nope'; there is blue, green, canary"),
    (("split", "shop", "nope"), 2, "'nope' is not POOL=SHARE"),
    (("split", "shop", "blue=101%", "rest"), 2, "more than 100 %"),
    (("split", "shop"), 2, "Missing argument"),
    (("flip", "shop"), 2, "Missing argument"),
    (("drain", "shop", "blue", "--deadline", "5"), 2, "'5' is not a duration"),
    (("drain", "shop", "blue", "1.2.3.4:5"), 1, "there is no endpoint"),
    (("endpoints", "add", "shop", "blue", "here"), 1, "not an address"),
    (("endpoints", "remove", "shop", "canary", "127.0.0.1:4"), 1, "there is no endpoint"),
    (("services", "--nope"), 2, "No such option"),
    (("undo", "shop", "--reason", "x" * 501), 1, "reason"),
    (("services", "--admin", "127.0.0.1:1"), 3, "connection refused (is the proxy running?"),
    (("services", "--admin", "unix:/nowhere"), 3, "no such file"),
    (("services", "--admin", "ftp://x"), 3, "is not the address of an admin"),
    (("services", "--admin", "http://127.0.0.1:99999"), 3, "port"),
    (("events", "--follow", "--admin", "127.0.0.1:1"), 3, "cannot be reached"),
    (("top", "--admin", "127.0.0.1:1"), 3, "cannot be reached"),
    (("healthcheck", "--admin", "127.0.0.1:1"), 1, "cannot be reached"),
    (("healthcheck", "/nowhere.yaml"), 1, "there is no such file"),
]


@pytest.mark.parametrize(("arguments", "status", "expected"), FAILURES, ids=lambda value: str(value)[:60])
async def test_failure_is_one_line_with_its_own_status(
    guarded: Any, arguments: tuple[str, ...], status: int, expected: str
) -> None:
    shell = Shell(guarded.api.port, SLUICE_TOKEN="the-first-token")
    if arguments[:2] == ("healthcheck", "/nowhere.yaml"):
        del shell.environ["SLUICE_ADMIN"]
    code, out, err = await shell(*arguments)
    assert (code, out) == (status, "")
    assert expected in err.replace("\n", " ")
    assert status == 2 or err.count("\n") == 1


async def test_token_comes_from_the_environment(guarded: Any) -> None:
    assert (await Shell(guarded.api.port, SLUICE_TOKEN="a-viewer-token")("services"))[0] == 0
    code, _, err = await Shell(guarded.api.port)("services")
    assert code == 1
    assert "set SLUICE_TOKEN" in err
    code, _, err = await Shell(guarded.api.port, SLUICE_TOKEN="a-viewer-token")("undo", "shop")
    assert (code, "this needs change" in err) == (1, True)


async def test_json_is_what_the_admin_says(guarded: Any) -> None:
    shell = Shell(guarded.api.port, SLUICE_TOKEN="the-first-token")
    for command, path in (("services", "/v1/services"), ("diff", "/v1/config/diff"), ("events", "/v1/events")):
        assert json.loads((await shell(command, "--json"))[1]) == (await guarded.api("GET", path)).body
    for command in ("status", "top"):
        assert json.loads((await shell(command, "--json"))[1])
    code, out, err = await shell("undo", "shop", "--json", "--admin", "127.0.0.1:1")
    assert (code, out, err.count("\n")) == (3, "", 1)


async def test_drain_waits_until_nothing_runs(sluice: Factory, origin: Factory, plain: Any, api: Any) -> None:
    release, arrived = asyncio.Event(), asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    back = await origin(serve=hold)
    proxy = await sluice(plain(back.address))
    client, shell = await proxy.connect(), Shell(proxy.admin_port)
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await arrived.wait()
    waiting = asyncio.create_task(shell("drain", "app", "only", "--wait", "--deadline", "1m", "--force"))
    await api(proxy).until("/v1/services/app", lambda view: view["pools"]["only"]["state"] == "draining")
    release.set()
    code, out, err = await asyncio.wait_for(waiting, 15)
    assert (code, err) == (0, "draining: 1 in flight, 0 tunnels\n")
    assert "drained" in out
    await client.close()


async def test_drain_that_is_not_empty_at_its_deadline_fails(sluice: Factory, origin: Factory, plain: Any) -> None:
    arrived = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        await reader.read()

    back = await origin(serve=hold)
    proxy = await sluice(plain(back.address))
    client = await proxy.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await arrived.wait()
    code, _, err = await Shell(proxy.admin_port)("drain", "app", "only", "--wait", "--deadline", "0s", "--force")
    assert code == 1
    assert "--cut ends them" in err
    await client.close()


async def test_events_are_followed(sluice: Factory, api: Any) -> None:
    proxy = await sluice(TEXT)
    shell = Shell(proxy.admin_port)
    command = [sys.executable, "-m", "proxy", "events", "--follow", "--json"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=shell.environ, cwd=ROOT
    )
    assert process.stdout
    try:
        async with asyncio.timeout(15):
            assert json.loads(await process.stdout.readline())["kind"] == "config_applied"
            for path, kind in (("flip", "flip"), ("undo", "undo")):
                await api(proxy)("POST", f"/v1/services/shop/{path}", {"to": "green"} if path == "flip" else {})
                assert json.loads(await process.stdout.readline())["kind"] == kind
            await proxy.stop()
            assert await process.wait() == 3
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_top_leaves_the_terminal_as_it_was(sluice: Factory) -> None:
    proxy = await sluice(TEXT)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "proxy", "top", "--interval", "0.1"]
    environ = {**Shell(proxy.admin_port).environ, "TERM": "xterm", "COLUMNS": "160"}
    ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    process = await asyncio.create_subprocess_exec(*command, **ends, env=environ, cwd=ROOT)
    os.close(theirs)
    seen = b""
    async with asyncio.timeout(20):
        while b"/s" not in seen or b"canary" not in seen:
            seen += await asyncio.to_thread(os.read, ours, 65536)
        process.send_signal(signal.SIGINT)
        try:
            while data := await asyncio.to_thread(os.read, ours, 65536):
                seen += data
        except OSError:
            pass  # the other end is closed
        assert await process.wait() == 0
    os.close(ours)
    # The alternate screen is left, and the cursor is back.
    assert seen.rfind(b"\x1b[?1049l") > seen.rfind(b"\x1b[?1049h") >= 0
    assert seen.rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l") >= 0


def test_version_imports_nothing_heavy() -> None:
    # Not pydantic: typer itself imports it, since 0.26.
    code = """
import atexit, sys
heavy = {"aiohttp", "yaml", "rich", "uvloop", "http.client", "proxy.config.root", "proxy.cli.verbs"}
atexit.register(lambda: print(sorted(heavy & set(sys.modules))))
sys.argv = ["sluice", "version"]
from proxy.cli.main import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.splitlines()[1:] == ["[]"]


def test_completion_is_offered() -> None:
    environ = {**os.environ, "_SLUICE_COMPLETE": "complete_bash", "COMP_WORDS": "sluice re", "COMP_CWORD": "1"}
    command = [sys.executable, "-m", "proxy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environ, timeout=60)
    assert {"reset", "restore", "reload", "restart"} <= set(done.stdout.split())
