"""Clients that follow the flags on a listener of traffic: what they are told, when, and how their streams end."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Shared

Factory = Callable[..., Awaitable[Any]]
PATH = "/ofrep/v1/evaluate/flags"
EVENTS = "/ofrep/v1/events"
FIRST = "retry: [0-9]{3,4}\n\n"
FLAGS = """
flags:
  flags:
    checkout:
      state: ENABLED
      variants: {on: true, off: false}
      defaultVariant: on
    half: {state: ENABLED, variants: {a: 1, b: 2}, defaultVariant: a, targeting: {fractional: [[a, 50], [b, 50]]}}
    secret: {state: ENABLED, variants: {on: true, off: false}, defaultVariant: on}
"""
CONFIG = f"""{FLAGS}
flag_settings: {{public: [checkout, half]}}
routes:
  - {{match: {{path: "/_flags/*"}}, respond: {{ofrep: {{token: a-long-token}}}}}}
  - {{match: {{path: "/few/*"}}, respond: {{ofrep: {{streams: 2, origins: ["https://app.example.com"]}}}}}}
  - {{match: {{path: "/off/*"}}, respond: {{ofrep: {{streams: 0}}}}}}
  - {{match: {{path: "/ofrep/*"}}, respond: {{ofrep: {{}}}}}}
"""
TOKEN = "X-API-Key: a-long-token\r\n"


class Following:
    """One client's stream, read as it comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.head = ""

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    async def begun(self) -> "Following":
        async with asyncio.timeout(15):
            self.head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        return self

    async def chunk(self) -> str:
        """The next piece; "" for the end."""
        async with asyncio.timeout(15):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            return (await self.reader.readexactly(size + 2))[:-2].decode()

    async def event(self) -> str:
        """The id of the next event, which says what the protocol has for it."""
        found = re.fullmatch(r"id: ([0-9a-f]+)\nevent: message\ndata: (.*)\n\n", await self.chunk())
        assert found
        assert json.loads(found[2]) == {"type": "refetchEvaluation", "etag": f'"{found[1]}"'}
        return found[1]

    @property
    def unread(self) -> bytes:
        return bytes(self.reader._buffer)  # type: ignore[attr-defined]


@pytest.fixture
async def follow() -> AsyncIterator[Factory]:
    """Opens streams: await follow(proxy, path, head); each has its head and its opening read, if it is one."""
    opened: list[Following] = []

    async def start(proxy: Any, path: str = EVENTS, head: str = "", minor: int = 1) -> Following:
        made = await request(proxy, path, head, minor)
        opened.append(made)
        await made.begun()
        if made.status == 200 and minor:
            assert re.fullmatch(FIRST, await made.chunk())
        return made

    yield start
    for each in opened:
        each.writer.close()


async def request(proxy: Any, path: str, head: str = "", minor: int = 1) -> Following:
    made = Following(*await asyncio.open_connection("127.0.0.1", proxy.port))
    made.writer.write(f"GET {path} HTTP/1.{minor}\r\nHost: a\r\nAccept: text/event-stream\r\n{head}\r\n".encode())
    return made


async def bulk(proxy: Any, base: str = "", head: str = "") -> Any:
    """What is answered to who asks for all flags."""
    asked = f"POST {base}{PATH} HTTP/1.1\r\nHost: a\r\n{head}Content-Length: 0\r\n\r\n"
    return await proxy.ask(asked.encode())


def stream_of(answer: Any) -> str:
    """Where the answer says that its flags can be followed."""
    (stream,) = json.loads(answer.body)["eventStreams"]
    assert (stream["type"], stream["inactivityDelaySec"], [*stream["endpoint"]]) == ("sse", 120, ["requestUri"])
    uri: str = stream["endpoint"]["requestUri"]
    return uri


