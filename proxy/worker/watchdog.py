"""Names the plug-in that holds a worker's loop, and ends a worker that is held for good: the master replaces it."""

import asyncio
import logging
import os
import sys
import threading
import time
from types import FrameType
from typing import Final

from proxy.plugins.library import is_of_plugin
from proxy.plugins.watch import WATCH

log = logging.getLogger("sluice")

LOOK: Final = 0.05  # seconds between two looks
NAMED_AFTER: Final = 0.1
ENDED_AFTER: Final = 10.0


class Watchdog:
    """A thread that looks whether the loop goes round. It watches between `start` and `stop`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._main = threading.get_ident()
        self._turns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Watch, if it does not already."""
        if self._timer is None:
            self._stopped = threading.Event()
            self._turn()
            threading.Thread(target=self._watch, args=(self._stopped,), name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """There is nothing to watch any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._stopped.set()

    def _turn(self) -> None:
        self._turns += 1
        self._timer = self._loop.call_later(LOOK, self._turn)

    def _watch(self, stopped: threading.Event) -> None:
        seen, since, named = self._turns, time.monotonic(), ""
        while not stopped.wait(LOOK):
            now = time.monotonic()
            if self._turns != seen:
                if named:
                    log.warning("%s held this worker for %.1f s", named, now - since)
                seen, since, named = self._turns, now, ""
                continue
            if now - since >= NAMED_AFTER and not named:
                named = self._culprit()
                if named:
                    log.warning("%s holds this worker, and all its requests, since %.1f s", named, now - since)
            if now - since >= ENDED_AFTER and named:
                log.error("%s has held this worker for %.0f s: it ends, to be replaced", named, now - since)
                os._exit(1)

    def _culprit(self) -> str:
        """The plug-in whose code the loop is in, and where; "" where it is in none."""
        frame: FrameType | None = sys._current_frames().get(self._main)  # noqa: SLF001 - there is no other way to it
        while frame is not None:
            if is_of_plugin(frame.f_globals.get("__name__", "")):
                name = WATCH.at_work or "a coroutine of a plug-in"
                return f"plug-in {name} ({frame.f_code.co_filename}:{frame.f_lineno})"
            frame = frame.f_back
        return f"plug-in {WATCH.at_work}" if WATCH.at_work else ""
