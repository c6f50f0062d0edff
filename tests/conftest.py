"""What tests of the running proxy share: the proxy as a user would start it, raw origins and a raw client.

Everything here works on bytes and waits for events with a deadline. The fixtures hand out factories; what a
factory started ends with the test that asked for it.
"""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.cut import cut
from tests.warm import Forked, Warm, plays

# How long an example takes says something about the machine, and nothing about the code.
settings.register_profile("sluice", deadline=None)
settings.register_profile("many", deadline=None, max_examples=3_000)  # make asan
settings.load_profile("sluice")

DEADLINE = 15.0  # seconds that anything may take on a busy machine before a test calls it stuck


@dataclass(frozen=True, slots=True)
class Message:
    """A message as a strict reader takes it: start line, fields in order, the body without its framing."""

    raw: bytes
    start: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""
    trailers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def status(self) -> int:
        """The status of a response."""
        return int(self.start.split(b" ")[1])

    def all(self, name: bytes) -> list[bytes]:
        """Every value of the field `name` (lower case)."""
        return [value for key, value in self.fields if key.lower() == name]

    def one(self, name: bytes) -> bytes | None:
        """The only value of the field `name` (lower case); None where there is none."""
        values = self.all(name)
        assert len(values) < 2, f"{name!r} stands {len(values)} times"
        return values[0] if values else None


def _fields(lines: bytes) -> tuple[tuple[bytes, bytes], ...]:
    rows = [line.partition(b":") for line in lines.split(b"\r\n") if line]
    assert all(colon for _, colon, _ in rows), lines
    return tuple((name, value.strip(b" \t")) for name, _, value in rows)


async def _read_chunked(reader: asyncio.StreamReader) -> tuple[bytes, bytes, tuple[tuple[bytes, bytes], ...]]:
    raw, body = b"", b""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line, 16)
        raw += line
        if not size:
            break
        data = await reader.readexactly(size + 2)
        assert data.endswith(b"\r\n"), data
        raw, body = raw + data, body + data[:-2]
    trailers = b""
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        trailers += line
    return raw + trailers + line, body, _fields(trailers)


def _has_no_body(start: bytes, asked: bytes) -> bool:
    status = start.split(b" ")[1]
    return asked == b"HEAD" or status in (b"204", b"304") or status.startswith(b"1")


async def read_message(reader: asyncio.StreamReader, asked: bytes | None = None) -> Message:
    """The next message, strictly read. `asked` is the method that a response answers; None reads a request.

    IncompleteReadError where the stream ends in the middle, or before the message.
    """
    raw = await reader.readuntil(b"\r\n\r\n")
    start, _, lines = raw.partition(b"\r\n")
    message = Message(raw, start, _fields(lines))
    length, coding = message.one(b"content-length"), message.one(b"transfer-encoding")
    assert length is None or coding is None, f"two framings: {raw!r}"
    assert coding in (None, b"chunked"), coding
    if asked is not None and _has_no_body(start, asked):
        return message
    if coding:
        chunks, body, trailers = await _read_chunked(reader)
        return Message(raw + chunks, start, message.fields, body, trailers)
    if asked is not None and length is None:
        body = await reader.read()
    else:
        body = await reader.readexactly(int(length or 0))
    return Message(raw + body, start, message.fields, body)


class Client:
    """A raw connection to the proxy: sends bytes as they are, reads responses strictly."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send `data`; a connection that the proxy has closed meanwhile is seen by the next read."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await asyncio.wait_for(self.writer.drain(), DEADLINE)

    async def response(self, asked: bytes = b"GET") -> Message:
        """The next response, interim ones included."""
        return await asyncio.wait_for(read_message(self.reader, asked), DEADLINE)

    async def ask(self, data: bytes) -> Message:
        """Send a whole request; its response."""
        await self.send(data)
        return await self.response(data.split(b" ", 1)[0])

    async def rest(self) -> bytes:
        """Everything until the proxy closes."""
        received = b""
        with contextlib.suppress(ConnectionError):
            while data := await asyncio.wait_for(self.reader.read(65536), DEADLINE):
                received += data
        return received

    async def close(self) -> None:
        """Close this end."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


