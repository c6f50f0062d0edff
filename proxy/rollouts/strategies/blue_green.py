"""Strategy `blue_green`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.core.units import Seconds
from proxy.rollouts.step import Step
from proxy.rollouts.steps.approve import Approve
from proxy.rollouts.steps.bake import Bake
from proxy.rollouts.steps.drain import Drain
from proxy.rollouts.steps.flip import Flip
from proxy.rollouts.steps.header import Header
from proxy.rollouts.steps.smoke import Smoke
from proxy.rollouts.strategy import STRATEGIES


@STRATEGIES.register("blue_green")
@dataclass(frozen=True, slots=True, kw_only=True)
class BlueGreen:
    """Tests the other colour in private, flips once somebody approves, bakes while the old one stands by, empties that.

    `smoke` are the options of the step; requests with the headers under `preview` reach the new colour before the flip.
    """

    smoke: Smoke = field(default_factory=Smoke)
    preview: Mapping[str, str] = field(default_factory=dict)
    approve: bool = True
    bake: Seconds = 600.0
    drain: Seconds = 30.0

    def steps(self) -> tuple[Step, ...]:
        """Smoke, preview, approval, flip, bake, drain."""
        preview: tuple[Step, ...] = (Header(headers=self.preview),) if self.preview else ()
        approve: tuple[Step, ...] = (Approve(),) if self.approve else ()
        return (self.smoke, *preview, *approve, Flip(), Bake(time=self.bake), Drain(deadline=self.drain))
