"""What asks: wrk as fast as it goes, h2load at a fixed rate, our own for WebSockets and idle connections."""

import asyncio
import contextlib
import http.client
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from beside import echo
from beside.cases import BROWSER, Case
from beside.machine import Cores, pinned
from beside.setting import STICKY

PATIENCE = 60.0
"""Seconds that a generator may take longer than it was told to."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a generator counted; `trouble` is empty when all went well."""

    requests: int
    rate: float
    trouble: str = ""


def run(command: list[str], cores: Cores, seconds: float) -> str:
    """Its output; RuntimeError when it fails or does not end."""
    try:
        done = subprocess.run(
            pinned(cores.load, command), capture_output=True, text=True, check=False, timeout=seconds + PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{command[0]} did not end") from None
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-200:]}")
    return done.stdout


def wrk(port: int, case: Case, seconds: float, script: Path | None, cores: Cores) -> Load:
    """One thread, as many requests as come back; wrk takes whole seconds."""
    command = ["wrk", "-t1", f"-c{case.connections}", f"-d{max(1, round(seconds))}s"]
    for field in case.fields:
        command += ["-H", field]
    if script is not None:
        command += ["-s", str(script)]
    said = run([*command, f"http://127.0.0.1:{port}{case.path}"], cores, seconds)
    count, rate = re.search(r"(\d+) requests in", said), re.search(r"Requests/sec:\s+([\d.]+)", said)
    if count is None or rate is None:
        raise RuntimeError(f"wrk said {said[-200:]!r}")
    trouble = re.findall(r"Non-2xx.*|Socket errors.*", said)
    return Load(int(count[1]), float(rate[1]), "; ".join(each.strip() for each in trouble))


def websockets(port: int, connections: int, seconds: float, cores: Cores) -> Load:
    """Messages that came back."""
    command = [sys.executable, echo.__file__, "load", str(port), str(connections), str(seconds)]
    found = json.loads(run(command, cores, seconds))
    silent = f"{found['silent']} connections without an echo" if found["silent"] else ""
    return Load(found["requests"], found["rate"], silent)


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds at a fixed rate; `reached` is below the rate that was wanted where the proxy can't keep up."""

    p50: float
    p99: float
    p999: float
    reached: float
    trouble: str = ""


CLIENTS = 50


def at_rate(port: int, rate: float, seconds: float, folder: Path, cores: Cores) -> Latency:
    """h2load with an HTTP/1.1 connection per client, 2,000 paths and a browser's fields."""
    log, pages = folder / "h2load.log", folder / "pages"
    pages.write_text("".join(f"http://127.0.0.1:{port}/goods/{number}/item\n" for number in range(2000)))
    log.unlink(missing_ok=True)
    command = [
        "h2load",
        "--h1",
        "-t1",
        f"-c{CLIENTS}",
        f"--rps={rate / CLIENTS:.2f}",
        "-D",
        str(max(1, round(seconds))),
    ]
    for field in BROWSER:
        command += ["-H", field]
    said = run([*command, f"--log-file={log}", "-i", str(pages)], cores, seconds)
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    took = sorted(int(row[2]) for row in rows if row[1] == "200")
    if not took:
        raise RuntimeError(f"no answer at a fixed rate: {said[-200:]!r}")
    wrong = len(rows) - len(took)
    p50, p99, p999 = (took[min(len(took) - 1, int(len(took) * share))] / 1000 for share in (0.5, 0.99, 0.999))
    return Latency(p50, p99, p999, len(took) / max(1, round(seconds)), f"{wrong} not 200" if wrong else "")


def sessions(port: int, count: int) -> list[str]:
    """Cookies that the proxy made for so many new clients; none where it makes none."""
    made = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        for _ in range(count):
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            found = re.search(rf"{STICKY}=([^;]+)", response.headers.get("Set-Cookie", ""))
            if found:
                made.append(found[1])
    return made


REQUEST = b"GET /page?id=1 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: bench\r\nCookie: a=b\r\n\r\n"


class Held:
    """Connections that have made one request each and then stay idle."""

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self, port: int, count: int) -> None:
        """So many more, a hundred at a time."""
        for begin in range(0, count, 100):
            self._writers += await asyncio.gather(*[_ask(port) for _ in range(min(100, count - begin))])

    async def close(self) -> None:
        """All of them, and wait until they are."""
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*[writer.wait_closed() for writer in self._writers], return_exceptions=True)


async def _ask(port: int) -> asyncio.StreamWriter:
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if not head.startswith(b"HTTP/1.1 200") or length is None:
            raise RuntimeError(f"an idle connection's request was answered with {head[:40]!r}")
        await reader.readexactly(int(length[1]))
        return writer


def tools() -> dict[str, str]:
    """What is missing of the generators, and how to get it."""
    packages = {"wrk": "wrk", "h2load": "nghttp2-client"}
    return {name: f"apt-get install {package}" for name, package in packages.items() if not shutil.which(name)}
