"""Whether the package `proxy` is ours: PyPI's proxy.py installs the same import name, into the same directory."""

import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import proxy

_OURS = "Sluicegate"
_RIVAL = "proxy.py"


def check() -> None:
    """Return where the imported package is ours alone; else say so in one line and exit with 1."""
    complaint = complaint_about(Path(proxy.__file__ or ""), proxy.__doc__, _rival())
    if complaint is not None:
        print(f"sluice: {complaint}", file=sys.stderr)  # noqa: T201 - before any logging
        raise SystemExit(1)


def complaint_about(init: Path, doc: str | None, rival: Distribution | None) -> str | None:
    """What is wrong with a package whose `__init__.py` and docstring these are; None where nothing is.

    `rival` is the installed proxy.py, if there is one; in another directory, beside a checkout, it does no harm.
    """
    remedy = f"run `pip uninstall {_RIVAL} sluicegate`, then install sluicegate again"
    if rival is not None and Path(str(rival.locate_file("proxy/__init__.py"))).resolve() == init.resolve():
        return f"{_RIVAL} is installed over Sluicegate in {init.parent}; {remedy}"
    # Python drops docstrings with -OO.
    if doc is not None and not doc.startswith(_OURS):
        return f"the package in {init.parent} is not Sluicegate's; {remedy}"
    return None


def _rival() -> Distribution | None:
    try:
        return distribution(_RIVAL)
    except PackageNotFoundError:
        return None
