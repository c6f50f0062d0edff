"""What the controller tells every worker of every endpoint: what probes show and who is ejected, as one table."""

from collections.abc import Iterable, Mapping

import msgspec

from proxy.control.ejections import Ejections
from proxy.pools.endpoint import State
from proxy.pools.registry import EndpointKey
from proxy.pools.report import Report, Reported


def combined(keys: Iterable[EndpointKey], probes: Mapping[EndpointKey, State], ejections: Ejections) -> Report:
    """The table of these endpoints. Whoever is not in `probes` is not probed, and taken for well.

    Down wins over ejected, and ends it: an endpoint that is well again comes back up. Unproven wins too, as nothing
    goes there anyway.
    """
    ejections.came_down(key for key, state in probes.items() if state is State.DOWN)
    return {key: _state(probes.get(key, State.UP), is_ejected=key in ejections) for key in keys}


def encode(report: Report) -> bytes:
    """The table as workers take it; proxy.pools.report.decode is the inverse."""
    return msgspec.msgpack.encode(report)


def _state(probed: State, *, is_ejected: bool) -> Reported:
    if probed is State.DOWN:
        return "down"
    if probed is State.UNPROVEN:
        return "unproven"
    return "ejected" if is_ejected else "up"
