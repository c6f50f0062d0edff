"""Step `approve`."""

from dataclasses import dataclass

from proxy.core.units import Seconds, format_duration
from proxy.rollouts.step import STEPS, Act, Answer, Moment, Otherwise, Stay, otherwise


@STEPS.register("approve")
@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """Waits for a person: promote goes on, abort takes the traffic back. After `timeout`, `otherwise` is done."""

    timeout: Seconds | None = None
    otherwise: Otherwise = "pause"

    def begin(self) -> tuple[Act, ...]:
        return ()

    def look(self, moment: Moment) -> Answer:
        if self.timeout is None or moment.elapsed < self.timeout:
            return Stay("waits for a person to promote or abort")
        return otherwise(self.otherwise, f"nobody has approved within {format_duration(self.timeout)}")

    def describe(self) -> str:
        return "approval" if self.timeout is None else f"approval within {format_duration(self.timeout)}"

    def at_most_seconds(self) -> float | None:
        return self.timeout
