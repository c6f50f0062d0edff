"""The wall clock is set back by hours under traffic: what is timed goes by another clock, what is ordered by none."""

import asyncio
import os
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
HOURS = 3
SHOP = "/v1/services/shop"

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed (apt-get install faketime)")


@pytest.fixture
def clocked(live: Factory, origin: Factory, tmp_path: Path) -> Factory:
    """A factory of a proxy whose wall clock can be set: await clocked() -> (proxy, probed origin, set_back)."""
    clock = tmp_path / "clock"

    def set_clock(shift: str) -> None:
        clock.with_suffix(".new").write_text(shift)
        clock.with_suffix(".new").rename(clock)

    async def start() -> tuple[Any, Any, Callable[[], None]]:
        set_clock("+0")
        fake = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        probed = await origin()
        service = (
            "sticky: {cookie: who, ttl: 1h, on_change: hold, hold_for: 2h}\n"
            "    balance: round_robin\n"
            "    retry: {retries: 1}\n"
            "    ejection: {consecutive_errors: 1, base: 1s, max: 1s}\n"
            "    health: {path: /, interval: 100ms, passes: 1, fails: 1}"
        )
        proxy = await live(workers=2, environ=fake, service=service)
        proxy.write(proxy.text().replace("blue: {endpoints: [", f"blue: {{endpoints: [{probed.address}, "))
        assert (await proxy.call("POST", "/v1/reload"))[0] == 200
        return proxy, probed, lambda: set_clock(f"-{HOURS}h")

    return start


def request(cookie: str = "") -> bytes:
    return f"GET / HTTP/1.1\r\nHost: a\r\n{cookie}\r\n".encode()


def given(response: Any) -> str:
    """The value of the cookie that a response sets."""
    return response.one(b"set-cookie").decode().partition(";")[0].partition("=")[2]


def who(cookie: str) -> bytes:
    """Whose session it is."""
    return urlsafe_b64decode(cookie + "==")[5:21]


async def test_clock_that_is_set_back_breaks_nothing_that_is_timed_or_ordered(clocked: Factory) -> None:
    proxy, probed, set_back = await clocked()
    sticky = given(await proxy.ask(request()))
    assert (await proxy.call("POST", f"{SHOP}/flip", {"to": "green"}))[0] == 200
    tunnel = await proxy.tunnel()
    assert (await proxy.call("PUT", f"{SHOP}/split", {"blue": 1, "green": 1}))[0] == 200
    assert (await proxy.call("POST", f"{SHOP}/pools/green/drain", {"deadline": "2s"}))[0] == 200
    async with proxy.load(4) as load:
        set_back()
        assert (await proxy.call("POST", f"{SHOP}/pools/canary/drain", {}))[0] == 200

        # The journal goes by its numbers.
        _, events = await proxy.call("GET", "/v1/events")
        assert [event["id"] for event in events] == sorted(event["id"] for event in events)
        assert events[-1]["kind"] == "drain"
        assert events[-1]["at"] < events[-2]["at"], "the clock was not set back"

        # Probes go on: who falls ill is out, who is well again is in.
        seen = len(probed.requests)
        await probed.until(lambda: len(probed.requests) > seen + 2)
        probed.answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
        await _until_state(proxy, probed.address, {"down", "ejected"})
        probed.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\necho"
        await _until_state(proxy, probed.address, {"up"})

        # A session from what is the future now is the same one, written anew.
        response = await proxy.ask(request(f"Cookie: who={sticky}\r\n"))
        assert who(given(response)) == who(sticky)
        renewed = given(response)
        assert (await proxy.ask(request(f"Cookie: who={renewed}\r\n"))).one(b"set-cookie") is None

        # The last writer is who wrote last.
        assert (await proxy.call("POST", f"{SHOP}/flip", {"to": "blue"}))[0] == 200
        proxy.write(proxy.text().replace("split: {blue: 100}", "split: {blue: 3, canary: 1}"))
        assert (await proxy.call("POST", "/v1/reload"))[0] == 200
        _, shop = await proxy.call("GET", SHOP)
        assert (shop["split"]["blue"], shop["split_from"]) == (75, "file")

        # The deadline of the drain comes.
        await _until_over(proxy)
        await load.more(50)
    assert [failure for failure in load.failures if failure.broken] == []
    await tunnel.close()
    assert await proxy.stop() == 0


async def test_deadline_of_a_drain_outlives_a_controller_and_a_clock_set_back(clocked: Factory) -> None:
    proxy, _, set_back = await clocked()
    assert (await proxy.call("POST", f"{SHOP}/flip", {"to": "green"}))[0] == 200
    tunnel = await proxy.tunnel()
    assert (await proxy.call("PUT", f"{SHOP}/split", {"blue": 1, "green": 1}))[0] == 200
    assert (await proxy.call("POST", f"{SHOP}/pools/green/drain", {"deadline": "3s"}))[0] == 200
    before = proxy.controller()
    set_back()
    os.kill(before, 9)
    await proxy.until(lambda: proxy.controller() not in (None, before))
    assert await tunnel.client.rest() == b""
    await tunnel.close()


async def _until_state(proxy: Any, address: str, states: set[str]) -> None:
    """Wait until that endpoint of blue is in one of these states."""
    async with asyncio.timeout(30):
        while True:
            _, shop = await proxy.call("GET", SHOP)
            (state,) = [each["state"] for each in shop["pools"]["blue"]["endpoints"] if each["address"] == address]
            if state in states:
                return
            await asyncio.sleep(0.01)


async def _until_over(proxy: Any) -> None:
    """Wait until the journal tells of a drain's deadline."""
    async with asyncio.timeout(30):
        while True:
            _, events = await proxy.call("GET", "/v1/events")
            if any(event["kind"] == "drain_deadline" for event in events):
                return
            await asyncio.sleep(0.01)
