"""Plug-ins in a running proxy: what their hooks may do, and what becomes of everybody when they fail."""

import asyncio
import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

TRICKS = '''
"""Does what the path of a request says."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from proxy.plugins import Facts, Record, Reply, Request, Response


@dataclass
class Tricks:
    word: str = "hello"
    counters: Counter[str] = field(default_factory=Counter, init=False)

    def on_request(self, request: Request, facts: Facts):
        facts.notes["path"] = request.path
        match request.path:
            case "/raise":
                raise RuntimeError("a trick")
            case "/exit":
                raise SystemExit(3)
            case path if path.startswith(("/later/", "/ask")):
                return self.later(request, facts)
            case "/wrong":
                return 5
            case "/reply":
                return Reply(299, self.word, {"x-trick": "reply"})
            case "/pool":
                request.pool = "canary"
            case "/nopool":
                request.pool = "nowhere"
            case "/header":
                request.headers.set("x-trick", f"{request.method} {facts.client} {facts.route} {facts.service}")
                request.headers.remove("x-gone")
            case "/inject":
                request.headers.set("x-trick", "a\\r\\nx-evil: 1")
            case "/framing":
                request.headers.set("content-length", "7")
            case "/rewrite":
                request.path, request.query = "/else/where", "a=b"
        return None

    async def later(self, request, facts):
        await asyncio.sleep(0)
        if request.path == "/later/raise":
            raise RuntimeError("a later trick")
        if request.path == "/later/slow":
            await asyncio.sleep(60)
        if request.path == "/later/exit":
            raise SystemExit(3)
        if request.path == "/later/cancelled":
            raise asyncio.CancelledError
        if request.path == "/later/stubborn":
            for _ in range(100):
                try:
                    await asyncio.sleep(0.05)
                except asyncio.CancelledError:
                    pass
        if request.path == "/later/pool":
            request.pool = "canary"
        if request.path == "/ask":
            answer = await facts.ask("shop", "/other", headers={"x-asked": "1"})
            return Reply(200, b"asked " + answer.body)
        if request.path == "/ask/nobody":
            await facts.ask("nobody")
        return Reply(299, "later") if request.path == "/later/reply" else None

    def on_response(self, response: Response, facts: Facts):
        response.headers.set("x-seen", f"{response.status} {facts.pool} {facts.notes['path']}")
        match facts.notes["path"]:
            case "/response/raise":
                raise RuntimeError("a response trick")
            case "/response/status":
                response.status = 203
            case "/response/later" | "/response/later/raise" | "/response/later/slow":
                return self.response_later(response, facts)

    async def response_later(self, response, facts):
        await asyncio.sleep(0)
        if facts.notes["path"] == "/response/later/raise":
            raise RuntimeError("a late response trick")
        if facts.notes["path"] == "/response/later/slow":
            await asyncio.sleep(60)
        response.headers.set("x-late", "1")

    def on_end(self, record: Record) -> None:
        self.counters["ended"] += 1
        self.counters[f"status {record.status}"] += 1
'''

TRICKY = """\
plugins: {{path: {path}}}
services:
  shop:
    pools:
      blue: {{endpoints: [{blue}]}}
      canary: {{endpoints: [{canary}]}}
    split: {{blue: 100}}
routes:
  - name: all
    service: shop
    filters:
      - plugin: {{use: "tricks:Tricks", timeout: {patience}, on_error: {on_error}}}
"""


