"""Step `drain`."""

from dataclasses import dataclass
from typing import ClassVar

from proxy.core.units import Seconds, format_duration
from proxy.rollouts.step import STEPS, Act, Answer, Job, Moment, Next, Pause, Stay


@STEPS.register("drain")
@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Empties stable: what runs there ends in peace or, tunnels, at the `deadline`. Afterwards it stands by, proven
    again: `drain: 30s`.
    """

    SHORT: ClassVar[str] = "deadline"

    deadline: Seconds = 30.0

    def begin(self) -> tuple[Act, ...]:
        return (Job("drain", "drain", {"deadline": self.deadline}),)

    def look(self, moment: Moment) -> Answer:
        if moment.share < 1:
            return Pause("stable still has traffic; a drain comes after everything has gone to the candidate")
        result = moment.results.get("drain")
        if result is None:
            return Stay("stable is being drained", moment.elapsed / self.deadline if self.deadline else None)
        return Next() if result.ok else Pause(f"stable could not be drained: {result.text}")

    def describe(self) -> str:
        return f"drain stable within {format_duration(self.deadline)}"

    def at_most_seconds(self) -> float | None:
        return self.deadline
