"""A plan: what a rollout is to do, as it is pinned when it starts."""

from dataclasses import dataclass, field
from typing import Literal

from proxy.rollouts.judging import Judging
from proxy.rollouts.step import OnNoData, Step
from proxy.telemetry.evidence import cohort_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Addresses that are told: `before` the first step and `after_step` each; these two must answer 2xx to go on.

    `on_abort` and `events` are told and not waited for.
    """

    before: str | None = None
    after_step: str | None = None
    on_abort: str | None = None
    events: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A rollout of `service` from the pool `stable` to `candidate`, both by name here, by `steps`.

    In a rolling update both are the one pool.

    `gradual` is how many seconds an automatic abort takes to bring the traffic back, 0 for at once.
    """

    name: str
    service: str
    stable: str
    candidate: str
    steps: tuple[Step, ...]
    judge: Judging = field(default_factory=Judging)
    on_no_data: OnNoData = "wait"
    gradual: float = 0.0
    on_success: Literal["override", "persist"] = "override"
    hooks: Hooks = field(default_factory=Hooks)

    @property
    def is_rolling(self) -> bool:
        """Is one pool updated in place? It is stable and candidate then."""
        return self.stable == self.candidate

    @property
    def sides(self) -> tuple[str, str]:
        """What the two are called that are compared: the pools or, in a rolling update, the cohorts of the one."""
        if not self.is_rolling:
            return self.stable, self.candidate
        return cohort_name(self.stable, is_updated=False), cohort_name(self.stable, is_updated=True)
