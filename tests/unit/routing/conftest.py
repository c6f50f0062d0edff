"""Requests and services for tests of routing."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from proxy.http1.facts import Facts
from proxy.http1.message import NO_BODY, RequestHead
from proxy.pools.registry import EndpointRegistry
from proxy.snapshot.compile import Snapshot, compile_snapshot
from proxy.snapshot.document import Document, Endpoint, Plugin, Pool, Route, Service


class Request:
    """What the data plane's exchange is to routing."""

    def __init__(self, head: RequestHead, host: str, client: str, scheme: bytes) -> None:
        self.head = head
        self.path, _, self.query = head.target.partition(b"?")
        self.host = host.encode()
        self.client = client
        self.scheme = scheme
        self.is_ready = True


@pytest.fixture
def request_of() -> Callable[..., Facts]:
    def build(
        target: str = "/",
        *,
        method: str = "GET",
        host: str = "shop.example.com",
        headers: str = "",
        cookie: str | None = None,
        client: str = "192.0.2.7",
        scheme: bytes = b"http",
        flags: int = 0,
    ) -> Facts:
        block = "".join(f"{line}\r\n" for line in headers.split("\n") if line).encode()
        cookies = None if cookie is None else cookie.encode()
        head = RequestHead(method.encode(), target.encode(), 1, host.encode(), NO_BODY, flags, block, cookies, None, 0)
        return Request(head, host, client, scheme)

    return build


@pytest.fixture
def snapshot_of() -> Callable[..., Snapshot]:
    """Compiles services and routes; chance comes from the given numbers in turn, ids count from 0."""

    def build(
        services: tuple[Service, ...] = (),
        routes: tuple[Route, ...] = (),
        *,
        chance: Callable[[], float] = lambda: 0.0,
        previous: Snapshot | None = None,
        registry: EndpointRegistry | None = None,
        filters: tuple[Plugin, ...] = (),
        keys: tuple[str, ...] = ("a key of more than sixteen bytes",),
    ) -> Snapshot:
        numbers = count()
        registry = registry or (previous.registry if previous else EndpointRegistry())
        document = Document((), services, routes, filters, cookie_keys=keys)
        snapshot = compile_snapshot(
            document,
            1,
            registry,
            chance,
            previous=previous,
            token=lambda size: next(numbers).to_bytes(size, "big"),
        )
        snapshot.activate()
        return snapshot

    return build


@pytest.fixture
def service_of() -> Callable[..., Service]:
    """A service of pools with one endpoint each, `pool-0`, or as many as `sizes` says."""

    def build(split: dict[str, float], sizes: dict[str, int] | None = None, **settings: Any) -> Service:
        sizes = dict.fromkeys(split, 1) | (sizes or {})
        pools = tuple(
            Pool(name, tuple(Endpoint(f"{name}-{number}") for number in range(size))) for name, size in sizes.items()
        )
        return Service("shop", pools, split, **settings)

    return build
