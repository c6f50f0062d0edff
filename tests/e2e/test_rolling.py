"""Rolling updates in place: a fleet of eight, a hook that restarts endpoints as a new version, no request lost."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from tests.e2e.live import Live, Load

Factory = Callable[..., Awaitable[Any]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
DEADLINE = 60.0


class Version:
    """What an origin answers: its version, and every `nth` time an error, but never to a probe; 0 for never."""

    def __init__(self, name: str, nth: int = 0) -> None:
        self.name = name.encode()
        self.nth = nth
        self._numbers = count(1)

    def __call__(self, message: Any) -> bytes:
        is_probe = message.start.startswith(b"GET /healthz ")
        fails = self.nth and not is_probe and next(self._numbers) % self.nth == 0
        return b"HTTP/1.1 %b\r\nX-Version: %b\r\nContent-Length: %d\r\n\r\nversion=%b;" % (
            b"500 Oops" if fails else b"200 OK",
            self.name,
            len(self.name) + 9,
            self.name,
        )


@dataclass
class Fleet:
    """Eight origins before which a proxy stands; `updates` are what the hook was told, in order.

    `bad` are addresses whose new version never says so, and of the new version every `nth` request fails. The hook
    waits while `gate` is not set.
    """

    start_origin: Factory
    origins: dict[str, Any] = field(default_factory=dict)
    updates: list[dict[str, Any]] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)
    nth: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    one_by_one: asyncio.Lock = field(default_factory=asyncio.Lock)
    live: Any = None
    proxy: Any = None

    async def add(self) -> str:
        """One more endpoint, of the first version."""
        origin = await self.start_origin(answer=Version("1"))
        self.origins[origin.address] = origin
        address: str = origin.address
        return address

    async def hook(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Restart what it is told, as it is told."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        told = json.loads(await reader.readexactly(length))
        self.updates.append(told)
        await self.gate.wait()
        async with self.one_by_one:  # whoever takes over from a controller that died asks again
            address = told["endpoint"]
            old = self.origins[address]
            await old.stop()
            is_old = told["rollback"] or address in self.bad
            version = Version("1") if is_old else Version("2", self.nth)
            self.origins[address] = await self.start_origin(port=old.port, answer=version)
        with contextlib.suppress(ConnectionError):  # who asked may be dead
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    def updated(self, *, rollback: bool = False) -> list[str]:
        """Which endpoints the hook was told to update, or roll back."""
        return [told["endpoint"] for told in self.updates if told["rollback"] == rollback]

    async def verb(self, verb: str, name: str = "r") -> tuple[int, Any]:
        """A verb of the rollout."""
        answer: tuple[int, Any] = await self.live.call("POST", f"/v1/rollouts/{name}/{verb}", {})
        return answer

    async def until(self, holds: Callable[[Any], Any], name: str = "r") -> Any:
        """Wait until the rollout stands like that."""
        async with asyncio.timeout(DEADLINE):
            while True:
                with contextlib.suppress(ConnectionError, IndexError):
                    _, view = await self.live.call("GET", f"/v1/rollouts/{name}")
                    if holds(view):
                        return view
                await asyncio.sleep(0.02)

    async def drained(self) -> list[str]:
        """The endpoints that are out."""
        _, view = await self.live.call("GET", "/v1/services/shop")
        return [each["address"] for each in view["pools"]["blue"]["endpoints"] if each["state"].startswith("drain")]

    async def versions(self, number: int) -> set[str]:
        """The versions that so many requests see."""
        answers = [await self.proxy.ask(GET) for _ in range(number)]
        return {answer.one(b"x-version").decode() for answer in answers}

    async def events(self, kind: str) -> list[Any]:
        """What the journal has of this kind."""
        _, found = await self.live.call("GET", "/v1/events")
        return [each for each in found if each["kind"] == kind]

    @contextlib.asynccontextmanager
    async def traffic(self, clients: int = 4) -> AsyncIterator[Load]:
        """Clients that ask all the time."""
        load = Load(self.proxy)
        tasks = [asyncio.create_task(load.run()) for _ in range(clients)]
        try:
            await load.more(50)
            yield load
            await load.more(50)
        finally:
            load.goes_on = False
            await asyncio.gather(*tasks)


@pytest.fixture
async def fleet(sluice: Factory, start_origin: Factory) -> AsyncIterator[Factory]:
    """A factory: await fleet(options of the strategy)."""
    found = Fleet(start_origin)
    found.gate.set()
    server = await asyncio.start_server(found.hook, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def start(
        options: str = "",
        update: str = "",
        service: str = "",
        bake: str = "100ms",
        version: str = "{header: x-version, value: '2'}",
        stopped: int | None = None,
    ) -> Fleet:
        addresses = [await found.add() for _ in range(8)]
        if stopped is not None:
            await found.origins[addresses[stopped]].stop()
        update = update or f"{{hook: 'http://127.0.0.1:{port}/update'}}"
        found.proxy = await sluice(
            f"services:\n  shop:\n    pools: {{blue: {{endpoints: {addresses}}}}}\n"
            f"    health: {{path: /healthz, interval: 200ms, passes: 1}}\n{service}routes: [{{service: shop}}]\n"
            f"rollouts:\n  r: {{service: shop, pool: blue, strategy: {{rolling: {{update: {update},"
            f" version: {version}, proven_within: 2s, bake: {bake}"
            f"{options}}}}}, judge: {{min_requests: 1, error_rate: 50%}}}}\n"
        )
        found.live = Live(found.proxy, lambda *_: None)
        return found

    yield start
    found.gate.set()
    server.close()
    for origin in found.origins.values():
        await origin.stop()


async def test_fleet_of_eight_is_updated_and_no_request_fails(fleet: Factory) -> None:
    found = await fleet()
    async with found.traffic() as load:
        assert (await found.verb("start"))[0] == 200
        view = await found.until(lambda view: view["state"] in ("succeeded", "aborted", "paused"))
    assert (view["state"], load.failures) == ("succeeded", []), view["reason"]
    assert sorted(found.updated()) == sorted(found.origins)
    assert [step["kind"] for step in view["steps"]] == ["wave", "bake"] * 4
    assert (await found.drained(), found.updated(rollback=True)) == ([], [])


async def test_bad_wave_stops_it_and_is_rolled_back(fleet: Factory) -> None:
    found = await fleet()
    third, first_two = list(found.origins)[2], list(found.origins)[:2]
    found.bad.add(third)
    async with found.traffic() as load:
        await found.verb("start")
        view = await found.until(lambda view: view["state"] == "aborted" and not view["doing"])
    assert "its x-version is 1, not 2" in view["reason"]
    assert load.failures == []
    assert set(found.updated()) == set(list(found.origins)[:4])
    assert set(found.updated(rollback=True)) == set(list(found.origins)[:4])
    assert set(first_two) < set(found.updates[-1]["endpoints"])
    assert await found.drained() == []
    found.bad.clear()
    assert (await found.verb("retry"))[0] == 200
    async with found.traffic():
        view = await found.until(lambda view: view["state"] in ("succeeded", "aborted", "paused"))
    assert (view["state"], view["number"], await found.versions(50)) == ("succeeded", 2, {"2"}), view["reason"]


async def test_abort_by_a_person_brings_everything_back_in(fleet: Factory) -> None:
    found = await fleet(", otherwise: pause")
    found.bad.add(next(iter(found.origins)))
    await found.verb("start")
    await found.until(lambda view: view["state"] == "paused")
    assert next(iter(found.origins)) in await found.drained()
    assert (await found.verb("promote"))[0] == 409
    assert (await found.verb("abort"))[0] == 200
    await found.until(lambda view: not view["doing"])
    assert await found.drained() == []


async def test_killed_controller_goes_on_with_the_wave_and_drains_nothing_twice(fleet: Factory) -> None:
    found = await fleet()
    async with found.traffic() as load:
        await found.verb("start")
        await found.until(lambda view: view["step"] >= 2 and len(found.updates) >= 3)
        before = found.live.controller()
        os.kill(before, signal.SIGKILL)
        await found.live.until(lambda: found.live.controller() not in (None, before))
        view = await found.until(lambda view: view["state"] in ("succeeded", "aborted", "paused"))
    assert (view["state"], load.failures) == ("succeeded", []), view["reason"]
    drains = [event["after"] for event in await found.events("drain")]
    assert sorted(drains) == sorted(f"blue {address}" for address in found.origins)


async def test_command_updates_where_commands_are_allowed(fleet: Factory) -> None:
    found = await fleet(", allow_commands: true", "{command: [sh, -c, 'echo no $SLUICE_ENDPOINT; exit 3']}")
    await found.verb("start")
    view = await found.until(lambda view: view["state"] == "aborted" and not view["doing"])
    assert "the command ends with 3: no 127.0.0.1:" in view["reason"]
    assert await found.drained() == []


async def test_wave_that_fails_one_in_ten_is_found_out_and_rolled_back(fleet: Factory) -> None:
    found = await fleet(bake="10m")
    found.nth = 10
    async with found.traffic() as load:
        await found.verb("start")
        view = await found.until(lambda view: view["state"] == "aborted" and not view["doing"])
        updated, old = list(found.origins)[:2], list(found.origins)[2:]
        assert view["reason"].startswith("blue updated fails ")
        assert ", blue as it was 0.0 % of " in view["reason"]
        assert "; by chance at any time so far less often than 1 in " in view["reason"]
        assert (view["verdict"]["kind"], view["alarm"]) == ("harm", None)
        assert view["step"] in (0, 1)  # the wave itself, where its last endpoint was proven a moment ago, or its bake
        assert sorted(found.updated()) == sorted(found.updated(rollback=True)) == sorted(updated)
        assert not set(old) & {told["endpoint"] for told in found.updates}
        assert await found.drained() == []
        failed = len(load.failures)
        await load.more(500)
    assert len(load.failures) == failed
    assert {failure.what for failure in load.failures} == {"b'HTTP/1.1 500 Oops'"}
    assert await found.versions(50) == {"1"}


async def test_proxy_that_ends_in_a_wave_goes_on_with_it(fleet: Factory) -> None:
    found = await fleet()
    found.gate.clear()
    await found.verb("start")
    await found.live.until(lambda: len(found.updates) == 2)
    out = await found.drained()
    assert await found.live.again() == 0
    assert await found.drained() == out == sorted(out, key=list(found.origins).index)
    found.gate.set()
    async with found.traffic():
        view = await found.until(lambda view: view["state"] in ("succeeded", "aborted", "paused"))
    assert view["state"] == "succeeded", view["reason"]
    assert set(found.updated()) == set(found.origins)
    drains = [event["after"] for event in await found.events("drain")]
    assert sorted(drains) == sorted(f"blue {address}" for address in found.origins)


async def test_hot_restart_in_a_wave_loses_nothing(fleet: Factory) -> None:
    found = await fleet()
    found.gate.clear()
    async with found.traffic() as load:
        await found.verb("start")
        await found.live.until(lambda: len(found.updates) == 2)
        before = found.live.workers()
        assert (await found.live.call("POST", "/v1/restart", {}))[0] == 200
        await found.live.until_workers(len(before), before)
        found.gate.set()
        view = await found.until(lambda view: view["state"] in ("succeeded", "aborted", "paused"))
    assert (view["state"], load.failures) == ("succeeded", []), view["reason"]
    assert set(found.updated()) == set(found.origins)
    assert await found.drained() == []


async def test_wave_that_is_paused_finishes_nothing_until_it_is_resumed(fleet: Factory) -> None:
    found = await fleet()
    found.gate.clear()
    await found.verb("start")
    await found.live.until(lambda: len(found.updates) == 2)
    assert (await found.verb("pause"))[0] == 200
    found.gate.set()
    first = set(list(found.origins)[:2])
    view = await found.until(lambda view: sum(line["text"].startswith("update: ") for line in view["log"]) == 2)
    assert (view["state"], view["step"]) == ("paused", 0)
    assert set(await found.drained()) == set(found.updated()) == first
    assert (await found.verb("resume"))[0] == 200
    async with found.traffic():
        view = await found.until(lambda view: view["state"] in ("succeeded", "aborted", "paused"))
    assert (view["state"], sorted(found.updated())) == ("succeeded", sorted(found.origins))


async def test_endpoints_that_go_and_come_meanwhile_are_left_out(fleet: Factory) -> None:
    found = await fleet()
    found.gate.clear()
    await found.verb("start")
    await found.live.until(lambda: len(found.updates) == 2)
    gone, *_, last = found.origins
    new = await found.add()
    text = found.live.text()
    found.live.write(text.replace(f"'{gone}', ", "").replace(f"'{last}'", f"'{new}'"))
    assert (await found.live.call("POST", "/v1/reload", {}))[0] == 200
    found.gate.set()
    async with found.traffic():
        view = await found.until(lambda view: view["state"] in ("succeeded", "aborted", "paused"))
    assert view["state"] == "succeeded", view["reason"]
    assert set(found.updated()) == set(found.origins) - {last, new}
    assert f"update: {last} is in the pool no more" in [line["text"] for line in view["log"]]
    assert await found.drained() == []


async def test_what_somebody_else_has_drained_stays_theirs(fleet: Factory) -> None:
    found = await fleet()
    theirs = list(found.origins)[1]
    assert (await found.live.call("POST", f"/v1/services/shop/pools/blue/endpoints/{theirs}/drain", {}))[0] == 200
    await found.verb("start")
    view = await found.until(lambda view: view["state"] == "aborted" and not view["doing"])
    assert view["reason"] == f"the wave failed: {theirs}: somebody else has drained it; restore it first"
    assert theirs not in [told["endpoint"] for told in found.updates]
    assert await found.drained() == [theirs]


async def test_version_may_stand_in_the_body(fleet: Factory) -> None:
    found = await fleet(version="{path: /about, value: 'version=2;'}")
    found.bad.add(list(found.origins)[7])
    await found.verb("start")
    async with found.traffic():
        view = await found.until(lambda view: view["state"] in ("succeeded", "aborted", "paused"))
    assert "/about does not say version=2;" in view["reason"]
    assert view["step"] == 6


async def test_hook_never_leads_to_our_own_admin(fleet: Factory) -> None:
    found = await fleet()
    update = {"hook": f"http://localhost:{found.proxy.admin_port}/v1/services/shop/flip"}
    posted = {"name": "r2", "service": "shop", "pool": "blue", "strategy": {"rolling": {"update": update}}}
    assert (await found.live.call("POST", "/v1/rollouts", posted))[0] == 200
    assert (await found.verb("start", "r2"))[0] == 200
    view = await found.until(lambda view: view["state"] == "aborted" and not view["doing"], "r2")
    assert "leads to our own admin, where no hook may" in view["reason"]
    assert await found.drained() == []


async def test_what_comes_back_starts_slowly(fleet: Factory) -> None:
    found = await fleet(bake="10m")
    await found.live.until_ready()
    text = found.live.text()
    found.live.write(text.replace("passes: 1}", "passes: 1}\n    slow_start: 10m"))  # for whoever comes up from now on
    assert (await found.live.call("POST", "/v1/reload", {}))[0] == 200
    await found.verb("start")
    async with found.traffic() as load:
        await found.until(lambda view: view["step"] == 1)
        before = [len(origin.requests) for origin in found.origins.values()]
        await load.more(2_000)
        asked = [len(origin.requests) - had for origin, had in zip(found.origins.values(), before, strict=True)]
    assert max(asked[:2]) < min(asked[2:]) / 2  # a tenth of their weight, beside probes
    view = await found.until(lambda _: True)
    assert (view["state"], view["alarm"]) == ("running", None)
    assert view["verdict"]["numbers"]["candidate_requests"] > 0


async def test_endpoint_that_never_was_well_is_updated_like_the_others(fleet: Factory) -> None:
    found = await fleet(stopped=5)
    assert (await found.verb("start"))[0] == 200
    async with found.traffic() as load:
        view = await found.until(lambda view: view["state"] in ("succeeded", "aborted", "paused"))
    assert (view["state"], load.failures) == ("succeeded", []), view["reason"]
    assert sorted(found.updated()) == sorted(found.origins)


async def test_hash_keeps_its_endpoints_and_finds_the_harmful_all_the_same(fleet: Factory) -> None:
    version = "{path: /healthz, header: x-version, value: '2'}"
    found = await fleet(service="    balance: {hash: {header: x-user}}\n", bake="10m", version=version)
    found.nth = 1
    await found.verb("start")
    await found.until(lambda view: view["step"] == 1)
    asked = 0
    client = await found.proxy.connect()
    while (await found.until(lambda _: True))["state"] == "running":
        for _ in range(20):
            asked += 1
            await client.ask(GET.replace(b"Host: a", b"Host: a\r\nX-User: %d" % asked))
    await client.close()
    view = await found.until(lambda view: view["state"] == "aborted" and not view["doing"])
    assert view["reason"].startswith("blue updated fails 100.0 % of ")
    assert await found.drained() == []