def get(path: str, fields: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where plug-ins are."""
    path = tmp_path / "plugins"
    path.mkdir()
    return path


@pytest.fixture
def tricky(sluice: Factory, origin: Factory, folder: Path) -> Factory:
    """A factory of a proxy with the tricks above: await tricky(on_error) -> (proxy, blue origin, canary origin)."""

    async def start(on_error: str = "fail", patience: str = "300ms") -> tuple[Any, Any, Any]:
        (folder / "tricks.py").write_text(TRICKS)
        blue = await origin(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nblue")
        canary = await origin(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ncanary")
        text = TRICKY.format(
            path=folder, blue=blue.address, canary=canary.address, on_error=on_error, patience=patience
        )
        return await sluice(text), blue, canary

    return start


async def metric(proxy: Any, pattern: str) -> list[str]:
    """The lines of /metrics that match."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.admin_port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return [line for line in text.splitlines() if re.search(pattern, line)]


# path, status, reason, body
FAILING = [
    ("/raise", 500, b"plugin_failed", b"blue"),
    ("/later/raise", 500, b"plugin_failed", b"blue"),
    ("/later/slow", 504, b"plugin_timeout", b"blue"),
    ("/later/stubborn", 504, b"plugin_timeout", b"blue"),
    ("/later/cancelled", 500, b"plugin_failed", b"blue"),
    ("/later/exit", 500, b"plugin_failed", b"blue"),
    ("/exit", 500, b"plugin_failed", b"blue"),
    ("/wrong", 500, b"plugin_failed", b"blue"),
    ("/nopool", 500, b"plugin_failed", b"blue"),
    ("/inject", 500, b"plugin_failed", b"blue"),
    ("/framing", 500, b"plugin_failed", b"blue"),
    ("/ask/nobody", 500, b"plugin_failed", b"blue"),
    ("/response/raise", 500, b"plugin_failed", b"blue"),
    ("/response/later/raise", 500, b"plugin_failed", b"blue"),
    ("/response/later/slow", 504, b"plugin_timeout", b"blue"),
]


async def test_hooks_change_answer_and_see_requests(tricky: Factory) -> None:
    proxy, blue, _ = await tricky()
    client = await proxy.connect()
    plain = await client.ask(get("/"))
    assert (plain.status, plain.body, plain.one(b"x-seen")) == (200, b"blue", b"200 blue /")
    reply = await client.ask(get("/reply"))
    assert (reply.status, reply.body, reply.one(b"x-trick")) == (299, b"hello", b"reply")
    assert (await client.ask(get("/later/reply"))).body == b"later"
    assert [(await client.ask(get(path))).body for path in ("/pool", "/later/pool")] == [b"canary"] * 2
    await client.ask(get("/header", "X-Gone: 1\r\nX-Stays: 2\r\n"))
    seen = blue.received.rpartition(b"GET /header")[2]
    assert b"\r\nx-trick: GET 127.0.0.1 all shop\r\n" in seen
    assert b"X-Stays: 2" in seen
    assert b"X-Gone" not in seen
    await client.ask(get("/rewrite?x=y"))
    assert b"GET /else/where?a=b HTTP/1.1" in blue.received
    assert (await client.ask(get("/response/status"))).status == 203
    late = await client.ask(get("/response/later"))
    assert (late.status, late.one(b"x-late"), late.body) == (200, b"1", b"blue")
    assert (await client.ask(get("/ask"))).body == b"asked blue"
    assert b"GET /other HTTP/1.1\r\nHost: shop\r\nx-asked: 1" in blue.received
    assert await metric(proxy, r"^sluice_plugin_ended_total\{.*tricks:Tricks.*\} 10\.0$")
    await client.close()


async def test_failing_hooks_fail_only_their_request(tricky: Factory) -> None:
    proxy, _, _ = await tricky()
    client, other = await proxy.connect(), await proxy.connect()
    for path, status, reason, _ in FAILING:
        response = await client.ask(get(path))
        assert (path, response.status, response.one(b"x-sluice-reason")) == (path, status, reason)
        assert (await other.ask(get("/"))).status == 200
    assert await metric(proxy, r'^sluice_plugin_hook_failures_total\{.*reason="raised".*\} 12\.0$')
    assert await metric(proxy, r'^sluice_plugin_hook_failures_total\{.*reason="timed_out".*\} 3\.0$')
    assert await metric(proxy, r'^sluice_replies_total\{reason="plugin_failed"\} 12\.0$')
    assert "RuntimeError: a later trick" in proxy.output
    for each in (client, other):
        await each.close()


async def test_failing_hooks_are_skipped_where_that_is_asked_for(tricky: Factory) -> None:
    proxy, _, _ = await tricky("skip")
    client = await proxy.connect()
    for path, _, _, body in FAILING:
        response = await client.ask(get(path))
        assert (path, response.status, response.body) == (path, 200, body)
    await client.close()


async def test_client_that_leaves_ends_what_a_hook_does_for_it(tricky: Factory) -> None:
    proxy, _, _ = await tricky(patience="1m")
    for path in ("/later/slow", "/response/later/slow"):
        client = await proxy.connect()
        await client.send(get(path))
        sock = client.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # it does not only close its side
        client.writer.transport.abort()
    async with asyncio.timeout(10):
        while not await metric(proxy, r"^sluice_plugin_status_499_total\{.*\} 2\.0$"):
            await asyncio.sleep(0.01)
    assert (await proxy.ask(get("/"))).status == 200


# -- loading

HELLO = """
from dataclasses import dataclass
from pathlib import Path
from proxy.plugins import Reply

{more}

@dataclass
class Hello:
    word: str = "one"
    times: int = 1

    def open(self):
        {opening}

    def close(self):
        Path({folder!r}, "closed").open("a").write(self.word + "\\n")

    def on_request(self, request, facts):
        return Reply(200, "{text} " + self.word * self.times)
"""

GREETING = """\
plugins: {{path: {path}}}
routes:
  - respond: {{status: 204}}
    filters:
      - plugin:
          use: "{use}"
          options: {options}
"""


class Greeting:
    """A proxy that answers what a plug-in in a file says."""

    def __init__(self, sluice: Factory, folder: Path) -> None:
        self._sluice = sluice
        self.folder = folder
        self.proxy: Any = None

    def plug_in(self, text: str = "hello", opening: str = "pass", more: str = "") -> None:
        """Write the plug-in's file."""
        found = HELLO.format(text=text, opening=opening, more=more, folder=str(self.folder))
        (self.folder / "hello.py").write_text(found)

    def config(self, options: str = "{}", use: str = "hello:Hello") -> str:
        return GREETING.format(path=self.folder, use=use, options=options)

    async def start(self, options: str = "{}") -> None:
        self.proxy = await self._sluice(self.config(options))

    async def reload(self, text: str | None = None) -> tuple[int, str]:
        """Status and text of a reload, with another configuration or as it is."""
        if text is not None:
            whole = self.proxy.config.read_text()
            head = whole[: whole.index("plugins:")]
            self.proxy.config.write_text(head + text)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy.admin_port)
        writer.write(
            b"POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        return int(answer.split(" ")[1]), answer

    async def said(self) -> str:
        return (await self.proxy.ask(get("/"))).body.decode()

    def closed(self) -> list[str]:
        path = self.folder / "closed"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def greeting(sluice: Factory, folder: Path) -> Greeting:
    return Greeting(sluice, folder)


async def test_reload_takes_new_code_and_closes_the_old(greeting: Greeting) -> None:
    greeting.plug_in()
    await greeting.start()
    assert await greeting.said() == "hello one"
    greeting.plug_in("good day", more="from . import helper")
    (greeting.folder / "helper.py").write_text("WORD = 1")
    assert (await greeting.reload())[0] == 200
    assert await greeting.said() == "good day one"
    assert (await greeting.reload(greeting.config("{word: two, times: 2}")))[0] == 200
    assert await greeting.said() == "good day twotwo"
    async with asyncio.timeout(10):
        while greeting.closed() != ["one", "one"]:
            await asyncio.sleep(0.01)
    await greeting.proxy.stop()
    assert greeting.closed() == ["one", "one", "two"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda it: it.plug_in(more="import nosuchmodule"), "hello.py:6"),
        (lambda it: it.plug_in(more="def f(:"), "hello.py:6:7: not Python"),
        (lambda it: it.plug_in(more="raise SystemExit"), "SystemExit"),
        (
            lambda it: it.plug_in(opening="raise OSError('the list is away')"),
            "open() failed: OSError: the list is away",
        ),
        (lambda it: (it.folder / "hello.py").unlink(), "it cannot be imported"),
        (lambda it: (it.folder / "hello.py").write_text("Hello = 5"), "module hello has no class Hello"),
        (lambda it: (it.folder / "hello.py").write_text("class Hello: pass"), "it is not a dataclass"),
    ],
)
async def test_plug_in_that_cannot_be_loaded_refuses_the_reload(
    greeting: Greeting, change: Callable[[Greeting], Any], complaint: str
) -> None:
    greeting.plug_in()
    await greeting.start()
    change(greeting)
    status, answer = await greeting.reload()
    assert status in (409, 422)
    assert complaint in answer
    assert await greeting.said() == "hello one"


