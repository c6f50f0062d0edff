"""Step `split`."""

from dataclasses import dataclass
from typing import ClassVar

from proxy.core.units import Share
from proxy.rollouts.step import STEPS, Act, Answer, Moment, Next, SetSplit, Stay


@STEPS.register("split")
@dataclass(frozen=True, slots=True)
class Split:
    """Gives the candidate this share of what it and stable have: `split: 5%`."""

    SHORT: ClassVar[str] = "to"

    to: Share

    def begin(self) -> tuple[Act, ...]:
        return (SetSplit(self.to),)

    def look(self, moment: Moment) -> Answer:
        return Next() if moment.share == self.to else Stay("the split is being set")

    def describe(self) -> str:
        return f"{self.to * 100:.4g} % to the candidate"

    def at_most_seconds(self) -> float | None:
        return 0.0
