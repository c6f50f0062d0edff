"""A running proxy under constant traffic, for tests of what may change meanwhile."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.warm import plays

DEADLINE = 30.0
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE = (
    b"GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def colour_server(colour: str, tasks: set[asyncio.Task[None]]) -> asyncio.Server:
    """An origin that answers its colour, and echoes in what is upgraded; its connections are in `tasks`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"\r\nUpgrade: websocket" in head:
                    writer.write(SWITCHED)
                    while data := await reader.read(1024):
                        writer.write(data)
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(colour), colour.encode()))
        writer.close()
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(lambda _: writer.close())  # also of one that was cancelled before it began

    return await asyncio.start_server(accept, "127.0.0.1", 0)


async def exchange(port: int, request: bytes) -> bytes:
    """Everything that is answered to a request on a connection of its own, until the other end closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(DEADLINE):
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no 200. `broken`: its connection ended; else it has the status."""

    broken: bool
    what: str


@dataclass(slots=True)
class Load:
    """Clients that ask without pause, each on a connection of its own that is kept alive."""

    proxy: Any
    failures: list[Failure] = field(default_factory=list)
    after_reconnect: list[str] = field(default_factory=list)
    answered: int = 0
    goes_on: bool = True
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def more(self, count: int) -> None:
        """Wait until so many more requests were answered."""
        wanted = self.answered + count
        async with asyncio.timeout(DEADLINE):
            while self.answered < wanted:
                self.news.clear()
                await self.news.wait()

    async def run(self) -> None:
        """One client; whose connection breaks connects again."""
        client = None
        while self.goes_on:
            try:
                client = client or await self.proxy.connect()
                response = await client.ask(GET)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                self.failures.append(Failure(True, repr(error)))
                if client is None:
                    self.after_reconnect.append(repr(error))
                else:
                    await client.close()
                client = None
                await asyncio.sleep(0)
                continue
            if response.status != 200:
                self.failures.append(Failure(False, str(response.start)))
            self.answered += 1
            self.news.set()
            if response.one(b"connection") == b"close":
                await client.close()
                client = None
        if client is not None:
            await client.close()


@dataclass(slots=True)
class Socket:
    """A tunnel through the proxy."""

    client: Any

    async def echo(self, data: bytes) -> None:
        """What is sent comes back."""
        await self.client.send(data)
        async with asyncio.timeout(DEADLINE):
            assert await self.client.reader.readexactly(len(data)) == data

    async def close(self) -> None:
        """Close it."""
        await self.client.close()


class Live:
    """A proxy before the origins blue, green and canary, with all of the traffic on blue."""

    def __init__(self, sluice: Any, launch: Callable[[str, dict[str, str]], Any]) -> None:
        self.sluice = sluice
        self._launch = launch

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sluice, name)

    def write(self, text: str) -> None:
        """Another content of the configuration, as an editor writes it: to another file, then renamed."""
        temporary = self.sluice.config.with_suffix(".tmp")
        temporary.write_text(text)
        temporary.rename(self.sluice.config)

    def text(self) -> str:
        """The configuration as it is."""
        text: str = self.sluice.config.read_text()
        return text

    async def ask_at(self, port: int) -> str:
        """The colour that another port answers."""
        answer = await exchange(port, GET.replace(b"Host: a", b"Host: a\r\nConnection: close"))
        return answer.rpartition(b"\r\n")[2].decode()

    async def again(self, between: Callable[[], object] = lambda: None) -> int:
        """End it, and start it anew on the same files; the exit status of the first."""
        status: int = await self.sluice.stop()
        between()
        self.sluice.spawn()
        await self.sluice.ready()
        return status

    def twin(self) -> Any:
        """Another proxy that wants the same addresses."""
        return self._launch(self.text(), {})

    @contextlib.asynccontextmanager
    async def load(self, clients: int) -> AsyncIterator[Load]:
        """Traffic by so many clients."""
        load = Load(self.sluice)
        tasks = [asyncio.create_task(load.run()) for _ in range(clients)]
        try:
            await load.more(clients)
            yield load
        finally:
            load.goes_on = False
            await asyncio.gather(*tasks, return_exceptions=True)
            print(f"{load.answered} requests by {clients} clients, {len(load.failures)} failures")  # for `make soak`

    async def colours(self, count: int) -> set[str]:
        """The colours that so many requests on new connections see."""
        return {(await self.sluice.ask(GET)).body.decode() for _ in range(count)}

    async def tunnel(self) -> Socket:
        """A new tunnel."""
        client = await self.sluice.connect()
        assert (await client.ask(UPGRADE)).status == 101
        return Socket(client)

    async def call(self, method: str, path: str, body: Any = None, **fields: str) -> tuple[int, Any]:
        """Status and JSON of a call of the admin."""
        data = b"" if body is None else json.dumps(body).encode()
        lines = {"Host": "127.0.0.1", "Connection": "close", "Content-Type": "application/json", **fields}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
        request = f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data
        answer = await exchange(self.sluice.admin_port, request)
        head_, _, rest = answer.partition(b"\r\n\r\n")
        return int(head_.split(b" ")[1]), json.loads(rest) if rest[:1] in b"{[" and rest else rest.decode()

    async def status(self) -> Any:
        """What /v1/status says."""
        status, body = await self.call("GET", "/v1/status")
        assert status == 200, body
        return body

    async def until_status(self, holds: Callable[[Any], Any]) -> Any:
        """Wait until /v1/status is like that."""
        async with asyncio.timeout(DEADLINE):
            while True:
                with contextlib.suppress(ConnectionError, IndexError):
                    status = await self.status()
                    if holds(status):
                        return status
                await asyncio.sleep(0.01)

    async def until_ready(self) -> None:
        """Wait until /readyz says so."""
        async with asyncio.timeout(DEADLINE):
            while await self.sluice.admin("/readyz") != 200:
                await asyncio.sleep(0.01)

    async def until(self, holds: Callable[[], Any]) -> None:
        """Wait until something outside is so; it is looked at again and again."""
        async with asyncio.timeout(DEADLINE):
            while not holds():
                await asyncio.sleep(0.01)

    def _children(self, role: str) -> list[int]:
        master = self.sluice.process.pid
        found = []
        for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split():
            with contextlib.suppress(OSError):
                if plays(role, int(pid)):
                    found.append(int(pid))
        return found

    def workers(self) -> list[int]:
        """Pids of the workers there are."""
        return self._children("worker")

    async def until_workers(self, count: int, without: Collection[int | None]) -> None:
        """Wait until so many workers are ready, and those are gone or draining."""

        def holds(status: Any) -> bool:
            ready = [worker["pid"] for worker in status["workers"] if worker["state"] == "ready"]
            return len(ready) == count and not set(ready) & set(without)

        await self.until_status(holds)

    def controller(self) -> int | None:
        """The pid of the newest controller; None while there is none."""
        return max(self._children("controller"), default=None)
