"""Several services with a rollout each behind one proxy, their colours, and clients that ask at an even pace."""

import asyncio
import contextlib
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.conftest import read_message
from tests.e2e.live import Live

SOAK = bool(os.environ.get("SLUICE_SOAK"))
DEADLINE = 90.0
CHANCE = random.Random()  # noqa: S311 - nothing here is a secret
RATE = 200  # requests per second to each service
_CLIENTS = 4
_STEPS = "[{split: 10%}, {bake: 1h}, {split: 100%}]"


class Colour:
    """What an origin does: a share of its answers are errors, and a share comes after 400 ms.

    In a soak they are drawn; otherwise they come at even distances, so that no test depends on luck. Requests for
    `/hold` wait for `released`; `asked` counts all by their path.
    """

    def __init__(self, name: str, errors: float = 0.0, slow: float = 0.0) -> None:
        self.name = name.encode()
        self.errors = errors
        self.slow = slow
        self.asked: Counter[str] = Counter()
        self.released = asyncio.Event()
        self._failures = _drawn(lambda: self.errors)
        self._delays = _drawn(lambda: self.slow)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        while True:
            message = await read_message(reader)
            path = message.start.split(b" ")[1].decode()
            self.asked[path] += 1
            if path == "/hold":
                await self.released.wait()
            if next(self._delays):
                await asyncio.sleep(0.4)
            status = b"500 Oops" if next(self._failures) else b"200 OK"
            writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(self.name), self.name))


def _drawn(share: Callable[[], float]) -> Iterator[bool]:
    spent = 0.0
    for _ in count():
        spent += share()
        yield CHANCE.random() < share() if SOAK else spent >= 1
        spent -= spent >= 1


@dataclass(slots=True)
class Asked:
    """What one service's clients saw: how many answers, and how many of each kind."""

    answered: int = 0
    colours: Counter[str] = field(default_factory=Counter)


class Shops:
    """Services before the same two pools, each with the rollout of its name."""

    def __init__(self, proxy: Any) -> None:
        self.proxy = proxy
        self.live = Live(proxy, lambda *_: None)

    async def verb(self, name: str, verb: str, body: Any = None) -> tuple[int, Any]:
        """A verb of a rollout."""
        return await self.live.call("POST", f"/v1/rollouts/{name}/{verb}", body)

    async def view(self, name: str) -> Any:
        """How a rollout stands."""
        status, view = await self.live.call("GET", f"/v1/rollouts/{name}")
        assert status == 200, view
        return view

    async def until(self, name: str, holds: Callable[[Any], Any]) -> Any:
        """Wait until it stands like that."""
        view = None
        try:
            async with asyncio.timeout(DEADLINE):
                while True:
                    with contextlib.suppress(ConnectionError, IndexError):
                        view = await self.view(name)
                        if holds(view):
                            return view
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{name} stays {view}") from None

    async def state(self, name: str, *states: str) -> Any:
        """Wait until it has one of these states."""
        return await self.until(name, lambda view: view["state"] in states)

    async def split(self, name: str) -> dict[str, float]:
        """The split in force."""
        _, view = await self.live.call("GET", f"/v1/services/{name}")
        return {pool: share for pool, share in view["split"].items() if share}

    async def colours(self, name: str, requests: int = 50) -> set[str]:
        """What so many requests get, on connections of their own."""
        return {(await self.proxy.ask(_request(name))).body.decode() for _ in range(requests)}

    @contextlib.asynccontextmanager
    async def traffic(self, name: str, rate: float = RATE) -> AsyncIterator[Asked]:
        """So many requests per second to a service, on connections that are kept."""
        asked, ends = Asked(), asyncio.Event()
        tasks = [asyncio.create_task(self._client(name, rate / _CLIENTS, asked, ends)) for _ in range(_CLIENTS)]
        try:
            yield asked
        finally:
            ends.set()
            await asyncio.gather(*tasks)

    async def _client(self, name: str, rate: float, asked: Asked, ends: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        client = await self.proxy.connect()
        due = loop.time() + CHANCE.random() / rate
        while not ends.is_set():
            await asyncio.sleep(due - loop.time())
            due = max(due + 1 / rate, loop.time() - 1)  # who was held up catches up, but for no more than a second
            colour = (await client.ask(_request(name))).body.decode()
            asked.answered += 1
            asked.colours[colour] += 1
        await client.close()


def _request(name: str) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % name.encode()


@dataclass(frozen=True, slots=True)
class Rollout:
    """One service and its rollout; `service` are more keys of the service, `keys` more of the rollout."""

    name: str
    steps: str = _STEPS
    judge: str = "{}"
    service: str = ""
    keys: str = ""


def document(rollouts: list[Rollout], blue: str, canary: str, workers: int = 1) -> str:
    """The configuration of all of them."""
    lines = [f"workers: {workers}", "services:"]
    for each in rollouts:
        lines += [
            f"  {each.name}:",
            f"    pools: {{blue: {{endpoints: ['{blue}']}}, canary: {{endpoints: ['{canary}']}}}}",
            "    split: {blue: 100, canary: 0}",
            f"    {each.service}",
        ]
    lines += ["routes:", *(f"  - {{match: {{host: {each.name}}}, service: {each.name}}}" for each in rollouts)]
    lines += ["rollouts:"]
    for each in rollouts:
        steps = "" if "strategy:" in each.keys else f", steps: {each.steps}"
        keys = f"service: {each.name}, candidate: canary{steps}, judge: {each.judge}{each.keys}"
        lines.append(f"  {each.name}: {{{keys}}}")
    return "\n".join(lines) + "\n"
