"""`sluice version`."""

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of

from proxy.http1.parser import BUILD


def version() -> str:
    """One line: our version, the build of the head parser, Python's and uvloop's versions."""
    ours, uvloop = _of("sluicegate", "(not installed)"), _of("uvloop", "none")
    return f"sluice {ours} ({BUILD}), Python {platform.python_version()}, uvloop {uvloop}"


def _of(distribution: str, otherwise: str) -> str:
    try:
        return version_of(distribution)
    except PackageNotFoundError:
        return otherwise