@contextlib.asynccontextmanager
async def stopped(pid: int) -> AsyncIterator[None]:
    """That process does not run."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_every_change_is_told_to_those_who_may_see_it(sluice: Factory, api: Any, follow: Factory) -> None:
    proxy = await sluice(CONFIG)
    admin = api(proxy)
    everybody = await follow(proxy, stream_of(await bulk(proxy)))
    knowing = await follow(proxy, stream_of(await bulk(proxy, "/_flags", TOKEN)))
    assert "Content-Type: text/event-stream\r\nCache-Control: no-store\r\n" in everybody.head
    seen = []
    for method, path, body in (
        ("POST", "checkout/kill", None),
        ("DELETE", "checkout/override", None),
        ("PUT", "checkout/override", {"variant": "off"}),
        ("PUT", "half/override", {"percent": 25, "to": "b"}),
    ):
        assert (await admin(method, f"/v1/flags/{path}", body)).status == 200
        seen.append(await everybody.event())
        await knowing.event()
    assert len(set(seen)) == 4
    assert (await admin("POST", "/v1/flags/secret/kill")).status == 200
    await knowing.event()
    proxy.config.write_text(proxy.config.read_text().replace("{a: 1, b: 2}", "{a: 1, b: 3}"))
    assert (await admin("POST", "/v1/reload")).status == 200
    told = await everybody.event()  # and not of what it cannot see
    assert told not in seen
    assert stream_of(await bulk(proxy)) == f"{EVENTS}?since={told}"
    await knowing.event()
    assert (everybody.unread, knowing.unread) == (b"", b"")


async def test_client_that_comes_again_is_told_at_once_if_it_has_missed_something(
    sluice: Factory, api: Any, follow: Factory
) -> None:
    proxy = await sluice(CONFIG)
    before = stream_of(await bulk(proxy))
    first = await follow(proxy, before)
    await api(proxy)("POST", "/v1/flags/checkout/kill")
    told = await first.event()
    assert await (await follow(proxy, before)).event() == told
    assert await (await follow(proxy, EVENTS, "Last-Event-ID: of-long-ago\r\n")).event() == told
    up_to_date = [
        await follow(proxy, EVENTS),
        await follow(proxy, f"{EVENTS}?since={told}"),
        await follow(proxy, before, f"Last-Event-ID: {told}\r\n"),
    ]
    await api(proxy)("DELETE", "/v1/flags/checkout/override")
    assert {await each.event() for each in up_to_date} == {before.partition("=")[2]}


async def test_change_is_told_when_every_worker_has_it(sluice: Factory, api: Any) -> None:
    """Who hears of it may ask any worker: none may answer as before."""
    proxy = await sluice(f"workers: 2\n{CONFIG}")
    admin = api(proxy)
    workers = (await admin("GET", "/v1/status")).body["workers"]
    streams = [await request(proxy, EVENTS) for _ in range(16)]
    asking = [await asyncio.open_connection("127.0.0.1", proxy.port) for _ in range(16)]
    async with stopped(workers[0]["pid"]):
        one = await _first([each.begun() for each in streams])
        assert re.fullmatch(FIRST, await one.chunk())
        kill = asyncio.ensure_future(admin("POST", "/v1/flags/checkout/kill"))
        while not any([b"DISABLED" in await _single(*each) for each in asking]):
            await asyncio.sleep(0.01)
        assert (one.unread, kill.done()) == (b"", False)
    told = await one.event()
    assert (await kill).status == 200
    for _ in range(20):
        assert stream_of(await bulk(proxy)).endswith(told)
    for each in streams:
        each.writer.close()
    for _, writer in asking:
        writer.close()


async def _first(waits: list[Any]) -> Any:
    done, left = await asyncio.wait([asyncio.ensure_future(each) for each in waits], return_when="FIRST_COMPLETED")
    for each in left:
        each.cancel()
    return next(iter(done)).result()


async def _single(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """What a worker says of a flag; b"" where it does not run."""
    writer.write(f"POST {PATH}/checkout HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode())
    try:
        async with asyncio.timeout(0.02):
            head = await reader.readuntil(b"\r\n\r\n")
            return await reader.readexactly(int(re.findall(rb"Content-Length: (\d+)", head)[0]))
    except TimeoutError:
        return b""


# -- who may follow


@pytest.mark.parametrize(
    ("path", "head", "status"),
    [
        (EVENTS, "", 200),
        (f"/_flags{EVENTS}", "", 200),
        (f"/_flags{EVENTS}", TOKEN, 200),
        (f"/_flags{EVENTS}", "Authorization: Bearer a-long-token\r\n", 200),
        (f"/_flags{EVENTS}", "X-API-Key: another\r\n", 401),
        (f"/_flags{EVENTS}?ticket=1.AAAAAAAAAAAAAAAAAAAAAA", "", 401),
        (f"/_flags{EVENTS}?ticket=", "", 401),
        (f"/off{EVENTS}", "", 404),
        (f"{EVENTS}/", "", 404),
    ],
)
async def test_stream_is_for_who_may_see_flags(
    traffic: Any, follow: Factory, path: str, head: str, status: int
) -> None:
    found = await follow(traffic, path, head)
    assert found.status == status
    assert ("text/event-stream" in found.head) is (status == 200)


@pytest.fixture
async def traffic(start_sluice: Factory, shared: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A proxy that tests share which leave it as it was."""
    found = shared.get("ofrep_events")
    if found is None or found.sluice.process.poll() is not None:
        made = await start_sluice(tmp_path_factory.mktemp("events"), CONFIG.replace(", half]", "]"))
        found = shared["ofrep_events"] = Shared(made, 0)
    return found.sluice


