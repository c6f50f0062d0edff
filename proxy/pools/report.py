"""What the controller reports of every endpoint, and how a worker brings its own endpoints there."""

from collections import deque
from typing import Final, Literal

import msgspec

from proxy.pools.endpoint import TRANSITIONS, Endpoint, Signal, State
from proxy.pools.registry import EndpointKey, EndpointRegistry
from proxy.pools.state import PoolState

Reported = Literal["unproven", "up", "down", "ejected"]
Report = dict[EndpointKey, Reported]

_DECODER: Final = msgspec.msgpack.Decoder(Report)
_BY_HAND: Final = frozenset({State.DRAINING, State.DRAINED, State.REMOVED})


def decode(data: bytes) -> Report:
    """A report that came over the channel; msgspec.DecodeError for what is none."""
    return _DECODER.decode(data)


def bring_in(registry: EndpointRegistry, report: Report) -> list[Endpoint]:
    """Bring every endpoint to its reported state; those that came up, or back up: their slow start begins.

    What a person or a reload has taken out stays where it is, and so does what the report does not know.
    """
    risen: list[Endpoint] = []
    changed: dict[PoolState, None] = {}
    for endpoint in registry:
        state = report.get((endpoint.service, endpoint.pool, endpoint.address))
        if state is None or not _walk(endpoint, State(state)):
            continue
        changed[endpoint.shared] = None
        if endpoint.state is State.UP:
            risen.append(endpoint)
    for shared in changed:
        shared.refresh()
    return risen


def _walk(endpoint: Endpoint, to: State) -> bool:
    """Give an endpoint the signals that lead there; whether it went anywhere."""
    if endpoint.state is to or endpoint.state in _BY_HAND:
        return False
    for signal in _WALKS[endpoint.state, to]:
        endpoint.signal(signal)
    return True


def _walks_from(start: State) -> dict[State, tuple[Signal, ...]]:
    """The shortest walk from here to every state that can be reached."""
    walks: dict[State, tuple[Signal, ...]] = {start: ()}
    ahead = deque([start])
    while ahead:
        here = ahead.popleft()
        for (state, signal), end in TRANSITIONS.items():
            if state is here and end not in walks:
                walks[end] = (*walks[here], signal)
                ahead.append(end)
    return walks


# Back to unproven leads over a drain and its end, within one call: nobody sees what lies between.
_WALKS: Final = {(start, end): walk for start in State for end, walk in _walks_from(start).items()}
