"""The workers as the control sees them: who is there, and one change brought into force in all of them, or in none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from proxy.snapshot.document import Document
from proxy.telemetry.report import WorkerReport


@dataclass(frozen=True, slots=True)
class Change:
    """From one generation to the next. `is_small`: weights, drains and the like, which no worker can refuse."""

    generation: int
    document: Document
    parts: Mapping[str, bytes]
    changed: Mapping[str, bytes]
    dropped: tuple[str, ...]
    is_small: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a change: refused with problems and in force nowhere, or in force in all but the `silent`."""

    problems: tuple[str, ...] = ()
    silent: tuple[int, ...] = ()
    """Pids of workers that did not answer in time, and are being replaced."""
    cut: tuple[int, int] | None = None
    """Tunnels and exchanges that a drain without patience has cut."""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker."""

    id: int
    pid: int
    slot: int
    state: str
    generation: int


class BindError(Exception):
    """Addresses that cannot be listened at, with why; nothing was changed."""

    def __init__(self, failed: dict[str, str]) -> None:
        super().__init__("; ".join(f"cannot listen on {address}: {why}" for address, why in failed.items()))
        self.failed = failed


class Fleet(Protocol):
    """All workers of this proxy."""

    @property
    def workers(self) -> tuple[WorkerView, ...]:
        """Those there are, draining ones included."""
        ...

    @property
    def restarts(self) -> int:
        """How many workers were replaced since the start."""
        ...

    async def apply(self, change: Change) -> Outcome:
        """Bring a change into force everywhere; returns when it is. BindError where an address can't be had."""
        ...

    async def ask(self) -> list[WorkerReport]:
        """What every worker has counted."""
        ...

    async def cut(self, service: str, pool: str, address: str | None, *, exchanges: bool) -> tuple[int, int]:
        """Close tunnels and, if asked to, exchanges; how many."""
        ...

    def tell_health(self, report: bytes) -> None:
        """Tell all workers, and those to come, what is known of the endpoints."""
        ...

    def restart(self) -> None:
        """Restart everything with the code on disk."""
        ...
