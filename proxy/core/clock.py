"""Where time comes from: only composition roots hold a real clock; the rest is given one, or a number."""

from typing import Protocol


class Clock(Protocol):
    """A source of time, in seconds."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back. For timeouts and intervals."""
        ...

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC; may jump. Only for what leaves the process: cookies, logs."""
        ...