ECHO = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\necho"
Answer = bytes | Callable[[Message], bytes]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Recording(asyncio.StreamReader):
    """A stream that keeps every byte as it arrives and tells of it."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__(limit=1 << 20)
        self.seen = bytearray()
        self._tell_of_it = tell

    def feed_data(self, data: bytes) -> None:
        """Keep `data`, then go on as usual."""
        self.seen += data
        super().feed_data(data)
        self._tell_of_it()

    def feed_eof(self) -> None:
        """Tell of the end."""
        super().feed_eof()
        self._tell_of_it()


@dataclass(slots=True, eq=False)
class Origin:
    """A raw origin. `requests` are what it read strictly, `streams` its connections with all their bytes.

    `answer` is what each request gets, or makes it from the request; `hangs_up` closes after it. `serve`, where
    given, replaces all that.
    """

    answer: Answer = ECHO
    hangs_up: bool = False
    serve: Serve | None = None
    requests: list[Message] = field(default_factory=list)
    streams: list[Recording] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    port: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where it listens, as the configuration takes it."""
        return f"127.0.0.1:{self.port}"

    @property
    def received(self) -> bytes:
        """Every byte of every connection."""
        return b"".join(bytes(stream.seen) for stream in self.streams)

    async def start(self, port: int = 0) -> None:
        """Listen on `port`, or a free one."""
        self._server = await asyncio.get_running_loop().create_server(self._protocol, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and every connection."""
        assert self._server
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            cut(writer.transport)
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        await self._server.wait_closed()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is looked at whenever something has arrived."""
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self.news.clear()
                await self.news.wait()

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        reader = Recording(self.news.set)
        self.streams.append(reader)
        return asyncio.StreamReaderProtocol(reader, self._accept)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            writer.close()

        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        self._writers.append(writer)
        task.add_done_callback(ended)  # also of a task that is cancelled before it begins

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await (self.serve or self._echo)(reader, writer)

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                message = await read_message(reader)
            except (AssertionError, ValueError) as problem:
                self.problems.append(str(problem))
                return
            self.requests.append(message)
            self.news.set()
            writer.write(self.answer(message) if callable(self.answer) else self.answer)
            await writer.drain()
            if self.hangs_up:
                return


@dataclass(slots=True, eq=False)
class Sluice:
    """The proxy as `sluice run FILE` executes it, without the command line's imports; its output in a file beside."""

    port: int
    admin_port: int
    config: Path
    environ: dict[str, str]
    log: Path
    warm: Warm | None
    process: subprocess.Popen[bytes] | Forked = field(init=False)

    def spawn(self) -> None:
        """Start it, for the first time or again."""
        command = [sys.executable, "-P", "-m", "proxy.supervisor", str(self.config)]
        if self.warm is not None:
            self.process = self.warm.start(command, self.environ, self.log.parent, self.log)
            return
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environ,
                cwd=self.log.parent,
            )

    async def ready(self) -> None:
        """Wait until it says so; fail where it ends instead."""
        try:
            async with asyncio.timeout(DEADLINE):
                while await self.admin("/readyz") != 200:
                    if self.process.poll() is not None:
                        pytest.fail(f"sluice ended with {self.process.returncode}:\n{self.output}")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail(f"sluice {self.process.pid} is not ready after {DEADLINE:g} s:\n{self.output}\n{_processes()}")

    @property
    def url(self) -> str:
        """Where its only listener is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """What it has printed."""
        return self.log.read_text()

    @property
    def worker(self) -> int:
        """The pid of its only worker."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        (pid,) = [int(child) for child in children if plays("worker", int(child))]
        return pid

    async def connect(self) -> Client:
        """A raw client of its own connection."""
        return Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20))

    async def ask(self, data: bytes) -> Message:
        """A whole request on its own connection; its response."""
        client = await self.connect()
        try:
            return await client.ask(data)
        finally:
            await client.close()

    async def caught_up(self) -> None:
        """Wait until a proxy of one worker has read all that its connections had sent, or ended, before this call.

        The worker takes what is ready in the order in which it came, and this is one more request. (An answer of
        the admin says nothing of that: the admin lives in another process.)
        """
        assert (await self.ask(b"GET / HTTP/1.1\r\n\r\n")).status == 400

    async def admin(self, path: str) -> int:
        """The status that the admin answers to GET; 0 where nobody listens."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.admin_port)
        except ConnectionError:
            return 0
        client = Client(reader, writer)
        try:
            request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            return (await client.ask(request.encode())).status
        except (ConnectionError, asyncio.IncompleteReadError):
            return 0
        finally:
            await client.close()

    async def ended(self) -> int:
        """Wait for its end; the exit status."""
        return await asyncio.to_thread(self.process.wait, DEADLINE)

    async def stop(self) -> int:
        """SIGTERM, where it still runs; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return await self.ended()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def _processes() -> str:
    """What runs on this machine, and where it waits."""
    return subprocess.run(
        ["/bin/ps", "-eo", "pid,ppid,stat,wchan:20,time,args"], check=False, capture_output=True, text=True
    ).stdout


