"""Where the admin listens, and how a reload changes who may call it."""

import asyncio
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]
S = "/v1/services/app"


async def test_reloaded_token_and_hosts_hold_for_the_next_request(sluice: Factory, api: Any, plain: Any) -> None:
    proxy = await sluice(plain("127.0.0.1:1"))
    admin, text = api(proxy), proxy.config.read_text()
    assert (await admin("GET", S)).status == 200
    bind = f"bind: 127.0.0.1:{proxy.admin_port}"
    proxy.config.write_text(text.replace(bind, f"{bind}, token: a-new-token, hosts: [new.example]"))
    assert (await admin("POST", "/v1/reload")).status == 200
    assert (await admin("GET", S)).status == 401
    admin = api(proxy, "a-new-token")
    assert (await admin("GET", S, Host="new.example")).status == 200
    proxy.config.write_text(text.replace(bind, f"{bind}, token: another-token"))
    assert (await admin("POST", "/v1/reload")).status == 200
    assert (await admin("GET", S)).status == 401
    assert (await api(proxy, "another-token")("GET", S, Host="new.example")).status == 403


async def test_admin_and_status_move_with_the_file(
    sluice: Factory, api: Any, plain: Any, free_port: Callable[[], int]
) -> None:
    proxy = await sluice(plain("127.0.0.1:1"))
    admin, text = api(proxy), proxy.config.read_text()
    moved, status = free_port(), free_port()
    proxy.config.write_text(
        text.replace(f"bind: 127.0.0.1:{proxy.admin_port}", f"bind: 127.0.0.1:{moved}")
        + f"status: {{bind: 127.0.0.1:{status}}}\n"
    )
    assert (await admin("POST", "/v1/reload")).status == 200
    assert await proxy.admin("/healthz") == 0
    here = type(admin)
    assert (await here(moved)("GET", S)).status == 200
    assert [(await here(status)("GET", path)).status for path in ("/readyz", S)] == [200, 404]
    proxy.config.write_text(text.replace(f"127.0.0.1:{proxy.admin_port}", f"127.0.0.1:{status}"))
    assert (await here(moved)("POST", "/v1/reload")).status == 200
    assert (await here(status)("GET", S)).status == 200


async def test_admin_on_a_unix_socket_is_private_and_has_no_host_check(
    plain: Any, tmp_path: Path, guarded: Any, free_port: Callable[[], int]
) -> None:
    path, status = tmp_path / "admin.sock", free_port()
    text = f"admin: {{bind: 'unix:{path}'}}\nstatus: {{bind: 127.0.0.1:{status}}}\n" + plain("127.0.0.1:1")
    process, admin = None, type(guarded.api)(0, path=str(path))
    (tmp_path / "sluice.yaml").write_text(f"listeners: [{{bind: 127.0.0.1:{free_port()}}}]\n{text}")
    command = [sys.executable, "-m", "proxy", "run", str(tmp_path / "sluice.yaml")]
    process = await asyncio.create_subprocess_exec(
        *command, env={"STATE_DIRECTORY": str(tmp_path / "state")}, cwd=Path(__file__).parents[2]
    )
    try:
        async with asyncio.timeout(15):
            while not await _is_ready(type(guarded.api)(status)):
                await asyncio.sleep(0.02)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert (await admin("GET", S, Host="anything")).status == 200
        assert (await admin("GET", S, Host="localhost", Origin="http://evil.example")).status == 403
        done = await _sluice("services", "--admin", f"unix:{path}")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("app: only 100 %\n")
        done = await _sluice("healthcheck", str(tmp_path / "sluice.yaml"))
        assert (done.returncode, done.stdout) == (0, "ready\n")
    finally:
        process.terminate()
        await process.wait()
    assert not path.exists()


async def _is_ready(status: Any) -> bool:
    try:
        return bool((await status("GET", "/readyz")).status == 200)
    except ConnectionError:
        return False


async def _sluice(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "proxy", *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=30, check=False, cwd=Path(__file__).parents[2]
    )


@pytest.mark.parametrize("bind", ["0.0.0.0:9", "192.0.2.1:9", '"[::]:9"'])
async def test_open_admin_without_a_token_does_not_start(tmp_path: Path, bind: str, plain: Any) -> None:
    file = tmp_path / "sluice.yaml"
    file.write_text(f"listeners: [{{bind: 127.0.0.1:8}}]\nadmin: {{bind: {bind}}}\n{plain('127.0.0.1:1')}")
    done = await _sluice("run", str(file))
    assert done.returncode == 1
    assert f"{file}:2:15: the admin can be reached from other machines, and has no token" in done.stderr
    file.write_text(file.read_text().replace("admin: {", "admin: {tokens: [{name: a, value: b}], "))
    assert (await _sluice("check", str(file))).returncode == 0
