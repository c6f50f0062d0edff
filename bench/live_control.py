#!/usr/bin/env python3
"""What changes cost while traffic flows: how soon a flip is in force, and how long a reload holds a worker.

    .venv/bin/python bench/live_control.py

Starts its own proxies and origins on loopback, for about a minute.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from idle_connections import answer, free_ports

PLUGINS = Path(__file__).parent / "plugins"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def call(admin: int, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    """Status and body of a call of the admin."""
    data = b"" if body is None else json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", admin)
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    text = await reader.read()
    writer.close()
    return int(text.split(b" ")[1]), text.partition(b"\r\n\r\n")[2]


@contextlib.asynccontextmanager
async def running(text: str, admin: int) -> AsyncIterator[tuple[subprocess.Popen[bytes], Path]]:
    """A proxy that is ready, and its configuration."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "sluice.yaml")
        config.write_text(text)
        command = [sys.executable, "-m", "proxy", "run", str(config)]
        environ = {**os.environ, "STATE_DIRECTORY": f"{folder}/state"}
        proxy = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environ)
        try:
            async with asyncio.timeout(60):
                while True:
                    with contextlib.suppress(OSError, IndexError):
                        if (await call(admin, "GET", "/readyz"))[0] == 200:
                            break
                    await asyncio.sleep(0.05)
            yield proxy, config
        finally:
            proxy.terminate()
            proxy.wait(30)


def small(port: int, admin: int, origin: int, workers: int) -> str:
    """One service in two colours."""
    pools = f"{{blue: {{endpoints: [127.0.0.1:{origin}]}}, green: {{endpoints: ['localhost:{origin}']}}}}"
    return (
        f"listeners: [{{bind: 127.0.0.1:{port}}}]\nadmin: {{bind: 127.0.0.1:{admin}}}\nworkers: {workers}\n"
        f"shutdown: {{idle: 0s}}\nservices: {{shop: {{pools: {pools}, split: {{blue: 1, green: 0}}}}}}\n"
        "routes: [{service: shop}]\n"
    )


def large(port: int, admin: int, origin: int, mark: int) -> str:
    """1,000 routes to 100 services with 2,000 endpoints; `mark` is a weight of each, so that all of it changes."""
    services = "\n".join(
        f"  s{number}: {{pools: {{blue: {{endpoints: ["
        + ", ".join(f"{{address: '127.{number}.{each}.1:{origin}', weight: {mark}}}" for each in range(20))
        + "]}}}"
        for number in range(100)
    )
    routes = "\n".join(
        f"  - {{match: {{host: h{number}.example.com, path: /p{number}/*}}, service: s{number % 100}}}"
        for number in range(999)
    )
    return (
        f"listeners: [{{bind: 127.0.0.1:{port}}}]\nadmin: {{bind: 127.0.0.1:{admin}}}\nshutdown: {{idle: 0s}}\n"
        f"plugins: {{path: {PLUGINS}}}\nfilters: [{{plugin: {{use: 'hold:Hold'}}}}]\n"
        f"services:\n{services}\nroutes:\n{routes}\n  - respond: {{status: 200, body: ok}}\n"
    )


async def flips(origin: int, count: int) -> None:
    """How long a flip takes until it is in force in all of four workers, which is when it is answered."""
    port, admin = free_ports(2)
    async with running(small(port, admin, origin, workers=4), admin) as (proxy, _):
        took = []
        for number in range(count):
            began = time.perf_counter()
            status, _ = await call(admin, "POST", "/v1/services/shop/flip", {"to": ("green", "blue")[number % 2]})
            took.append((time.perf_counter() - began) * 1000)
            assert status == 200
        late = sorted(took)[count * 95 // 100]
        print(f"flip in force in 4 workers: median {statistics.median(took):.1f} ms, 95 % {late:.1f} ms")
        await spread(proxy.pid, port)


async def spread(master: int, port: int) -> None:
    """How 400 connections spread over the workers."""
    before = [descriptors(pid) for pid in workers(master)]
    writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(400)]
    await asyncio.sleep(1)
    counts = [descriptors(pid) - was for pid, was in zip(workers(master), before, strict=True)]
    print(f"400 connections over 4 workers: {sorted(counts)}, factor {max(counts) / max(1, min(counts)):.2f}")
    for writer in writers:
        writer.close()


def workers(master: int) -> list[int]:
    """Pids of the workers."""
    children = map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split())
    return [pid for pid in children if b"proxy.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def descriptors(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def reloads(count: int) -> None:
    """The longest that one connection waits for an answer while everything is reloaded, beside the longest without."""
    port, admin, origin = free_ports(3)
    async with running(large(port, admin, origin, 1), admin) as (_, config):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        waits: list[float] = []

        async def ping() -> None:
            while True:
                began = time.perf_counter()
                writer.write(GET)
                await reader.readuntil(b"\r\n\r\nok")
                waits.append((time.perf_counter() - began) * 1000)

        pinging = asyncio.create_task(ping())
        await call(port, "GET", "/forget")
        await asyncio.sleep(3)
        held = [int((await call(port, "GET", "/forget"))[1])]
        quiet = sorted(waits)
        waits.clear()
        took = []
        for number in range(count):
            config.write_text(large(port, admin, origin, 2 + number % 2))
            began = time.perf_counter()
            status, body = await call(admin, "POST", "/v1/reload")
            took.append(time.perf_counter() - began)
            assert status == 200, body
        held.append(int((await call(port, "GET", "/forget"))[1]))
        pinging.cancel()
        writer.close()
        busy = sorted(waits)
        print(
            f"1,000 routes and 2,000 endpoints reloaded {count} times, {statistics.median(took):.2f} s each; a request"
            f" waited at most {busy[-1]:.1f} ms (99.9 %: {busy[len(busy) * 999 // 1000]:.1f} ms), without reloads"
            f" {quiet[-1]:.1f} ms"
        )
        print(f"its loop was held for at most {held[1] / 1000:.1f} ms, without reloads {held[0] / 1000:.1f} ms")


async def idle() -> None:
    """The memory of an idle proxy with one worker."""
    port, admin, origin = free_ports(3)
    async with running(small(port, admin, origin, workers=1), admin) as (proxy, _):
        await call(admin, "GET", "/metrics")
        await asyncio.sleep(2)
        master = proxy.pid
        pids = [master, *map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split())]
        mib = [pss(pid) for pid in pids]
        print(f"idle with one worker: {sum(mib):.1f} MiB PSS ({', '.join(f'{each:.1f}' for each in mib)})")


def pss(pid: int) -> float:
    """MiB of memory that is a process's own, and its part of what is shared."""
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) / 1024


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--reloads", type=int, default=10)
    args = parser.parse_args()
    (port,) = free_ports(1)
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    await flips(port, args.flips)
    await reloads(args.reloads)
    await idle()
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
