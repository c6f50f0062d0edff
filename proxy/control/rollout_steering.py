"""The wheel of a service: what a rollout sets up in it, through the control's one road, and when it is not its own."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from proxy.control import flag_ramps
from proxy.control.control import Steering, Who
from proxy.control.refusal import Refusal
from proxy.control.rollout_keeping import Live
from proxy.control.rollout_stage import Stage, replace_who
from proxy.control.rollout_telling import Telling
from proxy.control.state import Course, HeldFlag, Shares, same_shares
from proxy.core.units import format_share
from proxy.flags.spec import FlagOverride
from proxy.rollouts.plan import Plan
from proxy.rollouts.run import ended, halted, noted
from proxy.snapshot.document import Plugin

log = logging.getLogger("sluice")

EDITED = "the split was edited in the file; that stands when this is aborted, and resume goes on without it"


class Wheel:
    """Sets splits, routes and mirrors for rollouts, and lets go of their services."""

    def __init__(self, stage: Stage, telling: Telling) -> None:
        self._stage = stage
        self._control = stage.control
        self.telling = telling

    async def set_share(self, live: Live, share: float, who: Who, *, move: bool = False) -> None:
        plan, epoch, step = live.plan, live.run.epoch + 1, live.run.step
        watch = live.seen.watch(epoch=epoch, step=step, share=share, since=self._stage.clock.wall())
        steering = Steering(replace(self.course(live), watch=watch), shares_at(plan, share), move=move)
        await self._control.steer(plan.service, steering, who)
        # Not of the run as it was before: a job may have ended meanwhile.
        live.run = replace(live.run, share=share, epoch=epoch, stage=step)

    async def route(self, live: Live, name: str, matches: Mapping[str, Any]) -> None:
        course = self.course(live)
        routes = {each: plugins for each, plugins in course.routes.items() if each != name}
        if matches:
            routes[name] = tuple(Plugin(kind, {"value": value}) for kind, value in matches.items())
        await self._set_up(live, replace(course, routes=routes))

    async def mirror(self, live: Live, share: float, options: Mapping[str, Any]) -> None:
        mirror = Plugin("mirror", {"pool": live.plan.candidate, "share": share, **options}) if share else None
        await self._set_up(live, replace(self.course(live), mirror=mirror))

    async def set_flag(self, live: Live, key: str, override: FlagOverride, who: Who) -> None:
        await self._control.ramp_flag(live.plan.service, key, override, who)

    async def _set_up(self, live: Live, course: Course) -> None:
        before = self.course(live)
        await self._control.steer(live.plan.service, Steering(course), self.telling.name(live))
        for said, was, now in (("route", before.routes, course.routes), ("mirror", before.mirror, course.mirror)):
            if was != now:
                self.telling.note(live, said, set_up(live.plan, course))

    def course(self, live: Live) -> Course:
        plan = live.plan
        found = self._control.state.courses.get(plan.service)
        return found or Course(plan.name, plan.stable, plan.candidate)

    def is_gone(self, live: Live) -> bool:
        """Is its service, or a pool of it, gone from the file?"""
        return live.plan.service not in self._control.state.courses

    def foreign(self, live: Live) -> str:
        """Why the split, or a flag, is not what the run has set; empty where all is."""
        control = self._control
        return self.split_is_foreign(live) or flag_ramps.foreign(control.file.flags, control.state, self.course(live))

    def split_is_foreign(self, live: Live) -> str:
        """Why the split is not what the run has set; empty where it is."""
        plan = live.plan
        control = self._control
        course = control.state.courses.get(plan.service)
        if course is None:
            return f"the service {plan.service}, or a pool of it, is gone from the file"
        override = control.state.splits.get(plan.service)
        file = next(each.split for each in control.file.services if each.name == plan.service)
        if override is not None and not same_shares(override.file, file):
            return EDITED
        is_ours = same_shares(control.split_of(plan.service), shares_at(plan, live.run.share))
        if course.watch is None or not is_ours:  # also the same split: whoever set it, nothing is counted any more
            return "the split was changed by hand"
        return ""

    async def take_wheel(self, live: Live, who: Who) -> None:
        """The split and the flags are the run's again, whatever was done to them meanwhile."""
        foreign = self.split_is_foreign(live)
        try:
            if foreign or self.course(live).watch is None:
                await self.set_share(live, live.run.share, who)
            await self._take_flags(live, who)
        except Refusal as refusal:
            live.run = halted(live.run, refusal.detail, self._stage.clock.wall())
            return
        if foreign == EDITED:
            text = "the file's split waits: an abort brings it into force, success overrules it"
            live.run = noted(live.run, text, self._stage.clock.wall())
            self.telling.note(live, "edit_waits", text)

    async def _take_flags(self, live: Live, who: Who) -> None:
        control, course = self._control, self.course(live)
        for key in (
            *flag_ramps.changed(control.state, course),
            *flag_ramps.edited(control.file.flags, control.state, course),
        ):
            await self.set_flag(live, key, course.flags[key].value, who)

    def back(self, live: Live, shares: Shares) -> Steering:
        """How all goes back: to this split, and flags to what they were before the run."""
        return Steering(None, shares, move=True, flags=self.flags(live))

    def flags(self, live: Live) -> Mapping[str, HeldFlag]:
        """The flags that the run has set, also once it has let go of its service."""
        course = self._control.state.courses.get(live.plan.service)
        return course.flags if course is not None and course.rollout == live.run.name else live.flags

    def tell_flags(self, live: Live, keys: Iterable[str]) -> None:
        """Say in the run's log how it leaves its flags."""
        for key in keys:
            text = f"flag {key}: {flag_ramps.described(self._control.state, key)}"
            live.run = noted(live.run, text, self._stage.clock.wall())

    async def let_go(self, live: Live, steering: Steering, who: Who) -> None:
        live.flags = dict(self.flags(live))
        try:
            await self._control.steer(live.plan.service, steering, replace_who(who, force=True))
            self.tell_flags(live, live.flags)
        except Refusal as refusal:
            detail = "; ".join((refusal.detail, *refusal.problems))
            log.error("rollout %s lets go: %s", live.run.name, detail)  # noqa: TRY400 - the service is gone
        live.run = ended(live.run, self._stage.clock.wall())

    def caught_up(self, live: Live, course: Course) -> None:
        """A split that was set, and then there was no time to keep that it was."""
        watch, run = course.watch, live.run
        if watch is None or watch.run != live.seen.name or watch.epoch <= run.epoch:
            return
        shares = self._control.split_of(live.plan.service)
        share = shares.get(live.plan.candidate, 0.0)
        live.seen.watch(epoch=watch.epoch, step=watch.step, share=share)
        live.run = replace(run, share=share, epoch=watch.epoch, stage=watch.step)

    async def orphaned(self, service: str, course: Course) -> None:
        """A rollout has this service that nothing is known of any more: it keeps its split, and is free."""
        who = Who("sluice", force=True)
        text = f"nothing is known of rollout {course.rollout} any more; its split stays as it is"
        with suppress(Refusal):
            await self._control.steer(service, Steering(None), who)
        log.error("%s: %s", service, text)
        self._control.note("rollout_lost", who, service=service, text=text)


def set_up(plan: Plan, course: Course) -> str:
    """What goes to the candidate besides its share, in words."""
    carried = [
        f"{name}: {value}"
        for matches in course.routes.values()
        for each in matches
        for name, value in each.options["value"].items()
    ]
    routed = [f"requests with {', '.join(carried)}"] if carried else []
    copied = [f"copies of {format_share(course.mirror.options['share'])} of the requests"] if course.mirror else []
    return f"{' and '.join((*routed, *copied)) or 'nothing'} to {plan.candidate} besides its share"


def shares_at(plan: Plan, share: float) -> Shares:
    return {plan.stable: 1.0 - share, plan.candidate: share}
