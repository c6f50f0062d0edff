"""How soon a child that died is replaced, and when to stop trying."""

from typing import Final

STEADY: Final = 10.0  # seconds; who lived that long did not die of its start
LONGEST: Final = 5.0
MOST: Final = 5  # quick deaths in a row before anything worked: then it never will


class Backoff:
    """Deaths of one place (a role and a slot) in a row."""

    __slots__ = ("deaths",)

    def __init__(self) -> None:
        self.deaths = 0

    def delay(self, lived: float) -> float:
        """Seconds to wait before the next try, after one that lived so long. The first is replaced at once."""
        self.deaths = 1 if lived >= STEADY else self.deaths + 1
        return 0.0 if self.deaths == 1 else min(LONGEST, 0.1 * 2 ** (self.deaths - 2))

    @property
    def is_hopeless(self) -> bool:
        """Has it died so often that something must be wrong with it, not around it?"""
        return self.deaths >= MOST
