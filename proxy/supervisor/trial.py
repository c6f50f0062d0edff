"""Whether the code on disk starts, and takes the configuration: asked before a restart gives anything up."""

import os
import sys
from pathlib import Path

from proxy.admin import server  # noqa: F401 - whatever cannot be imported is found here
from proxy.config.load import load
from proxy.control import control, store  # noqa: F401
from proxy.controller import controller  # noqa: F401
from proxy.plugins.library import loaded_library
from proxy.worker import worker  # noqa: F401


def trial(config: str) -> int:
    """0 where it does; else every problem is printed."""
    loaded = load(Path(config), os.environ, loaded_library)
    for problem in loaded.problems:
        print(problem, file=sys.stderr)  # noqa: T201 - the master reads it
    return 1 if loaded.problems else 0
