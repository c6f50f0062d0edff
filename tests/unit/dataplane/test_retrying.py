"""When the retry budget is asked: not for a way around a dead endpoint, and always in an outage."""

import asyncio
from typing import Any

import pytest

from proxy.dataplane.attempt import Attempt
from proxy.dataplane.exchange import Exchange
from proxy.dataplane.failures import ConnectFailed, ConnectTimeout, TryTimeout, UpstreamFailure, UpstreamReset
from proxy.dataplane.plane import Plane
from proxy.http1.message import RequestHead, ResponseHead
from proxy.pools.registry import EndpointRegistry
from proxy.snapshot.compile import compile_snapshot
from proxy.snapshot.document import Document, Ejection, Endpoint, Pool, Retry, Route, Service

EJECTIONS = {"later": Ejection(), "at once": Ejection(consecutive_errors=1), "off": None}


class _Offline(Plane):
    """One whose `connect` can be replaced, compiled or not."""


class Client:
    """A client's side that knows the status it was sent."""

    status = 0

    def respond(self, head: ResponseHead, _body: bytes, _done: bool) -> None:
        self.status = head.status

    def finished(self) -> None: ...


class Stage:
    """A plane whose connections are never made: `attempt` is the one that waits for one."""

    attempt: Attempt

    def __init__(
        self, loop: asyncio.AbstractEventLoop, endpoints: int, retry: Retry, ejection: Ejection | None, backups: int = 0
    ) -> None:
        first = endpoints - backups
        made = (Endpoint(f"127.0.0.1:{number + 1}", backup=number >= first) for number in range(endpoints))
        pool = Pool("blue", tuple(made))
        service = Service("shop", (pool,), {"blue": 1.0}, retry=retry, ejection=ejection)
        registry = EndpointRegistry()
        document = Document((), (service,), (Route(service="shop"),))
        snapshot = compile_snapshot(document, 1, registry, lambda: 0.5, token=bytes)
        snapshot.activate()
        self.endpoints = list(registry)
        self.shared = self.endpoints[0].shared
        self.plane = _Offline(loop, snapshot, lambda: 0.0)
        self.plane.connect = self._connect  # type: ignore[method-assign]

    def begin(self) -> Client:
        client: Any = Client()
        head = RequestHead(b"POST", b"/", 1, b"h", 2, 0, b"", None, None, 0)
        Exchange(self.plane, client, head, ("", b"http", b""), self.plane.clock()).begin(b"hi", True)
        return client

    def _connect(self, attempt: Attempt) -> None:
        self.attempt = attempt


@pytest.mark.parametrize(
    ("endpoints", "failure", "errors", "again"),
    [
        (2, ConnectFailed(), 0, True),
        (2, ConnectTimeout(), 0, True),
        (2, ConnectFailed(), 1, False),
        (2, UpstreamReset(), 0, False),
        (2, TryTimeout(), 0, False),
        (1, ConnectFailed(), 0, False),
    ],
    ids=["refused", "not taken in time", "the other fails too", "reset", "per_try", "no other"],
)
@pytest.mark.parametrize("ejection", EJECTIONS.values(), ids=EJECTIONS)
def test_way_around_a_dead_endpoint_costs_no_budget(
    loop: Any, endpoints: int, failure: UpstreamFailure, errors: int, again: bool, ejection: Ejection | None
) -> None:
    retry = Retry(on=("connect", "reset", "timeout"), methods=("POST",), budget=0.0)
    stage = Stage(loop, endpoints, retry, ejection)
    stage.shared.budget.minimum = 0
    client = stage.begin()
    first = stage.attempt
    for endpoint in stage.endpoints:
        endpoint.consecutive_errors = 0 if endpoint is first.endpoint else errors
    first.connect_failed(failure)
    assert client.status == (0 if again else failure.status)
    assert (stage.attempt.endpoint is not first.endpoint) is again
    assert stage.shared.counters.retries == again
    assert stage.shared.connections == again


@pytest.mark.parametrize("ejection", EJECTIONS.values(), ids=EJECTIONS)
def test_way_to_a_backup_costs_no_budget(loop: Any, ejection: Ejection | None) -> None:
    stage = Stage(loop, 2, Retry(budget=0.0), ejection, backups=1)
    stage.shared.budget.minimum = 0
    client = stage.begin()
    assert stage.attempt.endpoint is stage.endpoints[0]
    stage.attempt.connect_failed(ConnectFailed())
    assert stage.attempt.endpoint is stage.endpoints[1]
    stage.attempt.connect_failed(ConnectFailed())
    assert client.status == 502


@pytest.mark.parametrize("ejection", EJECTIONS.values(), ids=EJECTIONS)
def test_outage_of_the_whole_pool_is_not_multiplied(loop: Any, ejection: Ejection | None) -> None:
    stage = Stage(loop, 3, Retry(retries=9, budget=0.2), ejection)
    asked = 200
    for _ in range(asked):
        client = stage.begin()
        while not client.status:
            stage.attempt.connect_failed(ConnectFailed())
        assert client.status == 502
    # A way around for each of the others, at least 3 in a window, then a fifth; a slow machine may see a few windows.
    assert stage.shared.counters.retries <= 2 + asked * 0.2 + 3 * 3
