"""The hot modules, which are compiled where that is possible, and the choice between their two builds.

What is compiled are the very files that run without it: a `.pxd` beside each gives the C types of attributes and calls.
Only the head parser has two texts (proxy.http1.parser). The builds do not mix, as compiled modules reach into each
other's objects: it is all of MODULES, or none.
"""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

# What pays: a browser-like request takes 68,800 instructions with the head parser alone compiled, 44,800 with all of
# these (bench/instructions.py). The plain build has 4 % more than before, for heads that are no structs made in C.
# The router: 1.1 µs instead of 1.7 to find one of 10,000 routes.
# What sessions need besides (choosing, cookies, hashing, sticky): 27 µs of our own code a sticky request instead of 30.
MODULES: Final = (
    "proxy.core.hashing",
    "proxy.dataplane.attempt",
    "proxy.dataplane.choosing",
    "proxy.dataplane.downstream",
    "proxy.dataplane.exchange",
    "proxy.dataplane.forwarding",
    "proxy.dataplane.listener",
    "proxy.dataplane.plane",
    "proxy.dataplane.request_reading",
    "proxy.dataplane.response_reading",
    "proxy.dataplane.upstream",
    "proxy.dataplane.wheel",
    "proxy.http1._head",
    "proxy.http1.cookies",
    "proxy.http1.message",
    "proxy.pools.endpoint",
    "proxy.pools.pool",
    "proxy.pools.state",
    "proxy.routing.router",
    "proxy.routing.service",
    "proxy.routing.sticky",
    "proxy.telemetry.counters",
    "proxy.telemetry.histogram",
)

_HERE: Final = Path(__file__).parent
_IS_CHECKOUT: Final = (_HERE.parent / "setup.py").exists()
_SOURCES: Final = {name: _HERE.joinpath(*name.split(".")[1:]).with_suffix(".py") for name in MODULES}


class _Plain:
    """An import hook that finds the sources of MODULES, where Python itself would take what was compiled."""

    @staticmethod
    def find_spec(
        name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As importlib asks it; None for all other modules."""
        source = _SOURCES.get(name)
        if source is None:
            return None
        if not source.exists():
            raise ModuleNotFoundError(f"{name} has no plain form", name=name)
        return spec_from_file_location(name, source)


def choose() -> str:
    """Decide which build this process runs, before any of MODULES is imported: "accelerated" or "plain"."""
    if os.environ.get("SLUICE_PURE") != "1" and all(map(_is_current, _SOURCES.values())):
        return "accelerated"
    sys.meta_path.insert(0, _Plain)
    return "plain"


def _is_current(source: Path) -> bool:
    """Is it compiled, and, in a checkout, not changed since? Elsewhere times only tell the order of copying."""
    compiled = source.with_suffix(EXTENSION_SUFFIXES[0])
    if not _IS_CHECKOUT:
        return compiled.exists()
    text = source if source.exists() else source.with_suffix(".pyx")
    return compiled.exists() and text.stat().st_mtime_ns <= compiled.stat().st_mtime_ns
