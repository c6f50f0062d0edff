"""Jobs of rollouts that are under way: each a task, whose result its run hears of if it still waits for it."""

import asyncio
import logging
from collections.abc import Callable

from msgspec.structs import replace

from proxy.control.refusal import Refusal
from proxy.control.rollout_keeping import Live
from proxy.control.rollout_stage import Stage
from proxy.rollouts.run import noted, with_result
from proxy.rollouts.step import Job, Result
from proxy.rollouts.steps.wave import rollback_of

log = logging.getLogger("sluice")


class Tasks:
    """Begins jobs. `keep` and `look_again` are called when one has ended that a run has waited for."""

    def __init__(self, stage: Stage, keep: Callable[[], None], look_again: Callable[[], None]) -> None:
        self._stage = stage
        self._keep = keep
        self._look_again = look_again

    def begin(self, live: Live, job: Job) -> None:
        if job.name in live.tasks:
            return
        task = asyncio.ensure_future(self._do(live, live.run.number, live.run.step, job))
        live.tasks[job.name] = task

    async def _do(self, live: Live, number: int, step: int, job: Job) -> None:
        try:
            result = await self._stage.jobs.do(job, live.plan)
        except Refusal as refusal:
            result = Result(ok=False, text="; ".join((refusal.detail, *refusal.problems)))
        except Exception as error:
            log.exception("the job %s of rollout %s failed", job.name, live.run.name)
            result = Result(ok=False, text=f"{type(error).__name__}: {error}")
        live.tasks.pop(job.name, None)
        if (live.run.number, live.run.step) == (number, step):
            live.run = with_result(live.run, job.name, result)
            live.run = noted(live.run, f"{job.kind}: {result.text}", self._stage.clock.wall())
            if not live.is_active:
                live.run = replace(live.run, doing="")
                self._keep()
            self._look_again()

    def roll_back(self, live: Live) -> None:
        """What waves have updated is taken back, endpoint by endpoint."""
        job = rollback_of(live.plan.steps, live.run.step, live.run.results)
        if job is not None:
            live.run = replace(live.run, doing="the waves are rolled back")
            self.begin(live, job)


def cancel(live: Live) -> None:
    for task in live.tasks.values():
        task.cancel()
    live.tasks.clear()
