"""What one end-to-end test starts, ends with it; and everything here is marked e2e."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from live import Live, colour_server

HERE = Path(__file__).parent
Factory = Callable[..., Awaitable[Any]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test below this folder, so that `-m "not e2e"` leaves it out."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


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
        # An answer of the admin proves that the proxy has seen what the last test's origin closed.
        assert await pair.sluice.admin("/readyz") == 200
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
