"""Step `header`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.rollouts.step import STEPS, Act, Answer, Moment, Next, RouteTo


@STEPS.register("header")
@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Requests of the service that carry these `headers` and `cookies`, and whose `flags` have these variants, go to
    the candidate, besides its share.

    Until the rollout ends, or a step `header: {}` takes it back. What is chosen so is not judged.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)

    def begin(self) -> tuple[Act, ...]:
        wanted = {"headers": dict(self.headers), "cookies": dict(self.cookies), "flags": dict(self.flags)}
        return (RouteTo("header", {kind: value for kind, value in wanted.items() if value}),)

    def look(self, moment: Moment) -> Answer:  # noqa: ARG002 - the protocol's
        return Next()

    def describe(self) -> str:
        sent = [f"{name}: {value}" for name, value in (*self.headers.items(), *self.cookies.items())]
        asked = ", ".join((*sent, *(f"flag {key} {variant}" for key, variant in self.flags.items())))
        return f"requests with {asked} to the candidate" if asked else "requests by header no longer to the candidate"

    def at_most_seconds(self) -> float | None:
        return 0.0
