"""The exchange between two sides that speak no protocol at all: what it promises does not depend on HTTP/1.1."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any

import msgspec
import pytest

from proxy.dataplane.exchange import Exchange
from proxy.dataplane.failures import ResponseTimeout, UpstreamFailure, UpstreamMalformed, UpstreamReset
from proxy.dataplane.plane import Plane
from proxy.http1.message import NO_BODY, RequestHead, ResponseHead
from proxy.pools.endpoint import Signal
from proxy.pools.registry import EndpointRegistry
from proxy.snapshot.compile import compile_snapshot
from proxy.snapshot.document import Document, Ejection, Endpoint, Limits, Pool, Retry, Route, Service, Timeouts

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


@dataclass
class Stage:
    """A plane with one service, and an idle connection at each endpoint."""

    plane: Plane
    servers: dict[str, Server]
    client: Client = field(default_factory=Client)

    def begin(self, method: bytes = b"GET", length: int = NO_BODY, body: bytes = b"", done: Any = 1) -> Exchange:
        head = RequestHead(method, b"/a/../x?y", 1, b"h", length, 0, b"Accept: */*\r\n", b"a=b", None, 0)
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


def response(status: int = 200, length: int = 2) -> ResponseHead:
    return ResponseHead(status, b"", 1, length, 0, b"", 0)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def make(loop: asyncio.AbstractEventLoop) -> Any:
    def stage(addresses: tuple[str, ...] = (A,), **service: Any) -> Stage:
        pool = Pool("blue", tuple(Endpoint(address) for address in addresses))
        part = msgspec.structs.replace(Service("shop", (pool,), {"blue": 1.0}), **service)
        document = Document((), (part,), (Route(service="shop"),))
        registry = EndpointRegistry()
        snapshot = compile_snapshot(document, 1, registry, lambda: 0.5, token=bytes)
        snapshot.activate()
        servers = {endpoint.address: Server(endpoint) for endpoint in registry}
        for server in servers.values():
            server.endpoint.idle.append(server)
        return Stage(Plane(loop, snapshot, lambda: 0.0), servers)

    return stage


def test_request_reaches_the_endpoint_in_canonical_form(make: Any) -> None:
    stage = make()
    exchange = stage.begin()
    assert exchange.head.target == b"/x?y"
    assert stage.busy.sent == [b"Accept: */*\r\nCookie: a=b\r\nX-Forwarded-For: 127.0.0.1\r\n"]
    assert stage.places == [(1, 1)]
    exchange.response(response(), b"ok", True)
    assert (stage.client.status, stage.client.body, stage.client.events) == (200, b"ok", ["done", "finished"])
    assert stage.servers[A].events == ["done", "released"]
    assert stage.places == [(0, 0)]


def test_body_streams_both_ways(make: Any) -> None:
    stage = make()
    exchange = stage.begin(b"POST", 6, b"ab", False)
    exchange.request_data(b"cd")
    exchange.response(response(length=4), b"", False)
    exchange.request_data(b"ef")
    exchange.request_end(b"")
    exchange.response_data(b"12")
    server = stage.busy
    exchange.response_end(b"34", b"t: 1\r\n")
    assert server.bodies == [b"abcdef"]
    assert stage.client.body == b"1234"
    assert stage.client.events == ["begun", "endt: 1\r\n", "finished"]
    assert stage.places == [(0, 0)]


def test_response_before_the_request_ends_is_seen_through_when_little_is_left(make: Any) -> None:
    stage = make()
    exchange = stage.begin(b"POST", 4, b"ab", False)
    server = stage.busy
    exchange.response(response(), b"ok", True)
    assert stage.client.events == ["done"]
    exchange.request_data(b"cd")
    exchange.request_end(b"")
    assert server.bodies == [b"abcd"]
    assert stage.client.events == ["done", "finished"]
    assert server.events[-1] == "released"


def test_response_before_the_request_ends_gives_the_connection_up_when_much_is_left(make: Any) -> None:
    stage = make()
    stage.client.drains = False
    exchange = stage.begin(b"POST", 4, b"ab", False)
    server = stage.busy
    exchange.response(response(), b"ok", True)
    assert stage.client.events == ["done", "finished"]
    assert server.events[-1] == "closed"
    assert stage.places == [(0, 0)]


def test_client_that_leaves_ends_the_attempt_and_blames_nobody(make: Any) -> None:
    stage = make()
    exchange = stage.begin()
    server = stage.busy
    exchange.abandon()
    assert server.events[-1] == "closed"
    assert exchange.status == 499
    assert (server.endpoint.consecutive_errors, stage.places) == (0, [(0, 0)])


@pytest.mark.parametrize(
    ("method", "failure", "reused", "again"),
    [
        (b"GET", UpstreamReset(), True, True),
        (b"PUT", UpstreamReset(), True, True),
        (b"POST", UpstreamReset(), True, False),
        (b"POST", UpstreamReset(unsent=True), True, True),
        (b"GET", UpstreamReset(unanswered=False), True, False),
        (b"GET", UpstreamReset(), False, False),
        (b"GET", ResponseTimeout(), True, False),
    ],
)
def test_stale_connection_gets_a_second_chance_whatever_retry_says(
    make: Any, monkeypatch: pytest.MonkeyPatch, method: bytes, failure: UpstreamFailure, reused: bool, again: bool
) -> None:
    stage = make(retry=Retry(retries=0))
    made: list[Any] = []
    monkeypatch.setattr(stage.plane, "connect", made.append)
    exchange = stage.begin(method, 2, b"hi")
    exchange.attempt_failed(failure, reused)
    assert len(made) == again
    assert stage.client.status == (0 if again else failure.status)
    assert stage.servers[A].endpoint.consecutive_errors == (0 if again else 1)
    if again:
        fresh = Server(stage.servers[A].endpoint)
        assert made[0].connected(fresh)
        assert fresh.bodies == [b"hi"]
        exchange.attempt_failed(UpstreamReset(), True)
        assert stage.client.reason == "upstream_reset", "only once"
    assert stage.places == [(0, 0)]


@pytest.mark.parametrize(
    ("method", "failure", "retry", "again"),
    [
        (b"GET", UpstreamReset(), Retry(), True),
        (b"POST", UpstreamReset(), Retry(), False),
        (b"POST", UpstreamReset(), Retry(methods=("POST",)), True),
        (b"GET", ResponseTimeout(), Retry(), False),
        (b"GET", ResponseTimeout(), Retry(on=("timeout",)), True),
        (b"GET", UpstreamReset(), Retry(on=("timeout",)), False),
        (b"GET", UpstreamReset(), Retry(retries=0), False),
        (b"GET", UpstreamMalformed(), Retry(on=("connect", "reset", "timeout", "5xx")), False),
    ],
)
def test_failed_attempt_goes_to_another_endpoint_where_retry_allows(
    make: Any, method: bytes, failure: UpstreamFailure, retry: Retry, again: bool
) -> None:
    stage = make((A, B), retry=retry)
    exchange = stage.begin(method, 2, b"hi")
    first = stage.busy
    first.exchange = None
    exchange.attempt_failed(failure, False)
    if again:
        assert stage.busy is not first
        assert stage.busy.bodies == [b"hi"]
        exchange.response(response(), b"ok", True)
        assert stage.client.status == 200
        assert exchange.counters.retries == 1
    else:
        assert (stage.client.status, stage.client.reason) == (failure.status, failure.reason)
    assert first.endpoint.consecutive_errors == 1
    assert stage.places == [(0, 0), (0, 0)]


@pytest.mark.parametrize(("on", "tries"), [(("503",), 2), (("5xx",), 2), (("connect", "reset"), 1), (("502",), 1)])
def test_status_is_tried_again_and_the_last_answer_passed_on(make: Any, on: tuple[str, ...], tries: int) -> None:
    stage = make((A, B), retry=Retry(on=on))
    exchange = stage.begin()
    for number in range(tries):
        server = stage.busy
        exchange.response(response(503), str(number).encode(), True)
        assert server.exchange is None
    assert (stage.client.status, stage.client.body) == (503, str(tries - 1).encode())
    assert stage.client.reason is None, "the endpoint's own"


def test_body_larger_than_is_kept_is_not_sent_again(make: Any) -> None:
    stage = make((A, B), retry=Retry(body=3))
    exchange = stage.begin(b"PUT", 4, b"ab", False)
    exchange.request_data(b"cd")
    exchange.attempt_failed(UpstreamReset(), False)
    assert stage.client.reason == "upstream_reset"


def test_response_that_breaks_is_never_whole_and_never_tried_again(make: Any) -> None:
    stage = make((A, B))
    exchange = stage.begin()
    exchange.response(response(length=9), b"half", False)
    exchange.response_broken("upstream_reset")
    assert stage.client.events == ["begun", "broken"]
    assert sum(len(server.bodies) for server in stage.servers.values()) == 1
    assert stage.places == [(0, 0), (0, 0)]


def test_full_pool_lets_wait_and_admits_in_order(make: Any) -> None:
    stage = make(limits=Limits(connections=1, pending=1, pending_timeout=5.0))
    first = stage.begin()
    stage.client = waiting = Client()
    second = stage.begin()
    stage.client = refused = Client()
    stage.begin()
    assert refused.reason == "overloaded"
    assert second.is_queued
    assert waiting.status == 0
    first.response(response(), b"1", True)
    assert not second.is_queued
    second.response(response(), b"2", True)
    assert waiting.body == b"2"
    assert stage.places == [(0, 0)]


@pytest.mark.parametrize(
    ("total", "reason"), [(None, "pending_timeout"), (1.0, "total_timeout"), (9.0, "pending_timeout")]
)
def test_wait_for_a_place_ends(make: Any, total: float | None, reason: str) -> None:
    limits = Limits(connections=1, pending=1, pending_timeout=5.0)
    stage = make(limits=limits, timeouts=Timeouts(total=total))
    stage.begin()
    stage.client = Client()
    second = stage.begin()
    second.expire(second.deadline + 0.001)
    assert stage.client.reason == reason
    assert second.counters is not stage.plane.unrouted
    assert list(stage.servers[A].endpoint.shared.pending) == []


def test_total_time_includes_the_response(make: Any) -> None:
    stage = make(timeouts=Timeouts(total=1.0))
    exchange = stage.begin()
    server = stage.busy
    exchange.response(response(length=9), b"half", False)
    exchange.expire(exchange.deadline)
    assert stage.client.events == ["begun", "broken"]
    assert server.events[-1] == "closed"
    assert stage.places == [(0, 0)]


def test_endpoint_that_keeps_failing_is_ejected_and_the_last_one_is_not(make: Any) -> None:
    stage = make((A, B), ejection=Ejection(consecutive_errors=2), retry=Retry(retries=0))
    for _ in range(20):
        stage.client = Client()
        exchange = stage.begin()
        exchange.response(response(500), b"", True)
    states = sorted(server.endpoint.state.value for server in stage.servers.values())
    assert states == ["ejected", "up"]


def test_upgrade_joins_the_sides(make: Any) -> None:
    stage = make()
    exchange = stage.begin()
    exchange.upgrade(response(101), b"early")
    assert stage.client.events == ["joined 101 b'early'"]


def test_nobody_left_is_503(make: Any) -> None:
    stage = make()
    for server in stage.servers.values():
        server.endpoint.signal(Signal.DRAIN)
        server.endpoint.shared.refresh()
    stage.begin()
    assert (stage.client.status, stage.client.reason) == (503, "no_endpoint")


def test_back_pressure_is_passed_on(make: Any) -> None:
    stage = make()
    exchange = stage.begin(b"POST", 4, b"ab", False)
    server = stage.busy
    exchange.pause_request()
    assert stage.client.is_paused
    exchange.resume_request()
    assert not stage.client.is_paused
    exchange.pause_response()
    exchange.resume_response()
    assert server.events[-2:] == ["pause", "resume"]


def test_broken_path_is_refused_before_anything_else(make: Any) -> None:
    stage = make()
    head = RequestHead(b"GET", b"/%2f", 1, b"h", NO_BODY, 0, b"", None, None, 0)
    Exchange(stage.plane, stage.client, head, ("", b"http", b""), 0.0).begin(b"", True)
    assert (stage.client.status, stage.client.reason) == (400, "bad_path")
    assert stage.places == [(0, 0)]
