"""Who is ejected, and until when: the controller's decision on what workers report of failing requests.

A worker counts failures in a row (`consecutive_errors`) and reports; what a report leads to is decided here, once for
all workers. How long and how many: proxy/pools/ejection.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proxy.pools.ejection import EjectionSettings, has_room, remembered, time_out
from proxy.pools.registry import EndpointKey


@dataclass(slots=True)
class _Record:
    """The ejections of one endpoint: how many count, when the last one ends or ended, whether it is still out."""

    count: int = 0
    until: float = 0.0
    is_out: bool = False


class Ejections:
    """The ejections in force, and those that make the next one longer. Times are seconds, monotonic."""

    def __init__(self) -> None:
        self._records: dict[EndpointKey, _Record] = {}

    def __contains__(self, key: EndpointKey) -> bool:
        record = self._records.get(key)
        return record is not None and record.is_out

    def __repr__(self) -> str:
        return f"<Ejections {sum(record.is_out for record in self._records.values())} out>"

    def failed(
        self, key: EndpointKey, pool_members: Mapping[EndpointKey, bool], settings: EjectionSettings, now: float
    ) -> bool:
        """A worker reports that requests keep failing at `key`; whether that ejects it.

        `pool_members` are all endpoints of its pool, and whether requests go to each now: up, of some weight, not
        drained. One that is out already is none of those, whether or not they say so yet: further workers' reports of
        it change nothing, and of the last two of a pool that are reported at once only one is ejected.
        """
        if not self._may_eject(key, pool_members, settings):
            return False
        record = self._records.setdefault(key, _Record())
        record.count = remembered(record.count, record.until, now, settings) + 1
        record.until = now + time_out(record.count, settings)
        record.is_out = True
        return True

    def readmit_due(self, now: float) -> tuple[EndpointKey, ...]:
        """Those whose time is over; they are not ejected any more."""
        return self._readmit(key for key, record in self._records.items() if record.is_out and record.until <= now)

    def came_down(self, keys: Iterable[EndpointKey]) -> tuple[EndpointKey, ...]:
        """Probes found these down, which ends their ejections: whoever is well again comes back. Those that ended."""
        return self._readmit(key for key in keys if key in self)

    def next_due(self) -> float | None:
        """When the next one's time is over; None where nobody is ejected."""
        return min((record.until for record in self._records.values() if record.is_out), default=None)

    def until(self, key: EndpointKey) -> float | None:
        """When this one's time is over; None where it is not ejected."""
        return self._records[key].until if key in self else None

    def forget(self, keys: Iterable[EndpointKey]) -> None:
        """These are gone: at the same address something new begins."""
        for key in keys:
            self._records.pop(key, None)

    def _may_eject(
        self, key: EndpointKey, pool_members: Mapping[EndpointKey, bool], settings: EjectionSettings
    ) -> bool:
        """Whether it is in, another one is, and the share that may be out is not used up."""
        if key in self or not pool_members.get(key, False):
            return False
        others = (is_usable and member not in self for member, is_usable in pool_members.items() if member != key)
        if not any(others):
            return False
        return has_room(sum(member in self for member in pool_members), len(pool_members), settings)

    def _readmit(self, keys: Iterable[EndpointKey]) -> tuple[EndpointKey, ...]:
        readmitted = tuple(keys)
        for key in readmitted:
            self._records[key].is_out = False
        return readmitted
