"""What tests of pools share: requests as balancers see them, and pools in force."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from proxy.http1.message import NO_BODY, RequestHead
from proxy.pools.balancers import BALANCERS
from proxy.pools.pool import Pool, PoolSpec
from proxy.pools.registry import EndpointRegistry


@dataclass(slots=True)
class Request:
    """A request as a balancer sees it."""

    head: RequestHead
    path: bytes = b"/"
    query: bytes = b""
    host: bytes = b"shop.example"
    client: str = "192.0.2.1"
    scheme: bytes = b"http"


@pytest.fixture(scope="session")
def request_of() -> Callable[..., Request]:
    """Makes a request: request_of(block, cookie, **facts)."""

    def make(block: bytes = b"", cookie: bytes | None = None, **facts: Any) -> Request:
        head = RequestHead(b"GET", b"/", 1, b"shop.example", NO_BODY, 0, block, cookie, None, 0)
        return Request(head, **facts)

    return make


@pytest.fixture
def facts(request_of: Callable[..., Request]) -> Request:
    """Any request."""
    return request_of()


@pytest.fixture(scope="session")
def pool_of() -> Callable[..., Pool]:
    """Makes a pool in force: pool_of({"a": 1, "b": 2}, "random"), its chance seeded."""

    def make(weights: dict[str, float], balance: str = "least_requests", registry: Any = None, **spec: Any) -> Pool:
        registry = registry or EndpointRegistry()
        options = spec.pop("options", {})
        made = PoolSpec("shop", "blue", tuple(weights.items()), BALANCERS.build(balance, options), **spec)
        pool: Pool = registry.pool(made, random.Random(7).random)  # noqa: S311 - seeded, so that tests repeat
        registry.activate([pool])
        return pool

    return make
