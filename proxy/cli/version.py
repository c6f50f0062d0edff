"""`sluice version`."""

import platform

from proxy.core import version as installed
from proxy.http1.parser import BUILD


def version() -> str:
    """One line: our version, the build of the head parser, Python's and uvloop's versions."""
    uvloop = installed.of("uvloop", "none")
    return f"sluice {installed.version()} ({BUILD}), Python {platform.python_version()}, uvloop {uvloop}"
