"""A connection to an endpoint over a transport in memory: what an idle one does with what nobody asked for."""

from typing import Any

import pytest

from proxy.dataplane.idle import check_out
from proxy.dataplane.upstream import Upstream
from proxy.dataplane.wheel import Wheel
from proxy.pools.endpoint import Endpoint
from proxy.pools.state import PoolState


class Wire:
    """A transport that remembers whether it was cut."""

    is_cut = False

    def set_write_buffer_limits(self, high: int) -> None: ...

    def abort(self) -> None:
        self.is_cut = True


@pytest.mark.parametrize(
    "event",
    [
        lambda upstream: upstream.data_received(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"),
        lambda upstream: upstream.eof_received(),
        lambda upstream: upstream.connection_lost(ConnectionResetError()),
    ],
    ids=["bytes", "end", "reset"],
)
@pytest.mark.parametrize("place", [0, 1])
def test_idle_connection_that_anything_comes_on_is_discarded(event: Any, place: int) -> None:
    endpoint = Endpoint(PoolState("shop", "blue"), "127.0.0.1:1")
    wheel, wires = Wheel(0.0), [Wire(), Wire()]
    both = [Upstream(endpoint, wheel) for _ in wires]
    for upstream, wire in zip(both, wires, strict=True):
        upstream.connection_made(wire)  # type: ignore[arg-type]
        upstream.park(60.0)
    event(both[place])
    assert wires[place].is_cut
    assert endpoint.idle == [both[1 - place]]
    assert check_out(endpoint, 1.0, repeatable=True) is both[1 - place]
    assert check_out(endpoint, 1.0, repeatable=True) is None
