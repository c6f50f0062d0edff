"""Answers from a small cache: pages that change seldom, and that are the same for everybody."""

from asyncio import Lock
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from proxy.plugins import Facts, Reply, Request


@dataclass
class SmallCache:
    """Asks `service` for each of `paths` once in `seconds`, and answers everybody from memory.

    Whoever comes while it is asked waits for that answer. The query does not count. At most `most` pages are kept. What
    is not 200 is not kept.
    """

    service: str
    paths: list[str]
    seconds: float = 10.0
    most: int = 100
    counters: Counter[str] = field(default_factory=Counter, init=False)
    _kept: dict[str, tuple[float, Reply]] = field(default_factory=dict, init=False)
    _asking: dict[str, Lock] = field(default_factory=lambda: defaultdict(Lock), init=False)

    def __post_init__(self) -> None:
        if self.most < 1 or self.seconds <= 0:
            raise ValueError("a cache that keeps nothing, or for no time, is none; use most: 100, seconds: 10")

    async def on_request(self, request: Request, facts: Facts) -> Reply | None:
        if request.method not in ("GET", "HEAD") or request.path not in self.paths:
            return None
        async with self._asking[request.path]:  # there are no more of these than `paths`
            until, reply = self._kept.get(request.path, (0.0, None))
            if reply is not None and facts.now < until:
                self.counters["hits"] += 1
                return reply
            self.counters["misses"] += 1
            return await self._asked(request.path, facts)

    async def _asked(self, path: str, facts: Facts) -> Reply | None:
        self._kept.pop(path, None)
        answer = await facts.ask(self.service, path)
        if answer.status != 200:
            return None
        reply = Reply(200, answer.body, {"content-type": answer.headers.get("content-type") or "text/plain"})
        while len(self._kept) >= self.most:
            del self._kept[next(iter(self._kept))]
        self._kept[path] = facts.now + self.seconds, reply
        return reply
