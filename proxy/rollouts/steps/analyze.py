"""Step `analyze`."""

from dataclasses import dataclass

from proxy.core.units import Seconds, format_duration
from proxy.rollouts.step import STEPS, Act, Answer, Moment, Next, Otherwise, Stay, otherwise


@STEPS.register("analyze")
@dataclass(frozen=True, slots=True, kw_only=True)
class Analyze:
    """Goes no further before there is a verdict: safe lets it go on, harm ends the rollout.

    Without one after `at_most`, what stands under `otherwise` is done; without `at_most` it waits.
    """

    at_most: Seconds | None = None
    otherwise: Otherwise = "pause"

    def begin(self) -> tuple[Act, ...]:
        return ()

    def look(self, moment: Moment) -> Answer:
        if moment.verdict.kind == "safe":
            return Next()
        if self.at_most is None or moment.elapsed < self.at_most:
            return Stay(f"waits for a verdict: {moment.verdict.sentence}")
        return otherwise(self.otherwise, f"no verdict after {format_duration(self.at_most)}")

    def describe(self) -> str:
        return "wait for the verdict" if self.at_most is None else f"the verdict within {format_duration(self.at_most)}"

    def at_most_seconds(self) -> float | None:
        return self.at_most
