"""Rolling updates in place: a fleet of eight, a hook that restarts endpoints as a new version, no request lost."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.live import Live, Load

Factory = Callable[..., Awaitable[Any]]

DEADLINE = 60.0


@dataclass
class Fleet:
    """Eight origins before which a proxy stands; `updates` are what the hook was told, in order.

    `bad` are addresses whose new version never says so.
    """

    start_origin: Factory
    origins: dict[str, Any] = field(default_factory=dict)
    updates: list[dict[str, Any]] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)
    live: Any = None
    proxy: Any = None

    async def add(self) -> str:
        """One more endpoint, of the first version."""
        origin = await self.start_origin(answer=_version("1"))
        self.origins[origin.address] = origin
        address: str = origin.address
        return address

    async def hook(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Restart what it is told, as it is told."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        told = json.loads(await reader.readexactly(length))
        self.updates.append(told)
        address = told["endpoint"]
        old = self.origins[address]
        await old.stop()
        version = "1" if told["rollback"] or address in self.bad else "2"
        self.origins[address] = await self.start_origin(port=old.port, answer=_version(version))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    def updated(self, *, rollback: bool = False) -> list[str]:
        """Which endpoints the hook was told to update, or roll back."""
        return [told["endpoint"] for told in self.updates if told["rollback"] == rollback]

    async def verb(self, verb: str) -> tuple[int, Any]:
        """A verb of the rollout."""
        answer: tuple[int, Any] = await self.live.call("POST", f"/v1/rollouts/r/{verb}", {})
        return answer

    async def until(self, holds: Callable[[Any], Any]) -> Any:
        """Wait until the rollout stands like that."""
        async with asyncio.timeout(DEADLINE):
            while True:
                with contextlib.suppress(ConnectionError, IndexError):
                    _, view = await self.live.call("GET", "/v1/rollouts/r")
                    if holds(view):
                        return view
                await asyncio.sleep(0.02)

    async def drained(self) -> list[str]:
        """The endpoints that are out."""
        _, view = await self.live.call("GET", "/v1/services/shop")
        return [each["address"] for each in view["pools"]["blue"]["endpoints"] if each["state"].startswith("drain")]

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


def _version(version: str) -> bytes:
    return b"HTTP/1.1 200 OK\r\nX-Version: %b\r\nContent-Length: 2\r\n\r\nok" % version.encode()


@pytest.fixture
async def fleet(sluice: Factory, start_origin: Factory) -> AsyncIterator[Factory]:
    """A factory: await fleet(options of the strategy)."""
    found = Fleet(start_origin)
    server = await asyncio.start_server(found.hook, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def start(options: str = "", update: str = "") -> Fleet:
        addresses = [await found.add() for _ in range(8)]
        update = update or f"{{hook: 'http://127.0.0.1:{port}/update'}}"
        found.proxy = await sluice(
            f"services:\n  shop:\n    pools: {{blue: {{endpoints: {addresses}}}}}\n"
            "    health: {path: /, interval: 200ms, passes: 1}\nroutes: [{service: shop}]\n"
            f"rollouts:\n  r: {{service: shop, pool: blue, strategy: {{rolling: {{update: {update},"
            " version: {header: x-version, value: '2'}, proven_within: 2s, bake: 100ms"
            f"{options}}}}}, judge: {{min_requests: 1, error_rate: 50%}}}}\n"
        )
        found.live = Live(found.proxy, lambda *_: None)
        return found

    yield start
    server.close()
    for origin in found.origins.values():
        await origin.stop()


async def test_fleet_of_eight_is_updated_and_no_request_fails(fleet: Factory) -> None:
    found = await fleet()
    async with found.traffic() as load:
        assert (await found.verb("start"))[0] == 200
        view = await found.until(lambda view: view["state"] in ("succeeded", "aborted", "paused"))
    assert (view["state"], load.failures) == ("succeeded", [])
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
    assert (view["state"], load.failures) == ("succeeded", [])
    drains = [event["after"] for event in await found.events("drain")]
    assert sorted(drains) == sorted(f"blue {address}" for address in found.origins)


async def test_command_updates_where_commands_are_allowed(fleet: Factory) -> None:
    found = await fleet(", allow_commands: true", "{command: [sh, -c, 'echo no $SLUICE_ENDPOINT; exit 3']}")
    await found.verb("start")
    view = await found.until(lambda view: view["state"] == "aborted" and not view["doing"])
    assert "the command ends with 3: no 127.0.0.1:" in view["reason"]
    assert await found.drained() == []
