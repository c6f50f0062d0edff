"""A start that cannot succeed gives up and says why; the next one that can succeeds."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

# Python imports it before anything else.
DIES = "import os, sys\nif 'proxy.{role}' in sys.orig_argv:\n    os._exit(3)\n"


@pytest.mark.parametrize("role", ["worker", "controller"])
async def test_process_that_dies_again_and_again_at_the_start_ends_the_proxy(
    launch_sluice: Callable[..., Any], plain: Callable[[str], str], tmp_path: Path, role: str
) -> None:
    (tmp_path / "code").mkdir()
    broken = tmp_path / "code" / "sitecustomize.py"
    broken.write_text(DIES.format(role=role))
    proxy = launch_sluice(tmp_path, plain("127.0.0.1:1"), {"PYTHONPATH": str(tmp_path / "code")})
    assert await proxy.ended() == 1
    last = proxy.output.rstrip().rpartition("\n")[2]
    assert f"CRITICAL {role} died 5 times while starting: giving up" in last
    assert proxy.output.count("giving up") == 1
    assert "Traceback" not in proxy.output
    broken.unlink()
    proxy.spawn()
    await proxy.ready()
    assert await proxy.stop() == 0


def _children(pid: int) -> set[str]:
    with contextlib.suppress(OSError):
        return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return set()


def _run(pids: set[str]) -> bool:
    return any(Path(f"/proc/{pid}").exists() for pid in pids)


async def test_start_with_a_bad_configuration_ends_with_all_its_processes(
    launch_sluice: Callable[..., Any], tmp_path: Path
) -> None:
    proxy = launch_sluice(tmp_path, "services: nonsense\n", {})
    found: set[str] = set()
    while len(found) < 2 and proxy.process.poll() is None:  # the controller, and a worker that gets ready beside it
        found |= _children(proxy.process.pid)
    assert len(found) == 2
    assert await proxy.ended() == 1
    assert "a mapping belongs here" in proxy.output
    assert "ERROR" not in proxy.output
    async with asyncio.timeout(15):
        while _run(found):
            await asyncio.sleep(0.01)
