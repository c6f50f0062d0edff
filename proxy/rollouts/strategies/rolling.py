"""Strategy `rolling`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from proxy.core.units import Seconds
from proxy.rollouts.step import Step
from proxy.rollouts.steps.bake import Bake
from proxy.rollouts.steps.wave import Update, Version, Wave, read_amount
from proxy.rollouts.strategy import STRATEGIES
from proxy.rollouts.waves import waves


@STRATEGIES.register("rolling")
@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """Updates the endpoints of the rollout's `pool` in place, in waves of so many, with a bake after each."""

    update: Update
    waves: str = "25%"
    max_unavailable: str = "25%"
    allow_commands: bool = False
    version: Version | None = None
    bake: Seconds = 60.0
    deadline: Seconds = 30.0
    proven_within: Seconds = 60.0
    otherwise: Literal["pause", "abort"] = "abort"

    def __post_init__(self) -> None:
        waves(("a", "b"), read_amount(self.waves))
        self._wave(())

    def steps(self) -> tuple[Step, ...]:
        """Nothing yet: who is in which wave is known only with the pool."""
        return ()

    def steps_for(self, endpoints: Sequence[str]) -> tuple[Step, ...]:
        """The waves of these endpoints, and a bake after each; ValueError where there are too few."""
        bake: tuple[Step, ...] = (Bake(time=self.bake),) if self.bake else ()
        return tuple(step for each in waves(endpoints, read_amount(self.waves)) for step in (self._wave(each), *bake))

    def _wave(self, endpoints: tuple[str, ...]) -> Wave:
        return Wave(
            endpoints=endpoints,
            update=self.update,
            allow_commands=self.allow_commands,
            max_unavailable=self.max_unavailable,
            version=self.version,
            deadline=self.deadline,
            proven_within=self.proven_within,
            otherwise=self.otherwise,
        )
