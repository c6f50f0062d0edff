"""A worker's access log: records are collected, made lines of in small batches, and handed to the file's thread."""

import asyncio
import logging
import os
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from proxy.core.appending import open_log, reason
from proxy.dataplane.plane import Plane
from proxy.snapshot.compile import CompileError
from proxy.snapshot.document import AccessLog as Settings
from proxy.telemetry.access_log import line_of, wanted
from proxy.telemetry.record import Record
from proxy.worker.log_file import LogFile

log = logging.getLogger("sluice")

BATCH: Final = 256  # records: about a millisecond of making lines
DELAY: Final = 0.1  # seconds that a record waits for others at most
_PATIENCE: Final = 2.0  # seconds that the end waits for the disk: less than the master does
_MINUTE: Final = 60.0


class AccessLog:
    """What a worker logs of its requests. Nothing is made, and nothing runs, where nothing is to be logged."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._settings: Settings | None = None
        self._prepared: tuple[str, int] | None = None
        self._file: LogFile | None = None
        self._leaving: list[LogFile] = []
        self._lost = 0  # by files that are closed
        self._told = 0
        self._records: list[Record] = []
        self._due: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._line: Callable[[Record], bytes] = line_of("json")
        self._wanted: Callable[[Record], bool] | None = None

    @property
    def dropped(self) -> int:
        """Lines that were lost since the worker started."""
        files = [*self._leaving, *([self._file] if self._file else [])]
        return self._lost + sum(file.dropped for file in files)

    # -- changes

    def prepare(self, settings: Settings | None) -> None:
        """Open what a document to come wants; CompileError where that cannot be."""
        self.abandon()
        if settings is None or (self._file is not None and self._file.path == settings.path):
            return
        try:
            self._prepared = settings.path, open_log(settings.path)
        except OSError as error:
            raise CompileError([f"access_log: {settings.path} cannot be opened: {reason(error)}"]) from error

    def abandon(self) -> None:
        """Let go of what was prepared."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            os.close(prepared[1])

    def use(self, settings: Settings | None, plane: Plane) -> None:
        """Log like this from now on. What was not prepared is opened; where that fails, later, and nothing else does.

        The file stays open where the path is the same.
        """
        if settings == self._settings:
            self.abandon()
            return
        self.flush()
        self._settings = settings
        plane.on_end = None if settings is None else self.take
        if self._file is not None and (settings is None or settings.path != self._file.path):
            self._file.close()
            self._leaving.append(self._file)
            self._file = None
        if settings is None:
            return
        self._line = line_of(settings.format)
        self._wanted = wanted(settings.statuses, settings.slower_than, settings.sample, random.random)
        if self._file is None:
            self._file = self._open(settings.path)

    def _open(self, path: str) -> LogFile:
        prepared, self._prepared = self._prepared, None
        if prepared is not None and prepared[0] == path:
            return LogFile(*prepared)
        try:
            return LogFile(path, open_log(path))
        except OSError as error:
            log.error("access_log: %s cannot be opened: %s; lines are dropped until it can", path, reason(error))  # noqa: TRY400
            return LogFile(path, None)

    def reopen(self) -> None:
        """What is logged from now on goes to what the path names now; what was logged before, where it went so far."""
        if self._file is not None:
            self.flush()
            self._file.reopen()
        if self._prepared is not None:
            path = self._prepared[0]
            self.abandon()
            with suppress(OSError):  # it is tried again, and told, when it is used
                self._prepared = path, open_log(path)

    # -- records

    def take(self, record: Record) -> None:
        """One exchange has ended."""
        if self._wanted is not None and not self._wanted(record):
            return
        records = self._records
        records.append(record)
        if len(records) >= BATCH:
            self.flush()
        elif self._due is None:
            self._due = self._loop.call_later(DELAY, self.flush)

    def flush(self) -> None:
        """Make lines of what is collected, and hand them on."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        records, self._records = self._records, []
        if records and self._file is not None:
            self._file.write(b"".join(map(self._line, records)), len(records))
            if self._watch is None:
                self._watch = self._loop.call_later(_MINUTE, self._tell_dropped)
        if self._leaving:
            self._forget_closed()

    def _forget_closed(self) -> None:
        closed = [file for file in self._leaving if file.is_closed]
        self._lost += sum(file.dropped for file in closed)
        self._leaving = [file for file in self._leaving if file not in closed]

    def _tell_dropped(self) -> None:
        """Once a minute, while there is something to tell."""
        self._watch = None
        dropped = self.dropped
        if dropped > self._told:
            log.warning("the access log has dropped %d lines: what it goes to is too slow", dropped - self._told)
            self._told = dropped

    async def close(self) -> None:
        """Write everything there is, unless that takes too long."""
        self.flush()
        self.abandon()
        if self._watch is not None:
            self._watch.cancel()
        files = [*self._leaving, *([self._file] if self._file else [])]
        if self._file is not None:
            self._file.close()
            self._file = None
        end = self._loop.time() + _PATIENCE
        for file in files:
            await self._loop.run_in_executor(None, file.join, max(0.0, end - self._loop.time()))
            if not file.is_closed:
                log.error("the access log %s takes nothing: its last lines are lost", file.path)
