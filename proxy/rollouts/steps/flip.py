"""Step `flip`."""

from dataclasses import dataclass

from proxy.rollouts.step import STEPS, Act, Answer, Moment, Next, SetSplit, Stay


@STEPS.register("flip")
@dataclass(frozen=True, slots=True)
class Flip:
    """Gives the candidate everything at once, held sessions too; stable stands by."""

    def begin(self) -> tuple[Act, ...]:
        return (SetSplit(1.0, move=True),)

    def look(self, moment: Moment) -> Answer:
        return Next() if moment.share == 1 else Stay("the colours are being flipped")

    def describe(self) -> str:
        return "flip: everything to the candidate, sessions too"

    def at_most_seconds(self) -> float | None:
        return 0.0
