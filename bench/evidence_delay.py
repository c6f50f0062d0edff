#!/usr/bin/env python3
"""How long it takes until the judge of a rollout knows of an error, and of a request that is too slow.

    .venv/bin/python bench/evidence_delay.py                # 100 of each
    .venv/bin/python bench/evidence_delay.py --workers 2 --count 50

An error counts from when its client has the response, a slow request from when its threshold has passed. Until the
admin shows it: the figure has the asking in it, which goes on
without pause.
"""

import argparse
import asyncio
import contextlib
import json
import time
from typing import Any

from idle_connections import free_ports
from live_control import call, running

THRESHOLD = 0.25  # seconds
TEXT = """\
listeners: [{{bind: 127.0.0.1:{port}}}]
admin: {{bind: 127.0.0.1:{admin}}}
workers: {workers}
services:
  shop:
    pools: {{blue: {{endpoints: [127.0.0.1:{origin}]}}, green: {{endpoints: [127.0.0.1:{origin}]}}}}
    split: {{blue: 100, green: 0}}
    ejection: off
routes: [{{service: shop}}]
rollouts:
  r:
    service: shop
    candidate: green
    steps: [{{split: 50%}}, {{bake: 1h}}]
    judge: {{errors: {{alpha: 0.000001%}}, slower_than: [250ms]}}
"""


async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers errors, and later than the threshold where that is asked for."""
    with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            if head.startswith(b"GET /slow"):
                await asyncio.sleep(2 * THRESHOLD)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            else:
                writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")


async def rollout(admin: int) -> Any:
    """How it stands."""
    return json.loads((await call(admin, "GET", "/v1/rollouts/r"))[1])


async def harm(admin: int) -> float:
    """The judge's number that every event moves."""
    return float((await rollout(admin))["verdict"]["numbers"].get("harm", 1.0))


async def delay(port: int, admin: int, path: str, threshold: float | None) -> float:
    """Milliseconds until one event is known: since its response, or since the threshold."""
    before, began = await harm(admin), time.monotonic()
    asked = asyncio.create_task(call(port, "GET", path))
    if threshold is None:
        await asked
        began = time.monotonic()
    while await harm(admin) == before:
        pass
    known = time.monotonic()
    await asked
    return 1000 * (known - began - (threshold or 0.0))


async def measure(count: int, workers: int) -> None:
    """Both kinds of event."""
    port, admin, back = free_ports(3)
    server = await asyncio.start_server(origin, "127.0.0.1", back)
    async with running(TEXT.format(port=port, admin=admin, origin=back, workers=workers), admin):
        await call(admin, "POST", "/v1/rollouts/r/start")
        while (await rollout(admin))["step"] != 1:
            pass
        for what, path, threshold in (("an error", "/", None), ("slower than 250 ms", "/slow", THRESHOLD)):
            found = sorted([await delay(port, admin, path, threshold) for _ in range(count)])
            middle, most = found[len(found) // 2], found[int(len(found) * 0.95)]
            print(f"{what:20} known after: median {middle:3.0f} ms, 95 % {most:3.0f} ms, at most {found[-1]:3.0f} ms")
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    asyncio.run(measure(args.count, args.workers))


if __name__ == "__main__":
    main()
