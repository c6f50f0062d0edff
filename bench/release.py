#!/usr/bin/env python3
"""Releases under a realistic load: what people see while splits, flips, reloads, drains and rollouts go on.

    make bench-release                                    # five minutes
    .venv/bin/python bench/release.py --seconds 45

locust (in .venv-bench, since it brings a pytest plug-in) is the load and records every request; when it is over, each
is judged by what was in force then. Fails on any failed request and on any wrong colour. The one exception is what a
bad canary itself answered before it was taken back: that is counted, and has a bound. Prints the locust's own ceiling,
asking a backend directly, beside the result: it is slower than the proxy. Loopback only; what it starts it ends.
"""

import argparse
import asyncio
import contextlib
import http.client
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from idle_connections import free_ports
from live_control import call, running
from recorded import Record, Records, Rule, Share, broken, failures, fickle, read, uneven

HERE = Path(__file__).parent
BACKENDS = ("blue/blue", "green/green", "blue/one", "blue/two", "blue/stable", "canary/canary")
FAILING = 30
"""Per cent of its requests that the bad canary fails."""
BAD_ENOUGH = 200
"""Errors of the canary that may be seen for each bad release: at 10 % of the traffic it takes some dozen."""
FOREVER = float("inf")
DEADLINE = 60.0


def config(port: int, admin: int, backends: list[int], mark: int = 1) -> str:
    """Five services and a rollout; JSON is YAML."""
    blue, green, one, two, stable, canary = (f"127.0.0.1:{each}" for each in backends)
    colours = {"blue": {"endpoints": [blue]}, "green": {"endpoints": [green]}}
    hold = {"cookie": "sluice_member", "on_change": "hold", "hold_for": "1h"}
    services = {
        "shop": {"pools": colours, "split": {"blue": 90, "green": 10}},
        "member": {"pools": colours, "split": {"blue": 50, "green": 50}, "sticky": hold},
        "flip": {"pools": colours, "split": {"blue": 100, "green": 0}},
        "pair": {"pools": {"blue": {"endpoints": [one, two]}}},
        "release": {
            "pools": {"blue": {"endpoints": [stable]}, "canary": {"endpoints": [canary]}},
            "split": {"blue": 100, "canary": 0},
            "ejection": "off",
        },
    }
    steps = [{"split": "10%"}, {"bake": "3s"}, {"split": "50%"}, {"bake": "2s"}, {"split": "100%"}]
    cohort = {"match": {"path": "/shop/*", "headers": {"x-cohort": "beta"}}, "service": "shop", "pool": "green"}
    document = {
        "listeners": [{"bind": f"127.0.0.1:{port}"}],
        "admin": {"bind": f"127.0.0.1:{admin}"},
        "workers": 2,
        "shutdown": {"idle": "0s"},
        "services": services,
        "filters": [{"response_headers": {"set": {"x-mark": str(mark)}}}],
        "routes": [cohort, *({"match": {"path": f"/{name}/*"}, "service": name} for name in services)],
        "rollouts": {"new": {"service": "release", "candidate": "canary", "steps": steps, "judge": {}}},
    }
    return json.dumps(document, indent=1)


