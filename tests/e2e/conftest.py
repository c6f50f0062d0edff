"""What one end-to-end test starts, ends with it; and everything here is marked e2e."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

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

    async def start(text: str, environ: dict[str, str] | None = None) -> Any:
        running.append(await start_sluice(tmp_path, text, environ))
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


@pytest.fixture
def proxied(sluice: Factory, origin: Factory, plain: Callable[..., str]) -> Factory:
    """A factory of one proxy before one origin: await proxied(service=…, answer=…) -> (Sluice, Origin)."""

    async def start(service: str = "", **options: Any) -> tuple[Any, Any]:
        back = await origin(**options)
        return await sluice(plain(back.address, service)), back

    return start
