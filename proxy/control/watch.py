"""Watches the configuration: editors that write in place or rename, ConfigMaps that swap a link, bind mounts.

Events of the directory tell at once; a look at the files every second finds what no event told of (a file mounted by
itself, a network file system). Either way only other content counts.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from hashlib import blake2b
from pathlib import Path
from threading import Event
from typing import Final

import watchfiles

log = logging.getLogger(__name__)
logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells of every file that somebody touches

POLL: Final = 1.0
SETTLE: Final = 0.05  # seconds without an event before the files are read: an editor writes more than once


class Watch:
    """Calls `changed` when the files' content has changed; `also` tells which others the configuration is made of."""

    def __init__(
        self, path: Path, changed: Callable[[], None], also: Callable[[], Iterable[Path]] = lambda: ()
    ) -> None:
        self._path = path
        self._changed = changed
        self._also = also
        self._wake = asyncio.Event()
        self._last = fingerprint(path, also())

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._look())

    async def _listen(self) -> None:
        directory = self._path if self._path.is_dir() else self._path.parent
        cancelled = Event()
        # Not awatch: it brings in anyio with its event loop, 0.9 MiB.
        changes = watchfiles.watch(
            directory,
            watch_filter=_is_ours,
            debounce=50,
            step=20,
            stop_event=cancelled,
            recursive=False,
            ignore_permission_denied=True,
        )
        try:
            while await asyncio.to_thread(next, changes, None) is not None:
                self._wake.set()
        except OSError as error:
            log.warning("the directory of the configuration cannot be watched, it is looked at every second: %s", error)
        finally:
            cancelled.set()

    async def _look(self) -> None:
        while True:
            try:
                async with asyncio.timeout(POLL):
                    await self._wake.wait()
                    await asyncio.sleep(SETTLE)
            except TimeoutError:
                pass
            self._wake.clear()
            now = await asyncio.to_thread(fingerprint, self._path, tuple(self._also()))
            if now != self._last:
                self._last = now
                self._changed()


def _is_ours(_change: watchfiles.Change, path: str) -> bool:
    """A file of the configuration, or the link that Kubernetes swaps."""
    name = path.rpartition("/")[2]
    return name.endswith((".yaml", ".yml", ".json")) or name == "..data"


def fingerprint(path: Path, also: Iterable[Path] = ()) -> bytes:
    """A hash of the configuration's content; of its absence where it cannot be read."""
    digest = blake2b(digest_size=16)
    try:
        files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        for file in (*files, *also):
            if not file.name.startswith("."):
                digest.update(file.name.encode(errors="surrogateescape") + b"\0" + file.read_bytes() + b"\0")
    except OSError as error:
        digest.update(type(error).__name__.encode())
    return digest.digest()