class Changes:
    """Everything that is changed, and the rules that follow from it."""

    def __init__(self, admin: int, file: Path, texts: Iterator[tuple[int, str]], canary: int) -> None:
        self._admin = admin
        self._file = file
        self._texts = texts
        self._canary = canary
        self.rules: list[Rule] = []
        self.shares: list[Share] = []
        self.counts = dict.fromkeys(("splits", "flips", "reloads", "drains", "bad releases", "good releases"), 0)
        self.ends = FOREVER
        self.until_aborted: list[float] = []

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """An admin call that has to succeed."""
        status, text = await call(self._admin, method, path, {} if body is None and method != "GET" else body)
        if status != 200:
            raise RuntimeError(f"{method} {path} was answered with {status}: {text[:300]!r}")
        return json.loads(text)

    @property
    def go_on(self) -> bool:
        return time.monotonic() < self.ends

    def rule(self, why: str, kind: str, since: float, field: str, *allowed: str) -> None:
        """From then to now."""
        self.rules.append(Rule(why, kind, since, time.monotonic(), field, frozenset(allowed)))

    async def splits(self) -> None:
        """Other shares every few seconds; sessions that are there keep their colour."""
        shares = {"shop": {"blue": 90, "green": 10}, "member": {"blue": 50, "green": 50}}
        since = dict.fromkeys(shares, time.monotonic())
        while self.go_on:
            await asyncio.sleep(random.uniform(2, 4))
            for service, kind in (("shop", "shop"), ("member", "entry")):
                self.shares.append(Share(kind, since[service], time.monotonic(), shares[service]))
                blue = random.randint(5, 95)
                shares[service] = {"blue": blue, "green": 100 - blue}
                await self.call("PUT", f"/v1/services/{service}/split", shares[service])
                since[service] = time.monotonic()
                self.counts["splits"] += 1

    async def flips(self) -> None:
        """Everything to the other colour, at once."""
        since, colour = time.monotonic(), "blue"
        while self.go_on:
            await asyncio.sleep(random.uniform(0.3, 1.5))
            self.rule(f"flipped to {colour}", "flip", since, "colour", colour)
            colour = "green" if colour == "blue" else "blue"
            await self.call("POST", "/v1/services/flip/flip", {"to": colour})
            since = time.monotonic()
            self.counts["flips"] += 1

    async def reloads(self) -> None:
        """Every answer carries the mark of the file that is in force."""
        since, mark = time.monotonic(), 1
        while self.go_on:
            await asyncio.sleep(random.uniform(1, 3))
            self.rule(f"file {mark} in force", "", since, "mark", str(mark))
            mark, text = next(self._texts)
            changed = self._file.with_suffix(".new")
            changed.write_text(text)
            changed.rename(self._file)
            await self.call("POST", "/v1/reload")
            since = time.monotonic()
            self.counts["reloads"] += 1

    async def drains(self, addresses: dict[str, str]) -> None:
        """One endpoint after the other is emptied and taken back."""
        endpoints = "/v1/services/pair/pools/blue/endpoints/"
        for name, address in itertools.cycle(addresses.items()):
            if not self.go_on:
                return
            place = endpoints + address.replace(":", "%3A")
            await self.call("POST", f"{place}/drain", {"deadline": "10s"})
            since = time.monotonic()
            await self.drained(address)
            await asyncio.sleep(random.uniform(0.5, 1.5))
            self.rule(f"{name} drained", "pair", since, "endpoint", *(each for each in addresses if each != name))
            await self.call("POST", f"{place}/restore")
            self.counts["drains"] += 1
            await asyncio.sleep(random.uniform(0.5, 1.5))

    async def drained(self, address: str) -> None:
        """Until it is empty."""
        async with asyncio.timeout(DEADLINE):
            while True:
                view = await self.call("GET", "/v1/services/pair")
                states = {each["address"]: each["state"] for each in view["pools"]["blue"]["endpoints"]}
                if states[address] == "drained":
                    return
                await asyncio.sleep(0.05)

    async def releases(self) -> None:
        """A bad canary, which has to be taken back; the same, mended, which has to succeed; then back to the old."""
        since, verb = time.monotonic(), "start"
        while self.go_on:
            await asyncio.sleep(1)
            self.rule("nothing released", "release", since, "colour", "blue")
            await asyncio.to_thread(tell, self._canary, f"/-/fail/{FAILING}")
            began = time.monotonic()
            await self.call("POST", f"/v1/rollouts/new/{verb}")
            await self.until("aborted")
            since = time.monotonic()
            self.until_aborted.append(since - began)
            self.counts["bad releases"] += 1
            await asyncio.sleep(1)
            self.rule("taken back", "release", since, "colour", "blue")
            await asyncio.to_thread(tell, self._canary, "/-/fail/0")
            await self.call("POST", "/v1/rollouts/new/retry")
            await self.until("succeeded")
            since = time.monotonic()
            self.counts["good releases"] += 1
            await asyncio.sleep(1)
            self.rule("released", "release", since, "colour", "canary")
            await self.call("POST", "/v1/rollouts/new/undo")
            since, verb = time.monotonic(), "retry"  # what was undone is aborted

    async def until(self, state: str) -> None:
        """Until the rollout is over; RuntimeError when it ends otherwise."""
        async with asyncio.timeout(DEADLINE):
            while True:
                view = await self.call("GET", "/v1/rollouts/new")
                if view["state"] == state:
                    return
                if view["state"] in {"aborted", "succeeded", "paused"}:
                    raise RuntimeError(f"the rollout is {view['state']} and not {state}: {view['reason']}")
                await asyncio.sleep(0.02)


