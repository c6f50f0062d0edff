"""`sluice check`."""

import os
import sys
from pathlib import Path

from proxy.config.load import Loaded, find_config, load
from proxy.snapshot.document import Document


def check(files: list[Path]) -> int:
    """Tell of each file every problem and warning, to stderr, or in one line that it is right; the exit status."""
    found = find_config()
    asked = files or ([found] if found else [])
    if not asked:
        print("sluice: no configuration: neither ./sluice.yaml nor /etc/sluice/sluice.yaml is there", file=sys.stderr)
        return 1
    loaded = [(file, load(file, os.environ)) for file in asked]
    for file, one in loaded:
        report(one)
        if one.document is not None:
            print(f"{file}: ok, {summary(one.document)}")
    return 0 if all(one.document for _, one in loaded) else 1


def report(loaded: Loaded) -> None:
    """Every problem and warning, a line each, to stderr."""
    for problem in loaded.problems:
        print(problem, file=sys.stderr)
    for warning in loaded.warnings:
        print(f"warning: {warning}", file=sys.stderr)


def summary(document: Document) -> str:
    """How much a document holds: `2 services, 3 routes, 1 listener`."""
    counts = {"service": document.services, "route": document.routes, "listener": document.listeners}
    return ", ".join(f"{len(things)} {noun}{'' if len(things) == 1 else 's'}" for noun, things in counts.items())
