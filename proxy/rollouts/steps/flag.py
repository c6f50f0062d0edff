"""Step `flag`."""

from dataclasses import dataclass

from proxy.core.units import Share
from proxy.rollouts.step import STEPS, Act, Answer, Moment, Next, SetFlag


@STEPS.register("flag")
@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """Gives the variant `to` of a feature flag to this `percent` of people: `flag: {key: checkout-v2, percent: 25%}`.

    Without `to` it is the variant `on`, or the one that is true. An abort takes the flag back to what it was before the
    rollout; a kill is never lifted.
    """

    key: str
    percent: Share
    to: str | None = None

    def begin(self) -> tuple[Act, ...]:
        return (SetFlag(self.key, round(self.percent * 100, 6), self.to),)

    def look(self, moment: Moment) -> Answer:  # noqa: ARG002 - it is in force in every worker, or it was refused
        return Next()

    def describe(self) -> str:
        return f"flag {self.key}: {self.percent * 100:.4g} % {self.to or 'on'}"

    def at_most_seconds(self) -> float | None:
        return 0.0
