"""What is compiled, and that asking for the plain build gives all of it."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import proxy
from proxy._compiled import MODULES

ROOT = Path(proxy.__file__).parents[1]
PLAIN = [name for name in MODULES if not name.endswith("._head")]
PRINT_FILES = (
    "import importlib, json, sys; print(json.dumps([importlib.import_module(n).__file__ for n in sys.argv[1:]]))"
)


def files(**environ: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PRINT_FILES, *PLAIN], env=os.environ | environ, cwd=ROOT, capture_output=True, check=True
    )
    return list(json.loads(done.stdout))


@pytest.mark.parametrize("name", MODULES)
def test_compiled_module_has_its_types_beside_it(name: str) -> None:
    assert ROOT.joinpath(*name.split(".")).with_suffix(".pxd").exists()


def test_typed_modules_are_the_compiled_ones() -> None:
    typed = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "proxy").rglob("*.pxd")}
    assert typed == set(MODULES)


def test_plain_build_is_all_plain() -> None:
    assert [Path(each).suffix for each in files(SLUICE_PURE="1")] == [".py"] * len(PLAIN)


def test_builds_do_not_mix() -> None:
    compiled = [not str(import_module(name).__file__).endswith(".py") for name in PLAIN]
    assert compiled == [proxy.BUILD == "accelerated"] * len(PLAIN)
