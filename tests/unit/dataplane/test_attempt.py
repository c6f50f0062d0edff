"""What follows an attempt that failed: another one where that is allowed, and whose fault it was."""

from typing import Any

import pytest

from proxy.dataplane.failures import ResponseTimeout, UpstreamFailure, UpstreamMalformed, UpstreamReset
from proxy.snapshot.document import Ejection, Retry

A = "127.0.0.1:1"


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
        fresh = stage.connect(A)
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
    stage = make(2, retry=retry)
    exchange = stage.begin(method, 2, b"hi")
    first = stage.busy
    first.exchange = None
    exchange.attempt_failed(failure, False)
    if again:
        assert stage.busy is not first
        assert stage.busy.bodies == [b"hi"]
        exchange.response(stage.head(), b"ok", True)
        assert stage.client.status == 200
        assert exchange.counters.retries == 1
    else:
        assert (stage.client.status, stage.client.reason) == (failure.status, failure.reason)
    assert first.endpoint.consecutive_errors == 1
    assert stage.places == [(0, 0), (0, 0)]


@pytest.mark.parametrize(("on", "tries"), [(("503",), 2), (("5xx",), 2), (("connect", "reset"), 1), (("502",), 1)])
def test_status_is_tried_again_and_the_last_answer_passed_on(make: Any, on: tuple[str, ...], tries: int) -> None:
    stage = make(2, retry=Retry(on=on))
    exchange = stage.begin()
    for number in range(tries):
        server = stage.busy
        exchange.response(stage.head(503), str(number).encode(), True)
        assert server.exchange is None
    assert (stage.client.status, stage.client.body) == (503, str(tries - 1).encode())
    assert stage.client.reason is None, "the endpoint's own"


def test_body_larger_than_is_kept_is_not_sent_again(make: Any) -> None:
    stage = make(2, retry=Retry(body=3))
    exchange = stage.begin(b"PUT", 4, b"ab", False)
    exchange.request_data(b"cd")
    exchange.attempt_failed(UpstreamReset(), False)
    assert stage.client.reason == "upstream_reset"


def test_endpoint_that_keeps_failing_is_ejected_and_the_last_one_is_not(make: Any) -> None:
    stage = make(2, ejection=Ejection(consecutive_errors=2), retry=Retry(retries=0))
    for _ in range(20):
        stage.next_client()
        exchange = stage.begin()
        exchange.response(stage.head(500), b"", True)
    states = sorted(server.endpoint.state.value for server in stage.servers.values())
    assert states == ["ejected", "up"]
