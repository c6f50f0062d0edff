"""The end of an exchange, told to whoever wants to know: once, and at nobody's cost."""

from typing import Any

import pytest

from proxy.dataplane.ending import LONGEST
from proxy.dataplane.exchange import Exchange
from proxy.http1.message import NO_BODY, TRACEPARENT, RequestHead
from proxy.telemetry.record import Record


def test_end_is_told_once(make: Any) -> None:
    stage = make()
    told: list[Record] = []
    stage.plane.on_end = told.append
    exchange = stage.begin()
    assert told == []
    exchange.response(stage.head(), b"ok", True)
    assert [(each.status, each.service, each.pool, each.sent) for each in told] == [(200, "shop", "blue", 2)]


def test_fault_of_who_is_told_keeps_nobody_waiting(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    stage = make()

    def fails(_record: Record) -> None:
        raise OSError("no space left on device")

    stage.plane.on_end = fails
    stage.begin().response(stage.head(), b"ok", True)
    assert (stage.client.events, stage.places) == (["done", "finished"], [(0, 0)])
    assert "was not noted" in caplog.text


@pytest.mark.parametrize(
    ("flags", "block", "trace"),
    [
        (0, b"", b"b" * 32),
        (TRACEPARENT, b"X-A: 1\r\ntraceparent: 00-" + b"c" * 32 + b"-d-01\r\n", b"c" * 32),
        (TRACEPARENT, b"TraceParent: 00-" + b"c" * 32 + b"-d-01\r\n", b"c" * 32),
    ],
)
def test_record_tells_the_ids_that_were_sent_and_cuts_what_clients_fill(
    make: Any, flags: int, block: bytes, trace: bytes
) -> None:
    stage = make()
    told: list[Record] = []
    stage.plane.on_end = told.append
    block += b"user-agent: \xff" + b"a" * 30_000 + b"\r\nReferer:  http://r/ \r\nX-Note: X-Request-Id: fake\r\n"
    head = RequestHead(b"GET", b"/a?b", 1, b"h", NO_BODY, flags, block, b"c=d", None, 0)
    ours = b"X-Forwarded-For: 1.2.3.4\r\nX-Request-Id: r-1\r\n"
    if not flags:
        ours += b"traceparent: 00-" + b"b" * 32 + b"-e-01\r\n"
    exchange = Exchange(stage.plane, stage.client, head, ("1.2.3.4", b"https", ours), stage.plane.clock())
    exchange.begin(b"", True)
    exchange.response(stage.head(), b"ok", True)
    (record,) = told
    assert (record.request_id, record.trace_id) == (b"r-1", trace)
    assert (record.user_agent, record.referer) == (b"\xff" + b"a" * (LONGEST - 1), b"http://r/")
    assert (record.target, record.host, record.service, record.scheme) == (b"/a?b", b"h", "shop", b"https")
