"""A start that cannot succeed gives up and says why; the next one that can succeeds."""

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
