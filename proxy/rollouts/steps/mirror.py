"""Step `mirror`."""

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from proxy.core.units import Seconds, Share, format_duration, format_share
from proxy.rollouts.step import STEPS, Abort, Act, Answer, Job, MirrorTo, Moment, Next, Pause, Result, Stay

_BEFORE: Final = "before"
_AFTER: Final = "after"
_NO_MORE: Final = (MirrorTo(0.0),)  # only once all is counted: what a worker has counted goes with the mirror


@STEPS.register("mirror")
@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Copies a `share` of the requests to the candidate for a `time`; nobody gets its answers: `mirror: 10m`.

    The copies may fail by `worse_by` more than the requests that they are copies of; otherwise what stands under
    `otherwise` is done. Only GET, HEAD and OPTIONS are copied, without cookies and credentials (see the filter).
    """

    SHORT: ClassVar[str] = "time"

    time: Seconds
    share: Share = 1.0
    worse_by: Share = 0.01
    otherwise: Literal["pause", "abort"] = "pause"

    def __post_init__(self) -> None:
        if not self.share:
            raise ValueError("there is nothing to compare; copy a share like 100%")

    def begin(self) -> tuple[Act, ...]:
        return (Job(_BEFORE, "mirrored", {}), MirrorTo(self.share))

    def look(self, moment: Moment) -> Answer:
        before, after = moment.results.get(_BEFORE), moment.results.get(_AFTER)
        if before is None:
            return Stay("the mirror is being set up")
        if moment.elapsed < self.time:
            return Stay("requests are copied to the candidate", moment.elapsed / self.time)
        if after is None:
            return Stay("the copies are compared", 1.0, (Job(_AFTER, "mirrored", {}),))
        return self._judged(before, after, moment)

    def _judged(self, before: Result, after: Result, moment: Moment) -> Answer:
        seen = {name: after.numbers[name] - before.numbers.get(name, 0) for name in after.numbers}
        copies, real = seen.get("copies", 0), seen.get("requests", 0)
        if copies < 1 or real < 1:
            return _stopped("nothing was copied", aborts=moment.on_no_data == "abort")
        shadow, truth = seen.get("bad_copies", 0) / copies, seen.get("bad_requests", 0) / real
        if shadow <= truth + self.worse_by:
            return Next(_NO_MORE)
        text = f"{shadow:.2%} of {copies:.0f} copies failed, and {truth:.2%} of the requests"
        return _stopped(text, aborts=self.otherwise == "abort")

    def describe(self) -> str:
        return f"copy {format_share(self.share)} of the requests to the candidate for {format_duration(self.time)}"

    def at_most_seconds(self) -> float | None:
        return self.time


def _stopped(text: str, *, aborts: bool) -> Answer:
    return Abort(text) if aborts else Pause(text, _NO_MORE, anew=True)
