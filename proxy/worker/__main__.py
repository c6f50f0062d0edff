"""`python -m proxy.worker DESCRIPTOR`: started by `sluice run`, never by hand."""

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Callable

from proxy.worker.start import Start
from proxy.worker.worker import Worker, raise_descriptor_limit


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


async def serve(start: Start) -> None:
    """Be a worker."""
    worker = Worker(start, asyncio.get_running_loop())
    gc.collect()
    gc.freeze()  # what exists now lives as long as the worker: no use in looking at it again
    await worker.run()


def main() -> int:
    """Read what to serve from the inherited descriptor, and serve it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    start = Start.from_file(int(sys.argv[1]))
    raise_descriptor_limit()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(start))
    return 0


if __name__ == "__main__":
    sys.exit(main())
