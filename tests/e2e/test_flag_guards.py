"""Guards: a flag whose variant fails kills itself; one that fails either way, or for a few users only, does not."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tests.e2e.live import DEADLINE, Live

Factory = Callable[..., Awaitable[Live]]

EXTRA = """
flag_rules:
  worse: {on_for: {percent: 50}, otherwise: off}
  equal: {on_for: {percent: 50}, otherwise: off}
  loud: {on_for: {percent: 50}, otherwise: off}
flag_settings:
  key_from: [{header: x-user}]
  guards: {worse: {errors: {alpha: 1%}, on_harm: kill}, equal: {}, loud: {}}
"""
ROUTES = (
    "routes:\n"
    "  - {match: {headers: {x-worse: 1}, flags: {worse: on}}, respond: {status: 503}}\n"
    "  - {match: {headers: {x-equal: 1}, flags: {equal: [on, off]}}, respond: {status: 503}}\n"
    "  - {match: {headers: {x-loud: 1}, flags: {loud: on}}, respond: {status: 503}}\n"
)


async def start(live: Factory) -> Live:
    """A proxy where x-worse fails for who has `worse`, x-equal for everybody, x-loud for who has `loud`."""
    proxy = await live(workers=2, extra=EXTRA)
    proxy.write(proxy.text().replace("routes:\n", ROUTES))
    assert (await proxy.call("POST", "/v1/reload"))[0] == 200
    return proxy


async def ask(proxy: Live, field: str, users: range, times: int = 1) -> list[int]:
    """What the users are answered, each so many times, over one connection for every ten."""
    statuses = []
    for first in range(users.start, users.stop, 10):
        client = await proxy.connect()
        for user in range(first, min(first + 10, users.stop)):
            for _ in range(times):
                request = f"GET / HTTP/1.1\r\nHost: a\r\nX-User: u{user}\r\nX-{field}: 1\r\n\r\n"
                statuses.append((await client.ask(request.encode())).status)
        await client.close()
    return statuses


async def override(proxy: Live, key: str) -> Any:
    return (await proxy.call("GET", f"/v1/flags/{key}"))[1]["override"]


async def until_killed(proxy: Live, key: str) -> None:
    async with asyncio.timeout(DEADLINE):
        while await override(proxy, key) != {"killed": True}:
            await ask(proxy, "Nothing", range(1))


async def test_flag_that_does_harm_is_killed_by_its_guard_and_stays_so(live: Factory) -> None:
    proxy = await start(live)
    assert set(await ask(proxy, "Equal", range(120))) == {503}
    assert set(await ask(proxy, "Loud", range(5), 40)) == {200, 503}
    assert set(await ask(proxy, "Worse", range(80))) == {200, 503}
    await until_killed(proxy, "worse")
    assert await override(proxy, "equal") is None
    assert await override(proxy, "loud") is None
    (event,) = [each for each in (await proxy.call("GET", "/v1/events"))[1] if each["kind"] == "flag_killed"]
    assert (event["by"], event["text"]) == ("guard worse", "flag worse")
    assert event["reason"].startswith("on fails 100.0 % of ")
    assert set(await ask(proxy, "Worse", range(80))) == {200}
    assert (await proxy.call("POST", "/v1/reload"))[0] == 200
    assert (await proxy.call("PUT", "/v1/flags/worse/override", {"variant": "on"}))[0] == 409
    assert set(await ask(proxy, "Worse", range(80))) == {200}


async def test_flag_that_was_cleared_is_judged_anew(live: Factory) -> None:
    proxy = await start(live)
    await ask(proxy, "Worse", range(80))
    await until_killed(proxy, "worse")
    assert (await proxy.call("DELETE", "/v1/flags/worse/override"))[0] == 200
    assert set(await ask(proxy, "Worse", range(10), 3)) == {200, 503}  # few: no harm by what was seen before
    (guard,) = (await proxy.call("GET", "/v1/flags/worse/outcome"))[1]["guards"]
    assert (guard["variant"], guard["verdict"]) == ("on", "not_yet")
    assert await override(proxy, "worse") is None
    await ask(proxy, "Worse", range(200, 280))
    await until_killed(proxy, "worse")
    kills = json.dumps((await proxy.call("GET", "/v1/events"))[1]).count('"flag_killed"')
    assert kills == 2
