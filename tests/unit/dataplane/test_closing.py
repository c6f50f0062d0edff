"""A lingering close over a transport in memory: how long it goes on, and what ends it."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.dataplane.closing import LINGER_IDLE, LINGER_MOST, Lingering
from proxy.dataplane.pace import WINDOW
from proxy.dataplane.wheel import TICK, Wheel


class Wire:
    """A transport whose client takes nothing by itself."""

    def __init__(self, unsent: int) -> None:
        self.unsent = unsent
        self.events: list[str] = []

    def set_protocol(self, _protocol: Any) -> None: ...

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.events.append("eof")

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def close(self) -> None:
        self.events.append("close")

    def abort(self) -> None:
        self.events.append("abort")


class Stage:
    """A wheel, a wire, and who lingers there."""

    def __init__(self, unsent: int, rate: int | None) -> None:
        self.wheel = Wheel(0.0)
        self.wire: Any = Wire(unsent)
        self.closed = 0
        self.lingering = Lingering(self.wheel, rate, self._count)
        self.lingering.take_over(self.wire, unsent > 0)

    def _count(self) -> None:
        self.closed += 1

    def until(self, end: float, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Let the time pass, tick by tick."""
        while self.wheel.now < end:
            self.wheel.tick(self.wheel.now + TICK)
            meanwhile()


@pytest.fixture
def stage() -> Callable[..., Stage]:
    def make(unsent: int = 0, rate: int | None = 240) -> Stage:
        return Stage(unsent, rate)

    return make


def test_quiet_client_is_waited_for_a_little(stage: Callable[..., Stage]) -> None:
    each = stage()
    each.until(LINGER_IDLE - TICK)
    assert each.wire.events == ["eof"]
    each.until(LINGER_IDLE + 3 * TICK)
    assert each.wire.events == ["eof", "abort"]
    each.lingering.connection_lost(None)
    assert each.closed == 1


def test_client_that_goes_on_sending_is_cut_in_the_end(stage: Callable[..., Stage]) -> None:
    each = stage()
    each.until(LINGER_MOST - TICK, lambda: each.lingering.data_received(b"more"))
    assert each.wire.events == ["eof"]
    each.until(LINGER_MOST + 3 * TICK)
    assert each.wire.events == ["eof", "abort"]


def test_slow_reader_has_as_long_as_its_pace_allows(stage: Callable[..., Stage]) -> None:
    each = stage(unsent=100_000)

    def take() -> None:
        each.wire.unsent -= 100

    each.until(5 * WINDOW, take)
    assert each.wire.events == ["eof"]
    each.lingering.resume_writing()  # all of it is taken
    each.until(5 * WINDOW + LINGER_IDLE + 3 * TICK)
    assert each.wire.events == ["eof", "abort"]


def test_client_that_takes_nothing_is_cut_after_one_window(stage: Callable[..., Stage]) -> None:
    each = stage(unsent=100_000)
    each.until(WINDOW + 3 * TICK, lambda: each.lingering.data_received(b"more"))
    assert each.wire.events == ["eof", "abort"]


def test_client_that_has_closed_gets_what_is_unsent_and_then_the_end(stage: Callable[..., Stage]) -> None:
    each = stage(unsent=100_000)
    assert each.lingering.eof_received()
    each.lingering.resume_writing()
    assert each.wire.events == ["eof", "close"]
    assert not stage().lingering.eof_received()
