"""Step `smoke`."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import ClassVar, Final, Literal

from proxy.core.regex import compile_regex
from proxy.core.units import Seconds
from proxy.rollouts.step import STEPS, Abort, Act, Answer, Job, Moment, Next, Pause, Stay

_MOST: Final = 1_000
_PATH: Final = re.compile(r"/[!-~]*")
_FIELD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\x00-\x08\x0a-\x1f\x7f]*")  # RFC 9110 §5
_METHOD: Final = re.compile(r"[A-Z][A-Z-]{0,31}")


@STEPS.register("smoke")
@dataclass(frozen=True, slots=True, kw_only=True)
class Smoke:
    """Sends `count` requests straight to each of the candidate's endpoints, whatever the split says.

    Each must be answered with `status` within `timeout`; the body must contain `contains`, as a whole match the regex
    `body` (up to 2 KiB), and as JSON have the values of `expect_json`, whose keys are paths like `checks.db`. What is
    not so ends the rollout, or pauses it with `otherwise: pause`.
    """

    SHORT: ClassVar[str] = "path"

    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    contains: str | None = None
    body: str | None = None
    expect_json: Mapping[str, str] = field(default_factory=dict)
    timeout: Seconds = 5.0
    count: int = 1
    otherwise: Literal["pause", "abort"] = "abort"

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path):
            raise ValueError("a path begins with a slash and has no spaces, like /healthz")
        if not _METHOD.fullmatch(self.method):
            raise ValueError(f"{self.method!r} is not a method; write it like GET")
        for name, value in self.headers.items():
            if not _FIELD.fullmatch(f"{name}: {value}"):
                raise ValueError(f"{name!r} cannot be sent as a header; write it like x-tester: one")
        if not 1 <= self.count <= _MOST:
            raise ValueError(f"count is 1 to {_MOST} requests to each endpoint")
        if self.body is not None:
            compile_regex(self.body)
        if not 100 <= self.status <= 599:
            raise ValueError("status is from 100 to 599")

    def begin(self) -> tuple[Act, ...]:
        options = asdict(self)
        del options["otherwise"]
        return (Job("smoke", "smoke", options),)

    def look(self, moment: Moment) -> Answer:
        result = moment.results.get("smoke")
        if result is None:
            return Stay("smoke tests run")
        if result.ok:
            return Next()
        reason = f"smoke test: {result.text}"
        return Abort(reason) if self.otherwise == "abort" else Pause(reason)

    def describe(self) -> str:
        return f"smoke test: {self.method} {self.path}{f' {self.count} times' if self.count > 1 else ''}"

    def at_most_seconds(self) -> float | None:
        return self.timeout * self.count
