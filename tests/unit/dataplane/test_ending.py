"""The end of an exchange, told to whoever wants to know: once, and at nobody's cost."""

from typing import Any

import pytest

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
