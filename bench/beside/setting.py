"""What a case asks of every proxy alike, and where it finds what it needs."""

from dataclasses import dataclass
from pathlib import Path

SHARES = {"blue": 90, "green": 10}
STICKY = "sluice_bench"
"""The session's cookie."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What differs between the cases' configurations; all split 90:10 between two pools."""

    workers: int = 1
    log: bool = False
    sticky: bool = False
    echo: bool = False
    """Behind it is a WebSocket server."""
    routes: int = 0
    """So many `/r/N/` instead of one route for everything."""
    endpoints: int = 2
    """Of both pools together."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of its own for a proxy, its ports, and those of the upstreams."""

    folder: Path
    port: int
    admin: int
    blue: int
    green: int
    files: int
    """The limit of open files."""

    def pools(self, setting: Setting) -> dict[str, list[str]]:
        """The endpoints of each pool."""
        each = setting.endpoints // 2
        return {"blue": addresses(self.blue, each), "green": addresses(self.green, each)}

    def write(self, name: str, text: str) -> str:
        """A file in the folder; its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)


def addresses(port: int, count: int) -> list[str]:
    """So many loopback addresses with this port."""
    if count == 1:
        return [f"127.0.0.1:{port}"]
    return [f"127.{1 + n // 62_500}.{n // 250 % 250}.{1 + n % 250}:{port}" for n in range(count)]


def prefixes(setting: Setting) -> list[str]:
    """The paths that lead to the pools; none: all do."""
    return [f"/r/{number}/" for number in range(setting.routes)]
