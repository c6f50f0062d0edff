#!/usr/bin/env python3
"""Memory of the proxy for each idle keep-alive connection that has made one request.

    .venv/bin/python bench/idle_connections.py               # 10,000 connections, to one proxied service
    .venv/bin/python bench/idle_connections.py --count 2000

What is told is the growth of the worker's proportional set size (/proc/PID/smaps_rollup) divided by the connections;
the kernel's socket buffers are not in it. Exit status 1 above --most KiB.
"""

import argparse
import asyncio
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

CONFIG = """
listeners: [{{bind: 127.0.0.1:{port}, limits: {{keep_alive: 10m}}}}]
admin: {{bind: 127.0.0.1:{admin}}}
services: {{one: {{pools: {{only: {{endpoints: [127.0.0.1:{origin}]}}}}}}}}
routes: [{{service: one}}]
"""
REQUEST = b"GET /page?id=1 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: bench\r\nCookie: a=b\r\n\r\n"


def free_ports(count: int) -> list[int]:
    """Ports that nobody has just now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def worker_of(pid: int) -> int:
    """The pid of a master's only worker."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    (worker,) = [child for child in children if b"proxy.worker" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return int(worker)


def pss_kib(pid: int) -> int:
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An origin that says ok."""
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def connect(port: int) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    await reader.readuntil(b"\r\n\r\nok")
    return writer


async def ready(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                (await connect(port)).close()
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return


async def measure(count: int) -> float:
    """KiB for each of `count` idle connections."""
    port, admin, origin = free_ports(3)
    server = await asyncio.start_server(answer, "127.0.0.1", origin)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "sluice.yaml")
        config.write_text(CONFIG.format(port=port, admin=admin, origin=origin))
        command = [sys.executable, "-m", "proxy", "run", str(config)]
        proxy = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ})
        try:
            await ready(port)
            worker = worker_of(proxy.pid)
            before = pss_kib(worker)
            clients = []
            for _ in range(0, count, 100):
                clients += await asyncio.gather(*[connect(port) for _ in range(100)])
            await asyncio.sleep(6)  # connections to the origin grow old and go
            after = pss_kib(worker)
            print(f"{len(clients)} connections: {before / 1024:.1f} MiB before, {after / 1024:.1f} MiB after")
            for client in clients:
                client.close()
        finally:
            proxy.terminate()
            proxy.wait(30)
            server.close()
    return (after - before) / count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--most", type=float, default=12.0, help="KiB")
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    each = asyncio.run(measure(args.count))
    print(f"{each:.2f} KiB for each (at most {args.most:g})")
    return int(each > args.most)


if __name__ == "__main__":
    sys.exit(main())
