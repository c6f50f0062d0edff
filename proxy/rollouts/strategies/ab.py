"""Strategy `ab`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.rollouts.step import Step
from proxy.rollouts.steps.approve import Approve
from proxy.rollouts.steps.header import Header
from proxy.rollouts.steps.split import Split
from proxy.rollouts.strategy import STRATEGIES


@STRATEGIES.register("ab")
@dataclass(frozen=True, slots=True, kw_only=True)
class Ab:
    """Requests with these `headers` or `cookies`, or whose `flags` have these variants, go to the candidate until
    somebody decides: nothing is promoted by itself.

    promote gives everybody the candidate, abort nobody.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.headers and not self.cookies and not self.flags:
            raise ValueError("ab needs a cohort; write cookies: {group: b}, for example")

    def steps(self) -> tuple[Step, ...]:
        """The cohort, a person's decision, and everybody."""
        return (Header(headers=self.headers, cookies=self.cookies, flags=self.flags), Approve(), Split(1.0))
