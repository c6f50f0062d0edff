"""The plug-in files of a configuration: read once, by the controller, and run as they were then wherever they run.

A generation's code comes with its document. So workers agree on it, a worker that starts later has it too, and a file
that is being written does no harm.
"""

from collections.abc import Mapping
from hashlib import blake2b

from msgspec import Struct


class PluginFiles(Struct, frozen=True):
    """Python modules by dotted name, as they stood below `path`."""

    path: str
    modules: dict[str, str] = {}

    @property
    def digest(self) -> str:
        """One name for exactly this code."""
        found = blake2b(digest_size=8)
        for name, text in sorted(self.modules.items()):
            found.update(f"{len(name)} {len(text)} {name}{text}".encode("utf-8", "surrogatepass"))
        return found.hexdigest()


def split_use(use: str) -> tuple[str, str]:
    """`module:Class` as its parts; ValueError where it is not that."""
    module, colon, name = use.partition(":")
    parts = module.split(".")
    if not colon or not name.isidentifier() or not all(part.isidentifier() for part in parts):
        raise ValueError(f"{use!r} does not name a class; write module:Class")
    return module, name


def is_package(name: str, modules: Mapping[str, str]) -> bool:
    """Are there modules below this one?"""
    return any(other.startswith(f"{name}.") for other in modules)