_given: set[int] = set()
# Test processes that run side by side (pytest-xdist) never choose the same port.
_LANE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_LANES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def _free_port() -> int:
    """A port that nobody listens on, below those that the system gives to connections by itself, and never twice."""
    for _ in range(100):
        port = random.randrange(20_000 + _LANE, 32_000, _LANES)  # noqa: S311 - a port, not a secret
        if port in _given:
            continue  # promised to somebody who does not listen on it yet
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port
    raise AssertionError("no free port between 20000 and 32000")


_warm: list[Warm] = []  # what proxies of this test process are forked from, once there is one


def _warm_process() -> Warm:
    if not _warm:
        _warm.append(Warm())
    return _warm[0]


@pytest.fixture(scope="session", autouse=True)
def _cools() -> Iterator[None]:
    yield
    while _warm:
        _warm.pop().stop()


def _launch(folder: Path, text: str, environ: dict[str, str], mounted: Path | None = None) -> Sluice:
    port, admin = _free_port(), _free_port()
    own_admin = re.search(r"^admin:(?:.*\n)(?:  .*\n)*?.*bind: 127\.0\.0\.1:([0-9]+)", text, re.MULTILINE)
    admin = int(own_admin[1]) if own_admin else admin
    defaults = {
        "admin:": f"{{bind: 127.0.0.1:{admin}}}",
        "shutdown:": "{idle: 0s}",
        "listeners:": f"[{{bind: 127.0.0.1:{port}}}]",
    }
    own = "".join(f"{key} {value}\n" for key, value in defaults.items() if key not in text)
    config = folder / f"sluice-{port}.yaml"
    text = own + re.sub(r"\bPORT\b", str(port), text)
    if mounted is None:
        config.write_text(text)
    else:
        config = _publish(mounted, text)
    # No certificate is looked at here, and reading the system's takes a tenth of a second for each proxy.
    state = {"STATE_DIRECTORY": str(folder / f"{config.stem}.state"), "SSL_CERT_FILE": os.devnull}
    warm = None if environ or os.environ.get("SLUICE_COLD") == "1" else _warm_process()
    sluice = Sluice(port, admin, config, {**os.environ, **state, **environ}, folder / f"sluice-{port}.log", warm)
    sluice.spawn()
    return sluice


def _publish(folder: Path, text: str) -> Path:
    """A configuration as Kubernetes mounts one: a link to a file below a link that will be swapped."""
    (folder / "..1").mkdir()
    (folder / "..1" / "sluice.yaml").write_text(text)
    (folder / "..data").symlink_to("..1")
    (folder / "sluice.yaml").symlink_to("..data/sluice.yaml")
    return folder / "sluice.yaml"


async def _start_sluice(
    folder: Path, text: str, environ: dict[str, str] | None = None, mounted: Path | None = None
) -> Sluice:
    sluice = _launch(folder, text, environ or {}, mounted)
    try:
        await sluice.ready()
    except BaseException:
        sluice.process.kill()  # nobody else knows of it
        sluice.process.wait()
        raise
    return sluice


@pytest.fixture(scope="session")
def start_sluice() -> Callable[..., Awaitable[Any]]:
    """Start the proxy: (folder, yaml, environment) -> a ready Sluice, which the caller stops."""
    return _start_sluice


@pytest.fixture(scope="session")
def launch_sluice() -> Callable[..., Any]:
    """Launch the proxy, whatever comes of it: (folder, yaml, environment) -> a Sluice."""
    return _launch


@pytest.fixture(scope="session")
def connect() -> Callable[..., Awaitable[Any]]:
    """A raw client of whoever listens on a port: await connect(port) -> Client, which the caller closes."""

    async def to(port: int) -> Client:
        return Client(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))

    return to


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds a port that stays free until somebody asks for it by its number."""
    return _free_port


@pytest.fixture(scope="session")
def start_origin() -> Callable[..., Awaitable[Any]]:
    """Start an origin: (port, **fields of Origin) -> a listening Origin, which the caller stops."""

    async def start(port: int = 0, **options: Any) -> Origin:
        origin = Origin(**options)
        await origin.start(port)
        return origin

    return start


def plain_config(address: str, extra: str = "") -> str:
    """One service of one endpoint, and a route that matches everything; `extra`: more keys of the service."""
    keys = "".join(f"\n    {line}" for line in extra.splitlines())
    return f"""services:
  app:
    pools: {{only: {{endpoints: ['{address}']}}}}{keys}
routes: [{{service: app}}]
"""


@pytest.fixture(scope="session")
def plain() -> Callable[..., str]:
    """Makes the YAML of one service at one address: plain(address, extra keys of the service)."""
    return plain_config
