"""What rate limits granted in one worker, told to the others; the timer is here, as filters have none."""

import asyncio
from collections.abc import Callable
from typing import Final

from proxy.channel import messages as say
from proxy.filters.buckets import Buckets
from proxy.filters.site import States

INTERVAL: Final = 0.25  # seconds between two tellings
MOST: Final = 1000  # keys of one telling: 20 KiB; the others wait for the next


class Spending:
    """Tells every INTERVAL, where there is something to tell, for as long as some filter keeps buckets.

    Nobody answers: who hears nothing goes by what it grants itself.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, states: States, tell: Callable[[say.Spent], None]) -> None:
        self._loop = loop
        self._states = states
        self._tell = tell
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """A generation is in force: see whether there is anything to tell of."""
        if self._timer is None and any(isinstance(kept, Buckets) for _, kept in self._states.items()):
            self._timer = self._loop.call_later(INTERVAL, self._turn)

    def hear(self, spent: say.Spent) -> None:
        """What another worker has granted."""
        for name, taken in spent.tokens.items():
            kept = self._states.get(name)
            if isinstance(kept, Buckets):
                kept.hear(taken, self._loop.time())

    def _turn(self) -> None:
        self._timer = None
        room, tokens = MOST, {}
        for name, kept in self._states.items():
            if room and isinstance(kept, Buckets) and (told := kept.tell(room)):
                tokens[name] = told
                room -= len(told)
        if tokens:
            self._tell(say.Spent(tokens))
        self.begin()
