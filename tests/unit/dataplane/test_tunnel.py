"""A tunnel between two transports in memory: how it ends, and that its place is given back once, in time."""

from typing import Any

import pytest

from proxy.dataplane.tunnel import CLOSE_GRACE, Tunnel
from proxy.dataplane.wheel import TICK, Wheel

IDLE = 5.0


class Wire:
    """One end's transport."""

    def __init__(self) -> None:
        self.protocol: Any = None
        self.events: list[str] = []
        self.written = b""

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write(self, data: bytes) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.events.append("eof")

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def is_closing(self) -> bool:
        return bool({"close", "abort"} & {*self.events})

    def close(self) -> None:
        self.events.append("close")

    def abort(self) -> None:
        self.events.append("abort")


class Stage:
    """A tunnel, its two ends, and how often its place was given back."""

    def __init__(self, idle: float | None = IDLE) -> None:
        endpoint: Any = None
        self.wheel = Wheel(0.0)
        self.client: Any = Wire()
        self.far: Any = Wire()
        self.given_back = 0
        self.told: list[tuple[str | None, tuple[int, int]]] = []
        self.tunnel = Tunnel(self.wheel, endpoint, idle, self._closed)
        self.tunnel.join(self.client, self.far)

    def _closed(self, tunnel: Tunnel) -> None:
        self.given_back += 1
        self.told.append((tunnel.reason, tunnel.passed))

    def until(self, end: float) -> None:
        """Let the time pass, tick by tick."""
        while self.wheel.now < end:
            self.wheel.tick(self.wheel.now + TICK)


@pytest.mark.parametrize("first", ["client", "far"])
def test_place_is_given_back_when_both_directions_are_over(first: str) -> None:
    stage = Stage()
    ends = [stage.client, stage.far] if first == "client" else [stage.far, stage.client]
    assert ends[0].protocol.eof_received()
    assert (ends[1].events, stage.given_back) == (["eof"], 0)
    ends[1].protocol.data_received(b"late")
    assert ends[0].written == b"late"
    assert not ends[1].protocol.eof_received()
    assert stage.given_back == 1
    for end in ends:
        end.protocol.connection_lost(None)
    stage.until(CLOSE_GRACE + IDLE)
    assert stage.given_back == 1


@pytest.mark.parametrize("closed", [None, "client", "far"])
def test_half_closed_tunnel_lasts_no_longer_than_an_idle_one(closed: str | None) -> None:
    stage = Stage()
    stage.until(IDLE / 2)
    stage.far.protocol.data_received(b"byte")
    if closed is not None:
        getattr(stage, closed).protocol.eof_received()  # which is no byte: the idle time does not begin anew
    stage.until(IDLE * 1.5 - 3 * TICK)
    assert stage.given_back == 0
    stage.until(IDLE * 1.5 + 3 * TICK)
    assert stage.given_back == 1
    assert stage.client.is_closing()
    assert stage.far.is_closing()


def test_end_of_the_connection_ends_both() -> None:
    stage = Stage(idle=None)
    stage.far.protocol.eof_received()
    stage.far.protocol.connection_lost(ConnectionResetError())
    assert (stage.given_back, stage.client.is_closing()) == (1, True)


def test_end_that_does_not_take_what_was_written_is_cut() -> None:
    stage = Stage(idle=None)
    stage.tunnel.close()
    stage.until(CLOSE_GRACE - TICK)
    assert stage.client.events == ["close"]
    stage.until(CLOSE_GRACE + 3 * TICK)
    assert stage.client.events[-1] == "abort"
    assert stage.given_back == 1


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda it: [each.protocol.eof_received() for each in (it.client, it.far)], None),
        (lambda it: it.client.protocol.connection_lost(None), None),
        (lambda it: it.client.protocol.connection_lost(ConnectionResetError()), "client_left"),
        (lambda it: it.far.protocol.connection_lost(ConnectionResetError()), "upstream_reset"),
        (lambda it: it.until(IDLE + 3 * TICK), "tunnel_idle"),
        (lambda it: it.tunnel.close(), "tunnel_cut"),
    ],
)
def test_tunnel_knows_why_it_ended_and_what_has_passed(end: Any, reason: str | None) -> None:
    stage = Stage()
    stage.tunnel.count(1, 2)  # beside the handshake
    stage.client.protocol.data_received(b"to the upstream")
    stage.far.protocol.data_received(b"back")
    end(stage)
    assert stage.told == [(reason, (16, 6))]
    for each in (stage.client, stage.far):
        each.protocol.connection_lost(ConnectionResetError())  # what comes later does not count
    assert stage.told == [(reason, (16, 6))]
    assert stage.tunnel.reason == reason
