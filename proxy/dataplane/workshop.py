"""Where what takes long is done: a few threads, and a queue that has an end."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")

THREADS: Final = 2
MOST_WAITING: Final = 64


class Workshop:
    """Threads of one worker. A job that nobody waits for any more, and that has not begun, is not done."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._threads: ThreadPoolExecutor | None = None
        self._taken = 0

    def take(self, work: Callable[[], T]) -> "asyncio.Future[T] | None":
        """The result to come; None where too many jobs wait already."""
        if self._taken >= THREADS + MOST_WAITING:
            return None
        if self._threads is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - few proxies need any thread

            self._threads = ThreadPoolExecutor(THREADS, "workshop")
        self._taken += 1
        future = self._loop.run_in_executor(self._threads, work)
        future.add_done_callback(self._done)
        return future

    def close(self) -> None:
        """Begin nothing more."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _done(self, _future: object) -> None:
        self._taken -= 1
