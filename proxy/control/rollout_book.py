"""The book of rollouts: those of the file, those that were posted, and the runs of both."""

from typing import Final

from msgspec.structs import replace

from proxy.control.cohorts import written
from proxy.control.refusal import Refusal, unknown
from proxy.control.rollout_keeping import Live
from proxy.control.rollout_stage import Stage
from proxy.control.rollout_views import PlanView, RolloutView, discreet_plan, discreet_rollout, plan_view, rollout_view
from proxy.control.views import per_cent
from proxy.rollouts.flag_fit import unfit_flags
from proxy.rollouts.plan import Plan
from proxy.rollouts.planning import plan_of, planned_steps
from proxy.rollouts.run import Run
from proxy.rollouts.spec import RolloutSpec
from proxy.rollouts.states import ACTIVE

MOST_POSTED: Final = 100
"""Rollouts that were posted, at most; the oldest that is not under way makes room."""
_MOST_GONE: Final = 20  # rollouts that are over, and that neither the file nor anybody else has any more


class Book:
    """What rollouts there are. `live` are those that were started once, the newest last; `added` were posted.

    `ended` counts runs that have ended, by name and state.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._control = stage.control
        self.live: dict[str, Live] = {}
        self.added: dict[str, RolloutSpec] = {}
        self.ended: dict[str, dict[str, int]] = {}

    def specs(self) -> dict[str, RolloutSpec]:
        """Every rollout that can be started: the file's, and those that were posted."""
        return {**self.added, **{spec.name: spec for spec in self._control.file.rollouts}}

    def names(self) -> list[str]:
        """Every rollout there is or was."""
        return list({**self.specs(), **self.live})

    def find(self, name: str) -> tuple[RolloutSpec, Live | None]:
        """A rollout, with its run if there is one; Refusal where there is none."""
        live = self.live.get(name)
        spec = self.specs().get(name) or (live.spec if live else None)
        if spec is None:
            raise unknown("rollout", name, self.names())
        return spec, live

    def plan(self, name: str) -> Plan:
        """The pinned plan of a rollout under way, or what a start would make of it now."""
        spec, live = self.find(name)
        return live.plan if live is not None and live.is_active else self.planned(spec)

    def plan_view(self, name: str) -> PlanView:
        """The plan of a rollout as it is shown."""
        return discreet_plan(plan_view(self.plan(name)), self._stage.discreet)

    def view(self, name: str) -> RolloutView:
        """A rollout as it is shown."""
        return discreet_rollout(self._view(name), self._stage.discreet)

    def _view(self, name: str) -> RolloutView:
        spec, live = self.find(name)
        if live is not None:
            shown = live.before or live.run
            return rollout_view(shown, live.plan, self._split(live.plan.service), shown.alarm or None)
        run = Run(name=name)
        try:
            return rollout_view(run, self.planned(spec), self._split(spec.service))
        except Refusal as refusal:
            steps = Plan(
                name=name, service=spec.service, stable=spec.stable, candidate=spec.candidate,
                steps=planned_steps(spec),
            )  # fmt: skip
            return replace(rollout_view(run, steps, self._split(spec.service)), problem=refusal.detail)

    def _split(self, service: str) -> dict[str, float]:
        try:
            return per_cent(self._control.split_of(service))
        except Refusal:  # it is gone from the file
            return {}

    def make_room(self, name: str) -> None:
        """The oldest posted rollout that is not under way goes, once there are too many; 409 where all are."""
        if name in self.added or len(self.added) < MOST_POSTED:
            return
        idle = (each for each in self.added if each not in self.live or not self.live[each].is_active)
        oldest = next(idle, None)
        if oldest is None:
            raise Refusal(409, f"{MOST_POSTED} posted rollouts are under way; end one of them first")
        del self.added[oldest]
        self.live.pop(oldest, None)

    def forget(self) -> None:
        """The oldest of those that are over and stand nowhere any more go, once there are too many."""
        specs = self.specs()
        gone = [name for name, live in self.live.items() if not live.is_active and name not in specs]
        for name in gone[: max(len(gone) - _MOST_GONE, 0)]:
            del self.live[name]
            self.ended.pop(name, None)

    def planned(self, spec: RolloutSpec) -> Plan:
        service = self._control.service(spec.service)
        try:
            pools = {pool.name: written(pool) for pool in self._control.wanted_service(service.name).pools}
            plan = plan_of(spec, pools, self._control.split_of(spec.service))
        except ValueError as error:
            raise Refusal(409, f"rollout {spec.name}: {error}") from error
        wrong = next(unfit_flags(plan.steps, self._control.flag_board.defined(self._control.file)), None)
        if wrong is not None:
            raise Refusal(409, f"rollout {spec.name}: step {wrong[0]}: {wrong[1]}")
        return plan

    def refuse_other(self, service: str, live: Live | None, run: Run | None = None) -> None:
        """409 where another rollout has the service."""
        others = (each for each in self.live.values() if each is not live and each.is_active)
        other = next((each for each in others if each.plan.service == service), None)
        if other is not None and (run is None or run.state in ACTIVE or (live and live.run.state == "succeeded")):
            raise Refusal(409, f"service {service} is with rollout {other.run.name} ({other.run.state}); end that")