@pytest.mark.parametrize(
    ("options", "use", "complaint"),
    [
        ("{wrod: x}", "hello:Hello", r":\d+:21: unknown key 'wrod' \(did you mean word\?\)"),
        ("{times: many}", "hello:Hello", r":\d+:28: .*whole number"),
        ("{word: [x]}", "hello:Hello", r":\d+:27: "),
        ("{}", "hello:Helo", r":\d+:16: plug-in hello:Helo: module hello has no class Helo"),
        ("{}", "hello", r":\d+:16: 'hello' does not name a class"),
    ],
)
async def test_options_that_do_not_fit_are_told_with_their_place(
    greeting: Greeting, options: str, use: str, complaint: str
) -> None:
    greeting.plug_in()
    await greeting.start()
    status, answer = await greeting.reload(greeting.config(options, use))
    assert status in (409, 422)
    assert re.search(complaint, answer), answer
    assert await greeting.said() == "hello one"


WAITS = """
import asyncio
from dataclasses import dataclass
from pathlib import Path
from proxy.plugins import Reply

@dataclass
class Waits:
    async def on_request(self, request, facts):
        Path({folder!r}, "began-" + VERSION).touch()
        while not Path({folder!r}, "go").exists():
            await asyncio.sleep(0.01)
        return Reply(200, VERSION)

    def close(self):
        Path({folder!r}, "closed").open("a").write(VERSION + "\\n")

VERSION = "{version}"
"""


