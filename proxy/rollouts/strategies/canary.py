"""Strategy `canary`."""

from dataclasses import dataclass

from proxy.core.units import Seconds, Share
from proxy.rollouts.step import Step
from proxy.rollouts.steps.bake import Bake
from proxy.rollouts.steps.split import Split
from proxy.rollouts.strategy import STRATEGIES


@STRATEGIES.register("canary")
@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """More and more of the traffic, with a bake after each of the `shares`; the last one watches all of it."""

    shares: tuple[Share, ...] = (0.05, 0.25, 0.5, 1.0)
    bake: Seconds = 600.0

    def __post_init__(self) -> None:
        if not self.shares or list(self.shares) != sorted(set(self.shares)) or not 0 < self.shares[0] <= 1:
            raise ValueError("shares go up from step to step, like [5%, 25%, 50%, 100%]")

    def steps(self) -> tuple[Step, ...]:
        """A split and a bake for each."""
        return tuple(step for share in self.shares for step in (Split(share), Bake(time=self.bake)))
