"""A log file written by a thread of its own: whoever logs never waits for a disk or for who reads a pipe."""

import logging
import os
import select
import stat
import threading
import time
from collections import deque
from typing import Final

from proxy.core.appending import open_log

log = logging.getLogger("sluice")

MOST_WAITING: Final = 8 * 1024 * 1024  # bytes
_PIPE_BUF: Final = select.PIPE_BUF  # what several writers of one pipe may write at once without being mixed (pipe(7))
_AGAIN: Final = 5.0  # seconds between tries to open what could not be opened


class LogFile:
    """Whole lines to one path. `descriptor` is None where it could not be opened: it is tried again, as it is where it
    can't be opened anew; lines go on to the old file meanwhile.

    `dropped` counts lines that were lost: too much was waiting, or they could not be written.
    """

    def __init__(self, path: str, descriptor: int | None) -> None:
        self.path = path
        self._descriptor = descriptor
        self._orders: deque[tuple[bytes, int] | str] = deque()
        self._news = threading.Condition()
        self._waiting = 0
        self._refused = 0  # counted by the loop
        self._failed = 0  # counted by the thread
        self._told = ""
        self._is_behind = False  # should it have been opened anew?
        self._torn = False  # is the last line of the file cut off?
        self._done = 0  # bytes written of what is being written
        self._opened = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines that were lost."""
        return self._refused + self._failed

    @property
    def is_closed(self) -> bool:
        """Is everything written, and the file closed?"""
        return not self._thread.is_alive()

    def write(self, data: bytes, lines: int) -> None:
        """Take whole lines, or drop them where too much is waiting; never where nothing is."""
        with self._news:
            if self._waiting and self._waiting + len(data) > MOST_WAITING:
                self._refused += lines
                return
            self._waiting += len(data)
            self._orders.append((data, lines))
            self._news.notify()

    def reopen(self) -> None:
        """What comes from now on goes to what the path names then."""
        self._order("reopen")

    def close(self) -> None:
        """Write what waits, and close; `join` waits for that."""
        self._order("close")

    def join(self, patience: float) -> None:
        """Wait so many seconds at most until it is closed."""
        self._thread.join(patience)

    def _order(self, what: str) -> None:
        with self._news:
            self._orders.append(what)
            self._news.notify()

    # -- the thread

    def _run(self) -> None:
        while True:
            with self._news:
                while not self._orders:
                    self._news.wait()
                order = self._orders.popleft()
            if order == "close":
                self._leave(None)
                return
            if order == "reopen":
                self._open()
            elif not isinstance(order, str):
                self._write_or_drop(*order)
                with self._news:
                    self._waiting -= len(order[0])

    def _open(self) -> None:
        self._opened = time.monotonic()
        try:
            opened = open_log(self.path)
        except OSError as error:
            self._is_behind = self._descriptor is not None
            there = ("lines go to the old file",) if self._is_behind else ()
            self._tell(f"cannot be opened: {error.strerror}", *there)
        else:
            self._is_behind = False
            self._leave(opened)

    def _leave(self, descriptor: int | None) -> None:
        before, self._descriptor, self._torn = self._descriptor, descriptor, False
        if before is not None:
            try:
                os.close(before)
            except OSError as error:  # of what a network's file system could not write after all
                self._tell(f"was not closed well: {error.strerror}")

    def _write_or_drop(self, data: bytes, lines: int) -> None:
        if (self._is_behind or self._descriptor is None) and time.monotonic() >= self._opened + _AGAIN:
            self._open()
        if self._descriptor is None:
            self._failed += lines
            return
        self._done = 0
        try:
            if self._torn:
                os.write(self._descriptor, b"\n")
                self._torn = False
            for piece in self._pieces(self._descriptor, data):
                self._write(self._descriptor, piece)
        except OSError as error:
            self._failed += lines - data.count(b"\n", 0, self._done)
            self._torn = self._done > 0 and data[self._done - 1 : self._done] != b"\n"
            self._tell(f"cannot be written: {error.strerror}")
        else:
            self._told = self._told if self._is_behind else ""

    @staticmethod
    def _pieces(descriptor: int, data: bytes) -> list[bytes]:
        """All at once; lines one by one, or several, where workers share a pipe that would mix what is longer."""
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return [data]
        pieces = [b""]
        for line in [each + b"\n" for each in data.split(b"\n")[:-1]] if len(data) > _PIPE_BUF else [data]:
            if pieces[-1] and len(pieces[-1]) + len(line) > _PIPE_BUF:
                pieces.append(b"")
            pieces[-1] += line
        return pieces

    def _write(self, descriptor: int, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                written = os.write(descriptor, left)
            except BlockingIOError:  # a standard stream that others have made so
                select.select([], [descriptor], [])
                continue
            self._done += written
            left = left[written:]

    def _tell(self, problem: str, meanwhile: str = "lines are dropped and counted") -> None:
        """Once, until it is well again."""
        if problem != self._told:
            self._told = problem
            log.error("the access log %s %s; traffic goes on, %s", self.path, problem, meanwhile)
