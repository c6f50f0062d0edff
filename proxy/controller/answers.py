"""What several workers were asked at once, and who has yet to answer."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from proxy.channel import messages as say


class Answers:
    """Who has yet to answer one question, and what the others have said."""

    def __init__(self, asked: Iterable[int]) -> None:
        self.missing = set(asked)
        self.said: dict[int, say.Message] = {}
        self.done = asyncio.Event()
        self._check()

    def take(self, child: int, message: say.Message) -> None:
        """An answer."""
        if child in self.missing:
            self.missing.discard(child)
            self.said[child] = message
            self._check()

    def gone(self, there: set[int]) -> None:
        """Only these children are still there."""
        self.missing &= there
        self._check()

    async def wait(self, patience: float) -> bool:
        """Until all have answered or gone, which is True, or the patience is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.done.wait()
        return self.done.is_set()

    def _check(self) -> None:
        if not self.missing:
            self.done.set()
