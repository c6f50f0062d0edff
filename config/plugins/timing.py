"""A header that tells the client how long the proxy and the service took."""

from collections import Counter
from dataclasses import dataclass, field

from proxy.plugins import Facts, Record, Request, Response


@dataclass
class Timing:
    """Adds Server-Timing to the responses to requests that came by, and counts what took longer than `slow` seconds."""

    header: str = "server-timing"
    slow: float = 1.0
    counters: Counter[str] = field(default_factory=Counter, init=False)

    def on_request(self, request: Request, facts: Facts) -> None:
        facts.notes["began"] = facts.now

    def on_response(self, response: Response, facts: Facts) -> None:
        if "began" not in facts.notes:
            return  # a filter before this one has answered
        took = (facts.now - facts.notes["began"]) * 1000
        response.headers.add(self.header, f"{facts.pool or 'proxy'};dur={took:.1f}")

    def on_end(self, record: Record) -> None:
        if record.total > self.slow:
            self.counters["slow"] += 1
