"""Step `wait_traffic`."""

from dataclasses import dataclass
from typing import ClassVar

from proxy.core.units import Seconds, format_duration
from proxy.rollouts.step import STEPS, Act, Answer, Moment, Next, Otherwise, Stay, otherwise


@STEPS.register("wait_traffic")
@dataclass(frozen=True, slots=True, kw_only=True)
class WaitTraffic:
    """Waits until the candidate has answered so many requests in this step: `wait_traffic: 1000`."""

    SHORT: ClassVar[str] = "requests"

    requests: int
    at_most: Seconds | None = None
    otherwise: Otherwise = "pause"

    def __post_init__(self) -> None:
        if self.requests < 1:
            raise ValueError("there is nothing to wait for; ask for at least 1 request")

    def begin(self) -> tuple[Act, ...]:
        return ()

    def look(self, moment: Moment) -> Answer:
        if moment.requests >= self.requests:
            return Next()
        if self.at_most is None or moment.elapsed < self.at_most:
            return Stay(f"{moment.requests} of {self.requests} requests", moment.requests / self.requests)
        return otherwise(
            self.otherwise, f"{moment.requests} of {self.requests} requests after {format_duration(self.at_most)}"
        )

    def describe(self) -> str:
        return f"{self.requests} requests to the candidate"

    def at_most_seconds(self) -> float | None:
        return self.at_most
