"""The journal: what was changed, by whom, from what to what, and why; and those who listen for more."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, Protocol

from msgspec import Struct

MOST_REMEMBERED: Final = 1_000
_MOST_BEHIND: Final = 1_000  # events a listener may be behind before it is let go


class Event(Struct, frozen=True, kw_only=True):
    """One thing that happened. `at` is wall time in seconds; `before` and `after` are plain data without secrets."""

    id: int
    at: float
    kind: str
    generation: int
    by: str
    service: str | None = None
    before: Any = None
    after: Any = None
    reason: str | None = None
    text: str = ""


class Archive(Protocol):
    """Where events are kept for good."""

    def events(self, after: int = 0) -> list[Event]:
        """All from the one after this on."""
        ...

    def add(self, event: Event) -> None:
        """Append one."""
        ...


class LaggingError(Exception):
    """A listener did not keep up; it may come again with the last id it saw."""


class Journal:
    """Events, newest last."""

    def __init__(self, archive: Archive, wall: Callable[[], float]) -> None:
        self._archive = archive
        self._wall = wall
        self._events: deque[Event] = deque(archive.events()[-MOST_REMEMBERED:], MOST_REMEMBERED)
        self._listeners: set[asyncio.Queue[Event | None]] = set()

    @property
    def last(self) -> int:
        """The id of the newest event; 0 before the first."""
        return self._events[-1].id if self._events else 0

    def write(self, kind: str, *, by: str, generation: int, **fields: Any) -> Event:
        """Write down what has happened."""
        event = Event(id=self.last + 1, at=self._wall(), kind=kind, by=by, generation=generation, **fields)
        self._events.append(event)
        self._archive.add(event)
        for queue in self._listeners:
            if queue.qsize() <= _MOST_BEHIND:
                queue.put_nowait(event if queue.qsize() < _MOST_BEHIND else None)
        return event

    def since(self, after: int) -> list[Event]:
        """Those that are remembered, from the one after this on."""
        return [event for event in self._events if event.id > after]

    async def follow(self, after: int) -> AsyncGenerator[Event, None]:
        """Those after this one, and then each as it happens; LaggingError for who does not keep up."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            for event in self.since(after):
                after = event.id
                yield event
            while True:
                latest = await queue.get()
                if latest is None:
                    raise LaggingError
                if latest.id > after:
                    after = latest.id
                    yield latest
        finally:
            self._listeners.discard(queue)
