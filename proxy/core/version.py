"""Which version of Sluicegate this is."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of


def version() -> str:
    """As installed; a checkout that is not installed has none."""
    return of("sluicegate", "(not installed)")


def of(distribution: str, otherwise: str) -> str:
    """The version of an installed distribution."""
    try:
        return version_of(distribution)
    except PackageNotFoundError:
        return otherwise