def tell(port: int, path: str) -> None:
    """A word to a backend, past the proxy."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", path)
        connection.getresponse().read()


@contextlib.contextmanager
def backends() -> Iterator[list[int]]:
    """One process with all of them; their ports."""
    ports = free_ports(len(BACKENDS))
    names = [f"{name}={port}" for name, port in zip(BACKENDS, ports, strict=True)]
    process = subprocess.Popen([sys.executable, str(HERE / "colours.py"), *names], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("the backends do not start")
        yield ports
    finally:
        process.terminate()
        process.wait(10)


@contextlib.asynccontextmanager
async def load(locust: str, port: int, seconds: float, records: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """locust at work, from its first answer on; it ends by itself, or with us."""
    options = [
        "--headless",
        "-u",
        "40",
        "-r",
        "40",
        "-t",
        f"{round(seconds)}s",
        "--stop-timeout",
        "10",
        "--only-summary",
    ]
    process = await asyncio.create_subprocess_exec(
        locust, "-f", str(HERE / "locustfile.py"), "--host", f"http://127.0.0.1:{port}", *options,
        env={**os.environ, "RECORDS": str(records)}, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(DEADLINE):
            while process.returncode is None and not (records.exists() and records.stat().st_size):  # noqa: ASYNC110
                await asyncio.sleep(0.1)  # another process writes it
        yield process
        async with asyncio.timeout(seconds + DEADLINE):
            _, said = await process.communicate()
        if process.returncode:
            print(said.decode()[-2000:])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def under_load(locust: str, seconds: float, folder: Path, ports: list[int]) -> tuple[Records, Changes, int]:
    """Everything at once; what was recorded, what was changed, and how locust ended."""
    port, admin = free_ports(2)
    texts = ((mark, config(port, admin, ports, mark)) for mark in itertools.count(2))
    async with running(config(port, admin, ports), admin) as (_, file):
        changes = Changes(admin, file, texts, ports[-1])
        async with load(locust, port, seconds, folder / "through") as process:
            began = time.monotonic()
            changes.ends = began + seconds - 5
            async with asyncio.TaskGroup() as tasks:
                for work in (changes.splits(), changes.flips(), changes.reloads(), changes.releases()):
                    tasks.create_task(work)
                tasks.create_task(changes.drains({"one": f"127.0.0.1:{ports[2]}", "two": f"127.0.0.1:{ports[3]}"}))
            changes.rule("of the cohort", "cohort", began, "colour", "green")
        return read(folder / "through"), changes, process.returncode or 0


def judge(records: Records, changes: Changes, code: int) -> list[str]:
    """Everything that is wrong, and a summary on the way."""
    looked, wrong = broken(records, changes.rules)
    sessions, moved = fickle(records)
    counted, spread = uneven(records, changes.shares)
    bad = [each for each in records.all if each.is_bad_release]
    print(", ".join(f"{count} {what}" for what, count in changes.counts.items()))
    print(f"{len(records.all):,} requests, {sum(map(failed, records.all))} failed")
    print(f"colour, endpoint or file looked at {looked:,} times in {len(changes.rules)} windows, {len(wrong)} broken")
    print(f"{sessions:,} sessions, {len(moved)} of them moved; {counted:,} requests counted for their shares")
    many = changes.counts["bad releases"]
    took = ", ".join(f"{each:.1f}" for each in changes.until_aborted)
    print(f"{len(bad)} errors of the bad canary in {many} releases of it, each taken back after (s): {took or 'never'}")
    problems = [*failures(records), *wrong, *moved, *spread]
    problems += [f"no {what} happened" for what, count in changes.counts.items() if not count]
    if len(bad) > BAD_ENOUGH * max(many, 1):
        problems.append(f"the bad canary answered {len(bad)} errors; at most {BAD_ENOUGH} each time are right")
    if code:
        problems.append(f"locust ended with {code}")
    return problems


def failed(record: Record) -> bool:
    return record.failed


async def ceiling(locust: str, seconds: float, folder: Path, port: int) -> Records:
    """The same load on a backend directly."""
    async with load(locust, port, seconds, folder / "direct"):
        pass
    return read(folder / "direct")


async def bench(locust: str, seconds: float) -> list[str]:
    """A tenth of the time for the ceiling, the rest for the releases."""
    with tempfile.TemporaryDirectory(prefix="sluice-release-") as name, backends() as ports:
        folder = Path(name)
        direct = await ceiling(locust, max(5.0, seconds / 10), folder, ports[0])
        records, changes, code = await under_load(locust, max(20.0, seconds * 0.9 - 15), folder, ports)
    problems = judge(records, changes, code)
    print(f"through the proxy {records.rate:,.0f} requests per second, {records.milliseconds()}")
    print(f"locust's ceiling  {direct.rate:,.0f} requests per second, {direct.milliseconds()} (a backend directly)")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300, help="of all; at least 40 are taken")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    beside = HERE.parent / ".venv-bench/bin/locust"
    locust = str(beside) if beside.exists() else shutil.which("locust")
    if locust is None:
        print("locust is not here; `make bench-release` installs it into .venv-bench")
        return 2
    try:
        problems = asyncio.run(bench(locust, args.seconds))
    except* (RuntimeError, TimeoutError) as group:
        problems = [f"{type(each).__name__} {each}" for each in group.exceptions]
    for problem in problems[:40]:
        print(f"WRONG: {problem}")
    print("failed" if problems else "passed: no failed request, no wrong colour")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
