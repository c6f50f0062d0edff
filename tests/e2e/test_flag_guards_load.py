"""Guards under constant load: a variant whose upstream fails more often kills its flag; an equal one does not."""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tests.conftest import read_message
from tests.e2e.judged import RATE
from tests.e2e.live import Live

Factory = Callable[..., Awaitable[Any]]

DEADLINE = 90.0
CLIENTS = 4
MOST = 3_000  # requests, half of them on the variant that fails, until 10 % beside 1 % are found out

CONFIG = """
workers: 2
flag_rules:
  worse: {on_for: {percent: 50}, otherwise: off}
  equal: {on_for: {percent: 50}, otherwise: off}
flag_settings:
  key_from: [{header: x-user}]
  upstream_header: x-flags
  guards: {worse: {errors: {alpha: 1%}, on_harm: kill}, equal: {errors: {alpha: 0.01%}, on_harm: kill}}
routes: [{service: app}]
"""


class App:
    """An upstream that fails 10 % of what it is told `worse` is on for, else 1 %: at even distances, so not by luck."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self._spent: dict[str, float] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        while True:
            told = (await read_message(reader)).one(b"x-flags") or b""
            variants = dict(re.findall(r"(worse|equal)=(on|off);r=", told.decode()))
            self.asked.update(f"{key} {variant}" for key, variant in variants.items())
            fails = self._fails(variants.get("worse", ""))
            status = b"500 Oops" if fails else b"200 OK"
            writer.write(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nok" % status)

    def _fails(self, variant: str) -> bool:
        spent = self._spent.get(variant, 0.0) + (0.1 if variant == "on" else 0.01)
        self._spent[variant] = spent - (spent >= 1)
        return spent >= 1


class Users:
    """Users who ask once each, at an even pace; `asked` counts them."""

    def __init__(self, proxy: Any) -> None:
        self.asked = 0
        self._proxy = proxy
        self._ends = asyncio.Event()

    @contextlib.asynccontextmanager
    async def going_on(self) -> AsyncIterator["Users"]:
        """They ask until the end."""
        tasks = [asyncio.create_task(self._client(CLIENTS / RATE)) for _ in range(CLIENTS)]
        try:
            yield self
        finally:
            self._ends.set()
            await asyncio.gather(*tasks)

    async def _client(self, pause: float) -> None:
        loop = asyncio.get_running_loop()
        client = await self._proxy.connect()
        due = loop.time()
        while not self._ends.is_set():
            await asyncio.sleep(due - loop.time())
            due = max(due + pause, loop.time() - 1)
            self.asked += 1
            await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX-User: u%d\r\n\r\n" % self.asked)
        await client.close()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not await holds():
            await asyncio.sleep(0.05)


async def test_variant_that_fails_under_load_is_killed_and_an_equal_one_is_not(
    sluice: Factory, origin: Factory
) -> None:
    app = App()
    server = await origin(serve=app.serve)
    proxy = await sluice(f"services: {{app: {{pools: {{only: {{endpoints: ['{server.address}']}}}}}}}}\n{CONFIG}")
    live = Live(proxy, lambda *_: None)

    async def override(key: str) -> Any:
        return (await live.call("GET", f"/v1/flags/{key}"))[1]["override"]

    async def is_killed() -> bool:
        return bool(await override("worse") == {"killed": True})

    async with Users(proxy).going_on() as users:
        await until(is_killed)
        spent = users.asked
        told = app.asked["worse on"]

        async def is_doubled() -> bool:
            return users.asked >= 2 * spent

        await until(is_doubled)
    assert spent <= MOST
    assert app.asked["worse on"] - told <= CLIENTS  # what was under way; nobody is told since
    assert min(app.asked["equal on"], app.asked["equal off"]) > spent / 2
    assert await override("equal") is None
    (guard,) = (await live.call("GET", "/v1/flags/equal/outcome"))[1]["guards"]
    assert guard["verdict"] != "harm"
    (event,) = [each for each in (await live.call("GET", "/v1/events"))[1] if each["kind"] == "flag_killed"]
    assert (event["by"], event["text"]) == ("guard worse", "flag worse")
    assert event["reason"].startswith("on fails ")
    print(f"{spent} requests until: {event['reason']}")
