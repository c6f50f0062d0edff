"""Plug-ins that do what no plug-in should: at worst their own requests fail, or their reload is refused."""

import asyncio
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

Factory = Callable[..., Awaitable[Any]]

HEAD = """
import asyncio, sys, threading, time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar
from proxy.plugins import Facts, Record, Reply, Request, Response

class Evil(BaseException):
    pass
"""

GOOD = """
@dataclass
class Bad:
    def on_request(self, request, facts):
        return Reply(200, "good")
"""

CONFIG = """\
plugins: {{path: {path}}}
routes:
  - match: {{path: /plain}}
    respond: {{status: 204}}
  - respond: {{status: 204}}
    filters: [{{plugin: {{use: "bad:Bad", timeout: 300ms}}}}]
"""


def get(path: str, fields: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the plug-in is."""
    path = tmp_path / "plugins"
    path.mkdir()
    return path


def write(folder: Path, text: str) -> None:
    (folder / "bad.py").write_text(HEAD + text)


@pytest_asyncio.fixture
async def begun(sluice: Factory, folder: Path) -> Any:
    """A proxy with the good one."""
    write(folder, GOOD)
    return await sluice(CONFIG.format(path=folder))


# -- what cannot be loaded

REFUSED = [
    ("x: 'Missing' = 1", "pass", "name 'Missing' is not defined"),
    ("x: int", "pass", "x"),
    ("x: int = 1", "raise SystemExit(3)", "SystemExit"),
    ("x: int = 1", "raise Evil", "Evil"),
    ("x: int = 1", "raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("x: int = 1", "raise ValueError('two\\nlines')", "lines"),
]


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("when", ["__post_init__", "open", "async open"])
async def test_plug_in_that_cannot_be_made_or_opened_is_refused_and_what_was_there_stays(
    begun: Any, api: Any, folder: Path, case: tuple[str, str, str], when: str
) -> None:
    field, made, complaint = case
    if made == "pass" and when != "__post_init__":
        pytest.skip("it is not even made")
    proxy = begun
    worker = proxy.worker
    name = when.removeprefix("async ")
    start = "async def" if name != when else "def"
    write(folder, f"@dataclass\nclass Bad:\n    {field}\n    {start} {name}(self):\n        {made}\n"
                  "    def on_request(self, request, facts): ...\n")  # fmt: skip
    said = await api(proxy)("POST", "/v1/reload")
    assert said.status in (409, 422)
    assert complaint in str(said.body)
    assert (await proxy.ask(get("/"))).body == b"good"
    assert proxy.worker == worker


NEVER = {
    "def __post_init__": ("while True: pass", "it was still being made of its options after 10 s"),
    "def open": ("time.sleep(3600)", "open() took longer than 10 s"),
    "async def open": ("await asyncio.to_thread(time.sleep, 3600)", "open() took longer than 10 s"),
}


@pytest.mark.skipif("not __import__('os').environ.get('SLUICE_SOAK')", reason="takes 10 s; make soak runs it")
@pytest.mark.parametrize("start", NEVER)
async def test_plug_in_that_is_never_ready_is_refused_and_keeps_nothing_from_ending(
    begun: Any, api: Any, folder: Path, start: str
) -> None:
    work, complaint = NEVER[start]
    write(folder, f"@dataclass\nclass Bad:\n    {start}(self):\n        {work}\n    def on_request(self, *_): ...\n")
    said = await api(begun)("POST", "/v1/reload")
    assert said.status == 422
    assert complaint in str(said.body)
    write(folder, GOOD)
    assert (await api(begun)("POST", "/v1/reload")).status == 200
    assert (await begun.ask(get("/"))).body == b"good"
    assert await begun.stop() == 0
    assert "does not end" not in begun.output


# -- what runs

ABUSE = """
@dataclass(frozen=True)
class Bad:
    counters: Counter = field(default_factory=Counter, init=False)
    kept: ClassVar[list] = []

    def on_request(self, request, facts):
        match request.path:
            case "/status": return Reply(200.5)
            case "/bool": return Reply(True)
            case "/body": return Reply(200, 5)
            case "/headers": return Reply(200, "", None)
            case "/value": return Reply(200, "", {"x-a": 5})
            case "/inject": return Reply(200, "", {"x-a": "b\\r\\nx-c: d"})
            case "/length": return Reply(200, "abc", {"content-length": "99"})
            case "/chunked": return Reply(200, "abc", {"transfer-encoding": "chunked"})
            case "/pool":
                request.pool = ["blue"]
                return None
            case "/evil": raise Evil
            case "/future": return asyncio.get_running_loop().create_future()
            case "/generator": return (each for each in "abc")
            case "/counters":
                self.counters.update({"a b": 1, "a_b": 2, "hook_failures": 1, "big": 10**400, 5: 1, "\\udc80": 1})
                self.counters["nan"] = float("nan")
                self.counters["text"] = "x"
                self.counters["long" * (1 << 23)] = 1  # more than fits any message
                return Reply(200, "good")
            case "/thread":
                threading.Thread(target=time.sleep, args=(3600,)).start()
                asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)
                return Reply(200, "good")
            case "/leak":
                self.kept.append(asyncio.get_running_loop().create_task(self.never()))
                return Reply(200, "good")
            case "/late":
                self.kept.append((request, facts))
                return None
            case "/change":
                for request, facts in self.kept:
                    request.path, request.pool = "/changed", "blue"
                    request.headers.set("x-late", "1")
                    facts.notes["a"] = 1
                return Reply(200, "good")
            case "/exit/task":
                self.kept.append(asyncio.get_running_loop().create_task(self.exits()))
                return Reply(200, "good")
            case "/exit/callback":
                asyncio.get_running_loop().call_soon(sys.exit, 3)
                return Reply(200, "good")
            case "/stop":
                asyncio.get_running_loop().stop()
                return Reply(200, "good")
            case "/mutable": return Reply(200, bytearray(b"good"))
            case _ if request.path.startswith("/async"): return self.later(request, facts)
        return Reply(200, "good")

    async def never(self):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    async def exits(self):
        sys.exit(3)

    async def grouped(self):
        async with asyncio.TaskGroup() as group:
            group.create_task(self.exits())

    async def later(self, request, facts):
        match request.path:
            case "/async/evil": raise Evil
            case "/async/group": await self.grouped()
            case "/async/status": return Reply(99)
            case "/async/pool": request.pool = 7
            case "/async/query": await facts.ask("back", "/a?b=\\r\\nx-evil: 1")
            case "/async/path": await facts.ask("back", "/a HTTP/1.1\\r\\nx-evil: 1")
            case "/async/method": await facts.ask("back", "/", method="GET / HTTP/1.1\\r\\nx-evil: 1\\r\\nX: ")

    def on_response(self, response, facts):
        if facts.notes == {"a": 1}:
            raise RuntimeError("notes of another request")
        if response.headers.get("x-float"):
            response.status = 200.0
