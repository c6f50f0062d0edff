"""Replays published cases through one running proxy into one raw origin.

The cases are not part of this tree: $SLUICE_CASES names their folder, and without it they skip. A test module
says which file it reads (SOURCE) and, for each argument that takes one case, which cases (VECTORS).
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

HERE = Path(__file__).parent
Factory = Callable[..., Awaitable[Any]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test below this folder: all start real processes."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each case that the argument's choice takes."""
    for name, wanted in getattr(metafunc.module, "VECTORS", {}).items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, _cases(metafunc.module.SOURCE, wanted))


def _cases(source: str, wanted: Callable[[dict[str, Any]], bool]) -> list[Any]:
    folder = os.environ.get("SLUICE_CASES")
    if not folder:
        return [pytest.param(None, marks=pytest.mark.skip("$SLUICE_CASES names no folder of published cases"))]
    with (Path(folder) / source).open() as lines:
        vectors = [json.loads(line) for line in lines]
    return [pytest.param(vector, id=_id(vector)) for vector in vectors if wanted(vector)]


def _id(vector: dict[str, Any]) -> str:
    return vector.get("id") or f"{vector['src'].removeprefix('llhttp/test/')}:{vector['line']}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one replay: final statuses in order, whether the proxy closed, what the origin read."""

    statuses: list[int]
    closed: bool
    requests: list[Any]

    @property
    def refused(self) -> bool:
        """Answered with nothing but an error, or not at all, and closed; the origin has read no request."""
        return self.closed and all(status >= 400 for status in self.statuses) and not self.requests


class Stage:
    """One proxy before one origin."""

    def __init__(self, sluice: Any, origin: Any) -> None:
        self.sluice = sluice
        self.origin = origin

    async def replay(self, raw: bytes, answers: int | None = None) -> Outcome:
        """Send `raw` and read `answers` final responses; None: all until the proxy closes.

        With 0, wait until the origin has got something, or the proxy closes: for messages that never end.
        """
        before = len(self.origin.requests), len(self.origin.received)
        client = await self.sluice.connect()
        try:
            await client.send(raw)
            waits = asyncio.ensure_future(self.origin.until(lambda: len(self.origin.received) > before[1]))
            statuses, closed = await self._read(client, raw.strip().split(b" ", 1)[0], answers, waits)
        finally:
            waits.cancel()
            await client.close()
        assert not self.origin.problems
        return Outcome(statuses, closed, self.origin.requests[before[0] :])

    async def _read(
        self, client: Any, method: bytes, answers: int | None, waits: asyncio.Future[None]
    ) -> tuple[list[int], bool]:
        statuses: list[int] = []
        while answers is None or len(statuses) < max(answers, 1):
            reading = asyncio.ensure_future(client.response(method))
            await asyncio.wait([reading, waits] if answers == 0 else [reading], return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                reading.cancel()
                break
            try:
                response = reading.result()
            except (asyncio.IncompleteReadError, ConnectionError):
                return statuses, True
            if response.status >= 200:
                statuses.append(response.status)
        return statuses, False

    async def answer(self, raw: bytes) -> tuple[int | None, bool]:
        """Let the origin answer with `raw` and close; the client's final status, and whether all came."""
        usual, self.origin.answer, self.origin.hangs_up = self.origin.answer, raw, True
        client = await self.sluice.connect()
        try:
            return await self._answer(client)
        finally:
            self.origin.answer, self.origin.hangs_up = usual, False
            await client.close()

    async def _answer(self, client: Any) -> tuple[int | None, bool]:
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = await client.rest()
        replay = asyncio.StreamReader(limit=1 << 20)
        replay.feed_data(received)
        replay.feed_eof()
        client.reader = replay
        status = None
        try:
            while status is None or status < 200:
                status = (await client.response()).status
        except asyncio.IncompleteReadError:
            lines = [line for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
            return (int(lines[-1].split(b" ")[1]) if lines else None), False
        return status, True


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    start_sluice: Factory,
    start_origin: Factory,
    plain: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stage]:
    """A proxy that waits a second for a head, never tries again, and one origin."""
    origin = await start_origin()
    listeners = 'listeners: [{bind: "127.0.0.1:PORT", limits: {head_timeout: 1s}}]\n'
    text = listeners + plain(origin.address, "retry: {retries: 0}")
    sluice = await start_sluice(tmp_path_factory.mktemp("cases"), text)
    yield Stage(sluice, origin)
    await sluice.stop()
    await origin.stop()