async def test_exchange_that_began_with_old_code_ends_with_it_and_only_then_is_that_closed(
    sluice: Factory, greeting: Greeting, folder: Path
) -> None:
    def write(version: str) -> None:
        (folder / "waits.py").write_text(WAITS.format(folder=str(folder), version=version))

    async def until(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.01)

    write("one")
    proxy = greeting.proxy = await sluice(
        f"plugins: {{path: {folder}}}\nroutes:\n  - respond: {{status: 204}}\n"
        '    filters: [{plugin: {use: "waits:Waits", timeout: 30s}}]\n'
    )
    early, late = await proxy.connect(), await proxy.connect()
    await early.send(get("/"))
    await until((folder / "began-one").exists)
    for version in ("two", "three"):
        write(version)
        assert (await greeting.reload())[0] == 200
    await until(lambda: greeting.closed() == ["two"])  # which nobody has met; "one" still works
    await late.send(get("/"))
    await until((folder / "began-three").exists)
    assert greeting.closed() == ["two"]
    (folder / "go").touch()
    assert ((await early.response()).body, (await late.response()).body) == (b"one", b"three")
    await until(lambda: greeting.closed() == ["two", "one"])
    for each in (early, late):
        await each.close()


def test_check_runs_nothing_that_users_wrote(tmp_path: Path, folder: Path) -> None:
    (folder / "hello.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom nowhere import nothing\n")
    config = tmp_path / "sluice.yaml"
    config.write_text("listeners: [{bind: 127.0.0.1:8080}]\n" + GREETING.format(path=folder, use="hello:X", options={}))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "proxy", "check", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()


