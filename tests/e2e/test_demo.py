"""`sluice demo`: starts what it says, splits traffic, refuses taken ports, and leaves nothing behind."""

import asyncio
import fcntl
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

PORTS = (8080, 9900, 9001, 9002, 9003)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


pytestmark = pytest.mark.skipif(
    not all(map(_is_free, PORTS)),
    reason="the demo's ports 8080, 9900 and 9001-9003 are in use on this machine",
)


DEMO = [sys.executable, "-c", "import sys; from proxy.cli.demo import demo; sys.exit(demo())"]


@pytest.fixture(autouse=True)
def turn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One at a time: the demo's ports are fixed, and tests run side by side."""
    with (tmp_path_factory.getbasetemp().parent / "demo.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Any]:
    """A demo in an empty folder, its output piped."""
    process = subprocess.Popen(DEMO, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()
    assert process.stdout
    process.stdout.close()


async def _line(process: Any, wanted: str) -> str:
    while line := await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 30):
        if wanted in line:
            return line
    raise AssertionError(f"ended with {process.wait()} before it printed {wanted!r}")


async def test_demo_splits_and_ends_without_a_trace(demo: Any, tmp_path: Path) -> None:
    await _line(demo, "Ctrl-C ends it all")
    assert (tmp_path / ".demo" / "demo.yaml").is_file()
    async with httpx.AsyncClient(base_url="http://127.0.0.1:8080", trust_env=False) as client:
        assert (await client.get("/", headers={"X-Canary": "true"})).text.startswith("canary\n")
        homes = {(await client.get("/")).headers["x-colour"] for _ in range(5)}
        assert len(homes) == 1
        page = await client.get("/", headers={"Accept": "text/html"})
        assert page.headers["content-type"].startswith("text/html")
    assert "blue" in await _line(demo, "of the last")
    demo.send_signal(signal.SIGINT)
    assert "nothing is left running" in await _line(demo, "ended")
    assert demo.wait(15) == 0
    assert all(map(_is_free, PORTS))


def test_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 9002)):
        ended = subprocess.run(DEMO, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=15)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "9002 (the green backend)" in ended.stderr
    assert not (tmp_path / ".demo").exists()
