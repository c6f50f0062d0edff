"""The plug-ins of one worker: opened before their generation is in force, closed when the last exchange has ended."""

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from proxy.plugins.host import Host
from proxy.plugins.library import Library, forget, in_time
from proxy.snapshot.compile import CompileError, Snapshot
from proxy.snapshot.document import Document
from proxy.telemetry.report import PluginReport

log = logging.getLogger("sluice")

PATIENCE: Final = 10.0  # seconds for an open() or a close()
_MOST: Final = 2.0**63
MOST_COUNTERS: Final = 100  # of one plug-in that are told
_LONGEST: Final = 200  # characters of a counter's name; a longer one is not told


class Hosts:
    """All plug-ins that are open here. `on_code` is called before a document's plug-ins are made and opened."""

    def __init__(self) -> None:
        self._open: set[Host] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._gone: dict[tuple[str, str], PluginReport] = {}
        self._library: Library | None = None
        self.on_code: Callable[[], None] | None = None

    @property
    def is_empty(self) -> bool:
        """Are there none?"""
        return not self._open

    async def load(self, document: Document) -> Library:
        """The classes that the document uses, imported in a thread."""
        library = self._library
        if library is None or library.files != document.plugins:
            library = Library(document.plugins)
        if document.uses:
            if self.on_code is not None:
                self.on_code()
            await asyncio.to_thread(library.load_in_time, document.uses)
        self._library = library
        return library

    async def open_new(self, snapshot: Snapshot, before: Snapshot | None) -> None:
        """Open those of a generation to come; CompileError where one cannot be, and then none of the new ones is."""
        for host in _hosts(snapshot) - self._open:
            limit = asyncio.timeout(PATIENCE)
            try:
                async with limit:
                    await _lived(host, "open")
            except Exception as error:
                await self.close_unused(before)
                said = " ".join(f"{type(error).__name__}: {error}".split())
                why = f"took longer than {PATIENCE:g} s" if limit.expired() else f"failed: {said}"
                raise CompileError([f"plug-in {host.name}: open() {why}"]) from error
            host.is_open = True
            host.on_empty = partial(self._close_soon, host)
            self._open.add(host)

    async def close_unused(self, snapshot: Snapshot | None) -> None:
        """Close what was opened for a generation that is not to be; `snapshot` is the one in force."""
        for host in self._open - _hosts(snapshot):
            if not host.is_retired:
                await self._close(host)

    def retire(self, snapshot: Snapshot) -> None:
        """This generation is in force: what it does not use is closed as soon as nobody uses it any more."""
        if not self._open:
            return
        for host in self._open - _hosts(snapshot):
            host.end()
        if self._library is not None and self._library.files is not None:
            forget({self._library.files.digest})

    async def close(self) -> None:
        """The worker ends."""
        for host in tuple(self._open):
            await self._close(host)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def reports(self) -> tuple[PluginReport, ...]:
        """What all of them have counted, those that are closed included."""
        found = dict(self._gone)
        for host in self._open:
            _add(found, host)
        return tuple(found.values())

    def _close_soon(self, host: Host) -> None:
        if host in self._open:
            task = asyncio.get_running_loop().create_task(self._close(host))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _close(self, host: Host) -> None:
        self._open.discard(host)
        host.is_open = False
        _add(self._gone, host)
        host.counters.clear()
        host.raised = host.timed_out = 0
        try:
            async with asyncio.timeout(PATIENCE):
                await _lived(host, "close")
        except Exception:
            log.exception("plug-in %s: close() failed", host.name)


def _hosts(snapshot: Snapshot | None) -> set[Host]:
    """The plug-ins that a generation uses."""
    return set() if snapshot is None else {each for each in snapshot.standings if isinstance(each, Host)}


async def _lived(host: Host, what: str) -> None:
    """Call open or close where there is one: in a thread unless it is async, since it may take long."""
    method = getattr(host.plugin, what, None)
    if method is None:
        return
    try:
        if inspect.iscoroutinefunction(method):
            await method()
        else:
            await asyncio.to_thread(in_time, method, PATIENCE + 1.0)  # we have gone on before
    except (Exception, asyncio.CancelledError):
        raise
    except BaseException as error:  # sys.exit and the like would end this worker
        raise RuntimeError(f"it raised {error!r}") from error


def _add(found: dict[tuple[str, str], PluginReport], host: Host) -> None:
    before = found.get((host.use, host.at)) or PluginReport(host.use, host.at)
    counters = dict(before.counters)
    own: list[tuple[Any, Any]] = list(host.counters.items())[:MOST_COUNTERS]  # whatever users put there
    for name, value in own:
        # Beyond that it fits no message, and what is not finite adds up to nothing.
        if isinstance(name, str) and len(name) <= _LONGEST and isinstance(value, int | float) and abs(value) < _MOST:
            told = name.encode("utf-8", "replace").decode()
            counters[told] = counters.get(told, 0.0) + value
    failures = Counter(before.failures)
    failures.update({"raised": host.raised, "timed_out": host.timed_out})
    failed = {name: count for name, count in failures.items() if count}
    found[host.use, host.at] = PluginReport(host.use, host.at, counters, failed)