# -- plug-ins that hold the loop

HOLDS = """
import time
from dataclasses import dataclass

@dataclass
class Holds:
    def on_request(self, request, facts):
        if request.path == "/hold":
            until = time.monotonic() + float(request.query)
            while time.monotonic() < until:
                pass
        if request.path == "/raise":
            raise RuntimeError
"""

HOLDING = """\
plugins: {{path: {path}}}
filters: [{{plugin: {{use: "holds:Holds"}}}}]
"""


async def test_plug_in_that_holds_the_loop_is_named(live: Factory, folder: Path) -> None:
    (folder / "holds.py").write_text(HOLDS)
    proxy = await live(extra=HOLDING.format(path=folder))
    assert (await proxy.ask(get("/hold?0.6"))).status == 200
    await proxy.until(lambda: "plug-in holds:Holds at filters" in proxy.output)
    assert re.search(r"plug-in holds:Holds at filters \(.*holds\.py:\d+\) holds this worker", proxy.output)


@pytest.mark.parametrize("start", ["def __post_init__", "async def open"])
async def test_plug_in_that_holds_the_loop_before_it_is_in_force_is_named(
    live: Factory, folder: Path, start: str
) -> None:
    (folder / "holds.py").write_text(
        f"{HOLDS}\n    {start}(self):\n        until = time.monotonic() + 0.6\n"
        "        while time.monotonic() < until:\n            pass\n"
    )
    proxy = await live(extra=HOLDING.format(path=folder))
    await proxy.until(lambda: "holds this worker" in proxy.output)
    assert re.search(r"plug-in .*\(.*holds\.py:\d+\) holds this worker", proxy.output)


@pytest.mark.skipif("not __import__('os').environ.get('SLUICE_SOAK')", reason="takes 10 s; make soak runs it")
async def test_worker_that_a_plug_in_holds_for_good_is_replaced(live: Factory, folder: Path) -> None:
    (folder / "holds.py").write_text(HOLDS)
    proxy = await live(extra=HOLDING.format(path=folder))
    (before,) = proxy.workers()
    client = await proxy.connect()
    await client.send(get("/hold?60"))
    await proxy.until_workers(1, [before])
    assert "has held this worker for 10 s" in proxy.output
    assert (await proxy.ask(get("/"))).status == 200
    await client.close()


async def test_storm_of_plug_ins_while_reloads_happen_loses_no_other_request(live: Factory, folder: Path) -> None:
    (folder / "holds.py").write_text(HOLDS)
    (folder / "tricks.py").write_text(TRICKS)
    extra = HOLDING.format(path=folder) + "x-service: 0\n"
    service = 'filters: [{plugin: {use: "tricks:Tricks", timeout: 100ms}}]'
    proxy = await live(workers=2, extra=extra, service=service)
    storm = ["/raise", "/hold?0.02", "/later/raise", "/later/slow", "/reply", "/wrong", "/response/raise", "/nopool"]

    async def blow() -> set[int]:
        found = set()
        for path in storm * 4:
            found.add((await proxy.ask(get(path))).status)
        return found

    async with proxy.load(4) as load:
        blowing = [asyncio.create_task(blow()) for _ in range(4)]
        for number in range(10):
            (folder / "tricks.py").write_text(TRICKS + f"\n# {number}")
            assert (await proxy.call("POST", "/v1/reload"))[0] == 200
            await load.more(20)
        seen = await asyncio.gather(*blowing)
    assert load.failures == []
    assert set().union(*seen) == {200, 299, 500, 504}
    proxy.process.send_signal(signal.SIGTERM)
    assert await proxy.ended() == 0
