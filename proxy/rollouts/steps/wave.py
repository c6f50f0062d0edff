"""Step `wave`."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from proxy.core.units import Seconds
from proxy.core.url import is_url
from proxy.rollouts.step import STEPS, Abort, Act, Answer, Job, Moment, Next, Pause, Result, SetSplit, Stay
from proxy.rollouts.waves import Amount, amount_of

_SHOWN: Final = 8  # endpoints of a wave, in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What updates an endpoint: a webhook, which is told of it, or a command, in which `{endpoint}` is its address."""

    hook: str | None = None
    command: tuple[str, ...] = ()
    timeout: Seconds = 60.0

    def __post_init__(self) -> None:
        if (self.hook is None) == (not self.command):
            raise ValueError("an update is a hook or a command; write hook: https://ci.example.com/update, for example")
        if self.hook is not None and not is_url(self.hook):
            raise ValueError("a hook is a URL; write it like https://ci.example.com/update")
        if not 0 < self.timeout <= 3600:
            raise ValueError("an update may take up to 1h; write a timeout like 60s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What an updated endpoint must say of itself under `path`: in this `header` exactly, or somewhere in the body."""

    value: str
    path: str = "/"
    header: str | None = None

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ValueError("a path begins with a slash, like /version")
        if not self.value:
            raise ValueError("every answer contains nothing; write the new version as value")


@STEPS.register("wave")
@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Updates these endpoints in place: each is drained, updated, well again and, where asked for, of the new

    `version` before it is restored. The strategy `rolling` writes the waves.
    """

    endpoints: tuple[str, ...]
    update: Update
    allow_commands: bool = False
    max_unavailable: str = "25%"
    version: Version | None = None
    deadline: Seconds = 30.0
    proven_within: Seconds = 60.0
    otherwise: Literal["pause", "abort"] = "abort"

    def __post_init__(self) -> None:
        if self.update.command and not self.allow_commands:
            raise ValueError("commands run only where that is allowed; write allow_commands: true, or use a hook")
        amount_of(read_amount(self.max_unavailable), 100, up=False)
        if self.deadline <= 0 or self.proven_within <= 0:
            raise ValueError("deadline and proven_within are times to wait; write them like 30s")

    def begin(self) -> tuple[Act, ...]:
        """The split stays as it is, and a new time begins for the judge."""
        return (SetSplit(1.0),)

    def look(self, moment: Moment) -> Answer:
        failed = [each for each in moment.results.values() if not each.ok]
        if failed:
            reason = f"the wave failed: {failed[0].text}"
            return Pause(reason) if self.otherwise == "pause" else Abort(reason)
        done = sum(_named("back", each) in moment.results for each in self.endpoints)
        if done == len(self.endpoints):
            return Next()
        acts = tuple(self._next(each, moment.results) for each in self.endpoints)
        return Stay(f"{done} of {len(self.endpoints)} endpoints are updated", done / len(self.endpoints), acts)

    def _next(self, address: str, results: Any) -> Job:
        kind = "back" if _named("update", address) in results else "update"
        return Job(_named(kind, address), kind, {"address": address, "wave": asdict(self)})

    def describe(self) -> str:
        more = len(self.endpoints) - _SHOWN
        shown = ", ".join(self.endpoints[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        return f"update {shown}; at most {self.max_unavailable} out at once"

    def at_most_seconds(self) -> float | None:
        each = 2 * self.deadline + self.update.timeout + 2 * self.proven_within
        return each * len(self.endpoints)


def read_amount(text: str) -> Amount:
    """A number of endpoints as it is written: 2 or 25%."""
    return int(text) if re.fullmatch("[0-9]{1,6}", text) else text


def rollback_of(steps: Sequence[object], step: int, results: dict[str, Result]) -> Job | None:
    """What takes back the waves up to this step; None where there are none, or that is done."""
    waves = [each for each in steps[: step + 1] if isinstance(each, Wave)]
    if not waves or ROLLBACK in results:
        return None
    addresses = [address for wave in waves for address in wave.endpoints]
    return Job(ROLLBACK, ROLLBACK, {"addresses": addresses, "wave": asdict(waves[-1])})


ROLLBACK: Final = "rollback"


def _named(kind: str, address: str) -> str:
    return f"{kind} {address}"