"""

FAILS = [
    *("/status", "/bool", "/body", "/headers", "/value", "/inject", "/length", "/chunked", "/pool", "/evil", "/future"),
    *("/generator", "/async/evil", "/async/status", "/async/pool", "/async/query", "/async/path", "/async/method"),
]


@pytest.fixture
def abused(sluice: Factory, origin: Factory, folder: Path) -> Callable[[], Awaitable[tuple[Any, Any]]]:
    """Starts a proxy with the plug-in above, before routing: await abused() -> (proxy, origin)."""

    async def start() -> tuple[Any, Any]:
        write(folder, ABUSE)
        back = await origin(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback")
        return await sluice(
            f"plugins: {{path: {folder}}}\nshutdown: {{idle: 0s, grace: 1s}}\n"
            "filters: [{plugin: {use: 'bad:Bad', timeout: 2s}}]\n"
            f"services: {{back: {{pools: {{only: {{endpoints: ['{back.address}']}}}}}}}}\nroutes: [{{service: back}}]\n"
        ), back

    return start


async def test_hook_that_does_something_senseless_fails_its_request_alone(abused: Any) -> None:
    proxy, back = await abused()
    worker, client = proxy.worker, await proxy.connect()
    for path in FAILS:
        failed = await client.ask(get(path))
        assert (path, failed.status, failed.one(b"x-sluice-reason")) == (path, 500, b"plugin_failed")
        assert (await client.ask(get("/"))).body == b"good"
    assert (await client.ask(get("/mutable"))).body == b"good"
    assert proxy.worker == worker
    assert back.requests == []
    assert b"x-evil" not in back.received
    await client.close()


async def test_counters_of_nonsense_spoil_no_scrape(abused: Any, api: Any) -> None:
    proxy, _ = await abused()
    assert (await proxy.ask(get("/counters"))).body == b"good"
    text = (await api(proxy)("GET", "/metrics")).body
    assert re.findall(r"^sluice_plugin_a_b_total\{.*\} (.*)$", text, re.MULTILINE) == ["3.0"]
    assert not re.search(r"^sluice_plugin_(big|nan|text|5)_total", text, re.MULTILINE)
    samples = re.findall(r"^([^# ]+(?:\{.*?\})?) ", text, re.MULTILINE)
    assert len(samples) == len(set(samples))


@pytest.mark.parametrize("way", ["/exit/task", "/exit/callback", "/stop", "/async/group"])
async def test_end_of_the_process_beside_a_hook_ends_nothing(abused: Any, way: str) -> None:
    proxy, _ = await abused()
    worker, other = proxy.worker, await proxy.connect()
    assert (await proxy.ask(get(way))).status == (500 if way == "/async/group" else 200)
    async with asyncio.timeout(15):
        while "it goes on" not in proxy.output:
            assert (await other.ask(get("/plain"))).body == b"good"  # a connection that was there before
    assert (await other.ask(get("/plain"))).body == b"good"
    assert proxy.worker == worker
    await other.close()
    assert await proxy.stop() == 0


async def test_tasks_that_never_end_keep_no_worker_from_ending(abused: Any) -> None:
    proxy, _ = await abused()
    for _ in range(3):
        assert (await proxy.ask(get("/leak"))).body == b"good"
    assert await proxy.stop() == 0


async def test_threads_that_never_end_keep_no_worker_from_ending(abused: Any) -> None:
    proxy, _ = await abused()
    assert (await proxy.ask(get("/thread"))).body == b"good"
    assert await proxy.stop() == 0
    assert "does not end" not in proxy.output


async def test_request_that_is_changed_after_its_hook_harms_no_other(abused: Any) -> None:
    proxy, back = await abused()
    client = await proxy.connect()
    assert (await client.ask(get("/late?1"))).body == b"back"
    assert (await client.ask(get("/change"))).body == b"good"
    assert (await client.ask(get("/late?2"))).body == b"back"
    assert [each.start for each in back.requests] == [b"GET /late?1 HTTP/1.1", b"GET /late?2 HTTP/1.1"]
    assert b"x-late" not in back.received
    await client.close()


async def test_storm_of_reloads_leaves_one_version_and_loses_no_request(live: Factory, folder: Path) -> None:
    write(folder, GOOD)
    proxy = await live(extra=f"plugins: {{path: {folder}}}\n", service='filters: [{plugin: {use: "bad:Bad"}}]')
    async with proxy.load(2) as load:
        for number in range(25):
            write(folder, GOOD + f"\n# {number}\n" + "x" * (number % 5 == 4))  # every fifth does not import
            status = (await proxy.call("POST", "/v1/reload"))[0]
            assert status == (422 if number % 5 == 4 else 200)
        await load.more(20)
    assert load.failures == []
    (worker,) = proxy.workers()
    proxy.process.send_signal(signal.SIGTERM)
    assert await proxy.ended() == 0
    assert str(worker) not in proxy.output.partition("Traceback")[2]
