"""What one end-to-end test starts, ends with it; and everything here is marked e2e."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from live import Live, colour_server

from tests.cut import cut

HERE = Path(__file__).parent
Factory = Callable[..., Awaitable[Any]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test below this folder, so that `-m "not e2e"` leaves it out."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest_asyncio.fixture(autouse=True)
async def _nothing_stays_open() -> AsyncIterator[None]:
    """Ends last: connections that nobody came to serve, or that still close, go before their loop does."""
    yield
    transports = getattr(asyncio.get_running_loop(), "_transports", {})
    for _ in range(3):  # one is accepted in a turn, connected in the next, and closed in the third
        for transport in tuple(transports.values()):
            cut(transport)
        await asyncio.sleep(0)


@pytest_asyncio.fixture
async def sluice(start_sluice: Factory, tmp_path: Path) -> AsyncIterator[Factory]:
    """A factory of running proxies: await sluice(yaml, environ). PORT in the YAML stands for its port."""
    running: list[Any] = []

    async def start(text: str, environ: dict[str, str] | None = None, mounted: Path | None = None) -> Any:
        running.append(await start_sluice(tmp_path, text, environ, mounted))
        return running[-1]

    yield start
    for each in running:
        await each.stop()
        print(each.output)  # pytest shows it where the test has failed


@pytest_asyncio.fixture
async def origin(start_origin: Factory) -> AsyncIterator[Factory]:
    """A factory of raw origins: await origin(answer=…) or await origin(serve=…)."""
    running: list[Any] = []

    async def start(**options: Any) -> Any:
        running.append(await start_origin(**options))
        return running[-1]

    yield start
    for each in running:
        await each.stop()


@dataclass(slots=True)
class Shared:
    """A proxy that outlives a test, and the port where each test puts its own origin."""

    sluice: Any
    origin_port: int


@pytest.fixture(scope="session")
def shared() -> Iterator[dict[str, Shared]]:
    """Running proxies before one origin, by the keys of their service: starting one for each test takes minutes."""
    proxies: dict[str, Shared] = {}
    yield proxies
    for each in proxies.values():
        each.sluice.process.kill()
        each.sluice.process.wait()


@pytest.fixture
def proxied(
    start_sluice: Factory,
    origin: Factory,
    plain: Callable[..., str],
    free_port: Callable[[], int],
    shared: dict[str, Shared],
    tmp_path_factory: pytest.TempPathFactory,
) -> Factory:
    """A factory of one proxy before one origin: await proxied(service=…, answer=…) -> (Sluice, Origin)."""

    async def start(service: str = "", **options: Any) -> tuple[Any, Any]:
        pair = shared.get(service)
        if pair is None or pair.sluice.process.poll() is not None:
            port = free_port()
            text = plain(f"127.0.0.1:{port}", service)
            pair = shared[service] = Shared(await start_sluice(tmp_path_factory.mktemp("shared"), text), port)
        back = await origin(port=pair.origin_port, **options)
        await pair.sluice.caught_up()  # with what the last test's origin closed
        return pair.sluice, back

    return start


@pytest_asyncio.fixture
async def live(
    sluice: Factory, launch_sluice: Callable[..., Any], tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[Live]]]:
    """A factory of proxies with a blue, a green and a canary origin: await live(workers=…, service=…, extra=…)."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()
    twins: list[Any] = []

    async def start(
        workers: int = 1,
        service: str = "",
        extra: str = "",
        environ: dict[str, str] | None = None,
        mounted: Path | None = None,
    ) -> Live:
        addresses = {}
        for colour in ("blue", "green", "canary"):
            server = await colour_server(colour, tasks)
            servers.append(server)
            addresses[colour] = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        pools = "\n".join(f"      {colour}: {{endpoints: [{where}]}}" for colour, where in addresses.items())
        text = (
            f"workers: {workers}\n{extra}\nservices:\n  shop:\n    pools:\n{pools}\n"
            f"    split: {{blue: 100}}\n    {service}\nroutes:\n  - service: shop\n"
        )

        def launch(text: str, environ: dict[str, str]) -> Any:
            folder = tmp_path / f"twin-{len(twins)}"
            folder.mkdir()
            twins.append(launch_sluice(folder, text, environ))
            return twins[-1]

        return Live(await sluice(text, environ, mounted), launch)

    yield start
    for twin in twins:
        await twin.stop()
    for server in servers:
        server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Said:
    """What the admin has answered; `body` is read from its JSON where it is some."""

    status: int
    headers: HTTPMessage
    body: Any


class UnixConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def connect(self) -> None:
        """Connect to the path that stands for the host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)


@dataclass(frozen=True, slots=True)
class Api:
    """The admin of a running proxy: await api(method, path, body, **headers); a body that is bytes goes as it is."""

    port: int
    token: str | None = None
    path: str | None = None

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Said:
        return await asyncio.to_thread(self._ask, method, path, body, headers)

    async def service(self, name: str = "shop") -> Any:
        """The service as GET shows it."""
        return (await self("GET", f"/v1/services/{name}")).body

    async def until(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """What is at a URL, once that holds."""
        async with asyncio.timeout(15):
            while not holds(found := (await self("GET", path)).body):
                await asyncio.sleep(0.02)
        return found

    def _ask(self, method: str, path: str, body: Any, given: dict[str, str]) -> Said:
        headers = {name.replace("_", "-"): value for name, value in given.items()}
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        data = body
        if body is not None and not isinstance(body, bytes):
            data = json.dumps(body).encode()
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        connection = UnixConnection(self.path) if self.path else HTTPConnection("127.0.0.1", self.port, timeout=15)
        with contextlib.closing(connection):
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            raw = response.read()
        is_json = "json" in response.headers.get("Content-Type", "")
        return Said(response.status, response.headers, json.loads(raw) if is_json and raw else raw.decode())


@pytest.fixture
def api() -> Callable[..., Api]:
    """The admin of a proxy: api(sluice, token)."""

    def of(sluice: Any, token: str | None = None) -> Api:
        return Api(sluice.admin_port, token)

    return of


GUARDED = """\
status: {{bind: 127.0.0.1:{status}}}
admin:
  bind: 127.0.0.1:{admin}
  token: ${{SLUICE_TOKEN}}
  tokens:
    - {{name: viewer, value: a-viewer-token, can: [read]}}
    - {{name: ci, value: a-ci-token}}
    - {{name: blind, value: a-blind-token, can: [change]}}
  hosts: [admin.example.com]
services:
  shop:
    pools:
      blue: {{endpoints: [127.0.0.1:{one}, 127.0.0.1:{two}]}}
      green: {{endpoints: ["${{GREEN}}"]}}
      canary: {{endpoints: [127.0.0.1:{one}]}}
    split: {{blue: 90, green: 0, canary: 10}}
    sticky: {{cookie: s}}
cookie_keys: [0123456789abcdef0123456789abcdef]
routes: [{{service: shop}}]
"""


@dataclass(slots=True)
class Guarded(Shared):
    """A proxy with tokens, names and a status listener, which tests share that leave it as it is."""

    status_port: int = 0

    @property
    def api(self) -> Api:
        """Its admin, asked by who may do everything."""
        return Api(self.sluice.admin_port, "the-first-token")


@pytest_asyncio.fixture
async def guarded(
    start_sluice: Factory,
    free_port: Callable[[], int],
    shared: dict[str, Shared],
    tmp_path_factory: pytest.TempPathFactory,
) -> Shared:
    """That proxy."""
    found = shared.get("guarded")
    if found is None or found.sluice.process.poll() is not None:
        status, admin, one, two, green = (free_port() for _ in range(5))
        text = GUARDED.format(status=status, admin=admin, one=one, two=two)
        environ = {"SLUICE_TOKEN": "the-first-token", "GREEN": f"127.0.0.1:{green}"}
        sluice = await start_sluice(tmp_path_factory.mktemp("guarded"), text, environ)
        found = shared["guarded"] = Guarded(sluice, green, status)
    return found
