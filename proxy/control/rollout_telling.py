"""Who hears of a rollout: the journal, its webhook for events, and nobody of what is secret."""

from proxy.control.control import Who
from proxy.control.rollout_keeping import Live
from proxy.control.rollout_stage import Stage


class Telling:
    """Says what becomes of rollouts."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._control = stage.control

    def name(self, live: Live) -> Who:
        return Who(f"rollout {live.run.name}", reason=self._stage.discreet(live.run.reason) or None)

    def say(self, live: Live, who: Who, said: str) -> None:
        run = live.run
        text = self._stage.discreet(f"{run.name} {run.state}{f': {run.reason}' if run.reason else ''}")
        self._control.note(f"rollout_{said}", who, service=live.plan.service, text=text)
        self.tell(live.plan.hooks.events, live, said)

    def note(self, live: Live, said: str, text: str) -> None:
        text = self._stage.discreet(text)
        who = self.name(live)
        self._control.note(f"rollout_{said}", who, service=live.plan.service, text=f"{live.run.name}: {text}")
        self.tell(live.plan.hooks.events, live, said, text)

    def tell(self, url: str | None, live: Live, said: str, text: str = "") -> None:
        if url is None:
            return
        run, plan = live.run, live.plan
        reason = self._stage.discreet(text or run.reason)
        event = {
            "text": f"{run.name}: {said.replace('_', ' ')}{f' ({reason})' if reason else ''}",
            "rollout": run.name,
            "service": plan.service,
            "event": said,
            "state": run.state,
            "reason": reason,
            "step": run.step,
            "verdict": {"kind": run.verdict.kind, "sentence": run.verdict.sentence},
        }
        self._stage.jobs.tell(url, event)
