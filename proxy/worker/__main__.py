"""`python -m proxy.worker DESCRIPTOR`: started by the master, never by hand."""

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from proxy.worker.worker import Worker

log = logging.getLogger("sluice")


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop where it is installed, unless SLUICE_LOOP=asyncio."""
    if os.environ.get("SLUICE_LOOP") != "asyncio":
        try:
            import uvloop  # noqa: PLC0415 - optional: asyncio's own loop works too
        except ImportError:
            logging.getLogger("sluice").warning("uvloop is not installed: asyncio's own loop is slower")
        else:
            return uvloop.new_event_loop
    return asyncio.new_event_loop


def raise_descriptor_limit() -> None:
    """As many descriptors as the system lets us have: two for each connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    """Run until this is done, whatever ends the loop before: what a plug-in has left there may call sys.exit.

    From a task or callback of its own that leaves the loop at once, and would take all connections along.
    """
    task = loop.create_task(work)
    task.add_done_callback(lambda _: loop.stop())
    while not task.done():
        try:
            loop.run_forever()
            error: BaseException | None = None
        except (SystemExit, KeyboardInterrupt) as raised:
            error = raised
        if not task.done():
            log.error("this worker's loop was ended from within: it goes on", exc_info=error)
    task.result()


def end_in_time() -> None:
    """All is done: end, although threads and tasks that a plug-in has left there may not."""
    timer = threading.Timer(1.0, os._exit, (0,))
    timer.daemon = True
    timer.start()


async def serve(channel: socket.socket) -> None:
    """Be a worker."""
    worker = Worker(asyncio.get_running_loop(), channel)
    gc.collect()
    gc.freeze()  # what exists now lives as long as the worker: no use in looking at it again
    # A request leaves no garbage in cycles, but 1,000 connections are young objects enough for 30 looks at them in a
    # second: 1.1 % of the worker's time, and 0.2 % with these thresholds (bench/gc_pauses.py).
    gc.set_threshold(10_000, 20, 50)
    await worker.run()


def main() -> int:
    """Serve on the channel whose descriptor is the argument."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # the master's business, which then speaks to its children
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    raise_descriptor_limit()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        run(runner.get_loop(), serve(channel))
        end_in_time()
    return 0


if __name__ == "__main__":
    sys.exit(main())