async def test_only_get_follows(traffic: Any) -> None:
    found = await traffic.ask(f"POST {EVENTS} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode())
    assert (found.status, found.one(b"allow")) == (405, b"GET")


async def test_ticket_is_for_who_has_shown_the_token(traffic: Any, follow: Factory) -> None:
    public, known = await bulk(traffic, "/_flags"), await bulk(traffic, "/_flags", TOKEN)
    assert "ticket" not in stream_of(public)
    uri = stream_of(known)
    assert uri.startswith(f"/_flags{EVENTS}?since=")
    assert (await follow(traffic, uri)).status == 200
    assert (await follow(traffic, uri[:-1] + ("A" if uri[-1] != "A" else "B"))).status == 401
    assert (
        await follow(traffic, uri.replace("/_flags", ""))
    ).status == 200  # where no token is known, none is asked for
    assert "eventStreams" not in json.loads((await bulk(traffic, "/off")).body)


async def test_streams_are_bounded_and_pages_may_read_them(traffic: Any, follow: Factory) -> None:
    origin = "Origin: https://app.example.com\r\n"
    held = [await follow(traffic, f"/few{EVENTS}", origin) for _ in range(2)]
    assert "access-control-allow-origin: https://app.example.com\r\n" in held[0].head.lower()
    full = await follow(traffic, f"/few{EVENTS}", origin)
    assert full.status == 503
    for line in ("x-sluice-reason: streams_full", "retry-after: 10", "access-control-allow-origin: https://app"):
        assert line in full.head.lower()
    held[0].writer.close()
    async with asyncio.timeout(15):
        while (await follow(traffic, f"/few{EVENTS}")).status != 200:
            await asyncio.sleep(0.01)


async def test_client_of_http_1_0_reads_until_the_end(sluice: Factory, api: Any, follow: Factory) -> None:
    proxy = await sluice(CONFIG)
    found = await follow(proxy, f"{EVENTS}?since=x", minor=0)
    assert "transfer-encoding" not in found.head.lower()
    await api(proxy)("POST", "/v1/flags/checkout/kill")
    assert await proxy.stop() == 0
    assert len(re.findall(rb"(?m)^id: [0-9a-f]{32}$", await found.reader.read())) == 2


# -- clients that do not read, say nothing, or vanish


async def test_client_that_does_not_read_holds_nobody_up(sluice: Factory, api: Any, follow: Factory) -> None:
    proxy = await sluice(CONFIG)
    admin = api(proxy)
    slow, other = await follow(proxy), await follow(proxy)
    slow.writer.transport.pause_reading()
    told = []
    for _ in range(10):
        for method, path in (("POST", "kill"), ("DELETE", "override")):
            assert (await admin(method, f"/v1/flags/checkout/{path}")).status == 200
            told.append(await other.event())
    assert len(set(told)) == 2
    slow.writer.transport.resume_reading()
    assert [await slow.event() for _ in told] == told
    assert (slow.unread, other.unread) == (b"", b"")


async def test_client_that_vanishes_leaves_its_place_and_others_are_told(
    sluice: Factory, api: Any, follow: Factory
) -> None:
    proxy = await sluice(CONFIG)
    admin = api(proxy)
    gone = [await follow(proxy) for _ in range(20)]
    stays = await follow(proxy)
    for each in gone[:10]:
        each.writer.write(b"x" * 1_000)  # which nobody has asked for
    for each in gone:
        sock = each.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        each.writer.transport.abort()  # a reset, in the middle of the change
    assert (await admin("POST", "/v1/flags/checkout/kill")).status == 200
    told = await stays.event()
    await admin.until("/metrics", lambda found: "sluice_flag_streams 1.0\n" in found)
    assert (await admin("DELETE", "/v1/flags/checkout/override")).status == 200
    assert await stays.event() != told
    assert "Traceback" not in proxy.output


async def test_stream_that_has_nothing_to_tell_shows_that_it_is_alive(traffic: Any, follow: Factory) -> None:
    found = await follow(traffic)
    async with asyncio.timeout(60):
        while not found.unread:  # as long as the heartbeat takes: 15 s
            await asyncio.sleep(0.1)
    assert await found.chunk() == ": still here\n\n"


# -- how they end


async def test_streams_end_well_with_the_proxy_and_hold_nothing_up(sluice: Factory, api: Any, follow: Factory) -> None:
    proxy = await sluice(f"shutdown: {{idle: 0s, grace: 600s}}\n{CONFIG}")
    found = [await follow(proxy) for _ in range(100)]
    assert "sluice_flag_streams 100.0\n" in (await api(proxy)("GET", "/metrics")).body
    assert await proxy.stop() == 0
    assert {(await each.chunk(), await each.reader.read()) for each in found} == {("", b"")}


async def test_streams_come_again_after_a_restart_and_after_a_change_of_routes(
    sluice: Factory, api: Any, follow: Factory
) -> None:
    proxy = await sluice(f"shutdown: {{idle: 0s}}\n{CONFIG}")
    admin = api(proxy)
    uri = stream_of(await bulk(proxy))
    found = await follow(proxy, uri)
    proxy.config.write_text(proxy.config.read_text().replace("{streams: 2,", "{streams: 3,"))
    assert (await admin("POST", "/v1/reload")).status == 200
    assert (await found.chunk(), await found.reader.read()) == ("", b"")
    again = await follow(proxy, uri)
    (before,) = (await admin("GET", "/v1/status")).body["workers"]
    assert (await admin("POST", "/v1/restart")).status == 200
    assert (await again.chunk(), await again.reader.read()) == ("", b"")
    await admin.until(
        "/v1/status", lambda found: all(each["pid"] != before["pid"] for each in found["workers"]) and found["workers"]
    )
    last = await follow(proxy, uri)
    assert (await admin("POST", "/v1/flags/checkout/kill")).status == 200
    await last.event()
    assert last.unread == b""


async def test_change_is_told_though_the_controller_was_killed(sluice: Factory, api: Any, follow: Factory) -> None:
    proxy = await sluice(CONFIG)
    found = await follow(proxy)
    os.kill(_controller(proxy), signal.SIGKILL)
    async with asyncio.timeout(15):
        while not await _killed(api(proxy)):
            await asyncio.sleep(0.02)
    told = await found.event()
    assert stream_of(await bulk(proxy)).endswith(told)
    assert found.unread == b""


def _controller(proxy: Any) -> int:
    children = Path(f"/proc/{proxy.process.pid}/task/{proxy.process.pid}/children").read_text().split()
    (pid,) = [int(each) for each in children if int(each) != proxy.worker]
    return pid


async def _killed(admin: Any) -> bool:
    """Kill the flag, if anybody is there to do it."""
    try:
        return bool((await admin("POST", "/v1/flags/checkout/kill")).status == 200)
    except (ConnectionError, HTTPException):
        return False


async def test_stream_is_logged_when_it_ends_without_its_ticket(
    sluice: Factory, follow: Factory, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    proxy = await sluice(f"access_log: {{path: {path}}}\n{CONFIG}")
    uri = stream_of(await bulk(proxy, "/_flags", TOKEN))
    found = await follow(proxy, f"{uri}&since=x")
    assert await proxy.stop() == 0
    assert (await found.chunk(), await found.reader.read()) == ("", b"")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    (row,) = [each for each in rows if each["target"].startswith(f"/_flags{EVENTS}")]
    assert (row["target"], row["status"], row["reason"]) == (f"/_flags{EVENTS}", 200, None)
    assert row["sent"] in (len("retry: 500\n\n"), len("retry: 1499\n\n"))
