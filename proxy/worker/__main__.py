"""`python -m proxy.worker DESCRIPTOR`: started by the master, never by hand."""

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable

from proxy.worker.worker import Worker


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


async def serve(channel: socket.socket) -> None:
    """Be a worker."""
    worker = Worker(asyncio.get_running_loop(), channel)
    gc.collect()
    gc.freeze()  # what exists now lives as long as the worker: no use in looking at it again
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
        runner.run(serve(channel))
    return 0


if __name__ == "__main__":
    sys.exit(main())
