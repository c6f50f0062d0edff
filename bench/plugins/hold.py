"""How long a worker's loop is held: measured in the worker itself, by the CPU time between two of its turns."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from proxy.plugins import Facts, Reply, Request


@dataclass
class Hold:
    """`longest_us` is the most microseconds since the last request for /forget."""

    counters: Counter[str] = field(default_factory=Counter, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    async def open(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def on_request(self, request: Request, facts: Facts) -> Reply | None:
        if request.path != "/forget":
            return None
        longest, self.counters["longest_us"] = self.counters["longest_us"], 0
        return Reply(200, str(longest))

    async def _watch(self) -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)  # one turn of the loop
            took = int((time.thread_time() - began) * 1_000_000)
            self.counters["longest_us"] = max(self.counters["longest_us"], took)
            await asyncio.sleep(0.0005)
