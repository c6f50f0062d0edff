"""An exchange's two sides without any protocol, and a plane with one service between them."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any

import pytest
from msgspec.structs import replace

from proxy.dataplane.exchange import Exchange
from proxy.dataplane.plane import Plane
from proxy.http1.message import NO_BODY, RequestHead, ResponseHead
from proxy.pools.registry import EndpointRegistry
from proxy.snapshot.compile import compile_snapshot
from proxy.snapshot.document import Document, Endpoint, Pool, Route, Service

A, B = "127.0.0.1:1", "127.0.0.1:2"


@dataclass
class Client:
    """A client's side that writes down what it is told."""

    status: int = 0
    reason: str | None = None
    body: bytes = b""
    events: list[str] = field(default_factory=list)
    drains: bool = True
    is_paused: bool = False

    def respond(self, head: ResponseHead, body: bytes, done: bool) -> None:
        assert not self.status, "a second response"
        self.status = head.status
        reason = head.get(b"x-sluice-reason")
        self.reason = reason.decode() if reason else None
        self.body += body
        self.events.append("done" if done else "begun")

    def send_data(self, data: bytes) -> None:
        self.body += data

    def send_end(self, trailers: bytes) -> None:
        self.events.append(f"end{trailers.decode()}")

    def inform(self, head: ResponseHead) -> None:
        self.events.append(str(head.status))

    def finished(self) -> None:
        self.events.append("finished")

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def can_drain(self) -> bool:
        return self.drains

    def break_off(self) -> None:
        self.events.append("broken")

    def join(self, _upstream: Any, head: ResponseHead, early: bytes) -> None:
        self.events.append(f"joined {head.status} {early!r}")


@dataclass(eq=False)
class Server:
    """An idle connection to an endpoint, without any wire."""

    endpoint: Any
    keep: bool = True
    is_closed: bool = False
    deadline: float = inf
    exchange: Exchange | None = None
    sent: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def start(self, exchange: Exchange, body: bytes, done: bool, _now: float) -> None:
        self.exchange = exchange
        self.sent.append(exchange.block)
        self.bodies.append(body)
        self.events.append("done" if done else "begun")

    def send_data(self, data: bytes) -> None:
        self.bodies[-1] += data

    def send_end(self, trailers: bytes) -> None:
        self.events.append(f"end{trailers.decode()}")

    def pause(self) -> None:
        self.events.append("pause")

    def resume(self) -> None:
        self.events.append("resume")

    def release(self, _now: float) -> None:
        self.events.append("released" if self.keep else "closed")
        self.exchange = None
        if self.keep:
            self.endpoint.idle.append(self)

    def is_quiet(self) -> bool:
        return True

    def close(self) -> None:
        self.events.append("closed")
        self.exchange = None


class OpenPlane(Plane):
    """One whose methods a test may replace, compiled or not."""


@dataclass
class Stage:
    """A plane with one service, and an idle connection at each endpoint."""

    plane: Plane
    servers: dict[str, Server]
    document: Document
    client: Client = field(default_factory=Client)

    def next_client(self) -> Client:
        """Another client, whose exchanges are begun from now on."""
        self.client = Client()
        return self.client

    def reload(self, **service: Any) -> None:
        """Another generation, whose service differs in this."""
        before = self.plane.snapshot
        self.document = replace(self.document, services=(replace(self.document.services[0], **service),))
        self.plane.snapshot = compile_snapshot(
            self.document, before.generation + 1, before.registry, lambda: 0.5, previous=before, token=bytes
        )
        self.plane.snapshot.activate()

    def connect(self, address: str) -> Server:
        """A new connection to an endpoint."""
        return Server(self.servers[address].endpoint)

    def head(self, status: int = 200, length: int = 2) -> ResponseHead:
        """The head of a response."""
        return ResponseHead(status, b"", 1, length, 0, b"", 0)

    def begin(
        self, method: bytes = b"GET", length: int = NO_BODY, body: bytes = b"", done: Any = 1, cookie: bytes = b"a=b"
    ) -> Exchange:
        head = RequestHead(method, b"/a/../x?y", 1, b"h", length, 0, b"Accept: */*\r\n", cookie, None, 0)
        told = ("127.0.0.1", b"http", b"X-Forwarded-For: 127.0.0.1\r\n")
        exchange = Exchange(self.plane, self.client, head, told, self.plane.clock())
        exchange.begin(body, bool(done))
        return exchange

    @property
    def busy(self) -> Server:
        return next(server for server in self.servers.values() if server.exchange is not None)

    @property
    def places(self) -> list[tuple[int, int]]:
        """In flight at each endpoint, and connections of its pool: all zero when nothing is left behind."""
        return [(server.endpoint.in_flight, server.endpoint.shared.connections) for server in self.servers.values()]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def make(loop: asyncio.AbstractEventLoop) -> Any:
    def stage(endpoints: int = 1, **service: Any) -> Stage:
        pool = Pool("blue", tuple(Endpoint(address) for address in (A, B)[:endpoints]))
        first = service.pop("first", ())  # filters before routing
        part = replace(Service("shop", (pool,), {"blue": 1.0}), **service)
        document = Document((), (part,), (Route(service="shop"),), filters=first, cookie_keys=("k" * 16,))
        registry = EndpointRegistry()
        keys = ("a key to sign with",)
        snapshot = compile_snapshot(document, 1, registry, lambda: 0.5, cookie_keys=keys, token=bytes)
        snapshot.activate()
        servers = {endpoint.address: Server(endpoint) for endpoint in registry}
        for server in servers.values():
            server.endpoint.idle.append(server)
        return Stage(OpenPlane(loop, snapshot, lambda: 0.0), servers, document)

    return stage
