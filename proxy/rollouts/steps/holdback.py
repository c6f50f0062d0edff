"""Step `holdback`."""

from dataclasses import dataclass
from typing import ClassVar

from proxy.core.units import Seconds, Share, format_duration, format_share
from proxy.rollouts.step import STEPS, Act, Answer, Moment, Next, SetSplit, Stay
from proxy.rollouts.waiting import timed


@STEPS.register("holdback")
@dataclass(frozen=True, slots=True, kw_only=True)
class Holdback:
    """Gives the candidate all but a `share`, which stays with stable to compare with, bakes, and then gives it that."""

    LEAVES: ClassVar[float] = 1.0

    time: Seconds
    share: Share = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError("there is nothing to compare with; hold back a share like 1%")

    def begin(self) -> tuple[Act, ...]:
        return (SetSplit(1 - self.share),)

    def look(self, moment: Moment) -> Answer:
        if moment.share == 1:
            return Next()
        answer = timed(moment, self.time)
        return Stay("the rest follows", 1.0, (SetSplit(1.0),)) if isinstance(answer, Next) else answer

    def describe(self) -> str:
        return f"all but {format_share(self.share)} to the candidate for {format_duration(self.time)}, then all"

    def at_most_seconds(self) -> float | None:
        return self.time
