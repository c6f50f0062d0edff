"""Step `bake`."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from proxy.core.units import Seconds, format_duration
from proxy.rollouts.step import STEPS, Act, Answer, Moment, Next, Otherwise, Stay, otherwise
from proxy.rollouts.waiting import enough, timed


@STEPS.register("bake")
@dataclass(frozen=True, slots=True, kw_only=True)
class Bake:
    """Watches the candidate for a `time`: `bake: 10m`. Or `until: safe`, for `at_most` so long, and `otherwise`.

    A time is over only when the candidate has had `min_requests` too; until then `on_no_data` decides. Harm ends the
    rollout at any moment of it.
    """

    SHORT: ClassVar[str] = "time"

    time: Seconds | None = None
    until: Literal["safe"] | None = None
    at_most: Seconds = 3600.0
    otherwise: Otherwise = "pause"

    def __post_init__(self) -> None:
        if (self.time is None) == (self.until is None):
            raise ValueError("bake takes a time or `until: safe`; write bake: 10m, for example")

    def begin(self) -> tuple[Act, ...]:
        return ()

    def look(self, moment: Moment) -> Answer:
        if self.time is not None:
            return timed(moment, self.time)
        if moment.verdict.kind == "safe":
            return Next()
        if moment.elapsed < self.at_most:
            return Stay(f"is not yet known to be safe: {moment.verdict.sentence}", moment.elapsed / self.at_most)
        if self.otherwise == "next":
            return enough(moment)
        return otherwise(self.otherwise, f"not known to be safe after {format_duration(self.at_most)}")

    def describe(self) -> str:
        if self.time is not None:
            return f"bake for {format_duration(self.time)}"
        return f"bake until safe, at most {format_duration(self.at_most)}, otherwise {self.otherwise}"

    def at_most_seconds(self) -> float | None:
        return self.at_most if self.time is None else self.time
