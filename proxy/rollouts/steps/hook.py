"""Step `hook`."""

from dataclasses import asdict, dataclass
from typing import ClassVar

from proxy.core.units import Seconds
from proxy.core.url import is_url
from proxy.rollouts.step import STEPS, Act, Answer, Job, Moment, Next, Otherwise, Stay, otherwise


@STEPS.register("hook")
@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """Asks a webhook: a 2xx lets it go on, anything else after `retries` is what stands under `otherwise`."""

    SHORT: ClassVar[str] = "url"

    url: str
    timeout: Seconds = 10.0
    retries: int = 2
    otherwise: Otherwise = "pause"

    def __post_init__(self) -> None:
        if not is_url(self.url):
            raise ValueError("a hook is a URL; write it like https://ci.example.com/gate")
        if not 0 <= self.retries <= 6:
            raise ValueError("a hook is tried again 0 to 6 times")

    def begin(self) -> tuple[Act, ...]:
        options = asdict(self)
        del options["otherwise"]
        return (Job("hook", "hook", options),)

    def look(self, moment: Moment) -> Answer:
        result = moment.results.get("hook")
        if result is None:
            return Stay("waits for the hook")
        return Next() if result.ok else otherwise(self.otherwise, f"the hook does not agree: {result.text}")

    def describe(self) -> str:
        return "ask a hook"

    def at_most_seconds(self) -> float | None:
        return self.timeout * (self.retries + 1) + float(2**self.retries - 1)
