"""Filter `fault`."""

from dataclasses import dataclass
from typing import Annotated, Final

from proxy.core.units import Unit
from proxy.filters.effects import Effect, Wait, refusal
from proxy.filters.field_checks import require_readable
from proxy.filters.registry import FILTERS, Hooks, RequestFilter
from proxy.filters.site import Site
from proxy.http1.facts import Facts

_CLIENT_LEFT: Final = 499  # what records say of a client that left: an answer like that could not be told from it


@FILTERS.register("fault")
@dataclass(frozen=True, slots=True)
class Fault:
    """Makes trouble, for tests: shows what clients do when a service is slow or fails. Not for real users.

    A `share` of the requests is held back for `delay`, and answered with the status `abort` and the reason `fault`
    where that is given; with both, it waits before it answers. With `header`, only requests that have this field, and,
    with `value`, exactly this value of it.
    """

    delay: Annotated[float, Unit.DURATION] = 0.0
    abort: int | None = None
    share: Annotated[float, Unit.SHARE] = 1.0
    header: str | None = None
    value: str | None = None

    def __post_init__(self) -> None:
        if not self.delay and self.abort is None:
            raise ValueError("fault does nothing; give it a delay such as 2s, or the status to abort with")
        if self.delay < 0:
            raise ValueError("delay is no time; write it like 250ms")
        if self.abort is not None and not 400 <= self.abort <= 599:
            raise ValueError(f"{self.abort} is not a status to abort with; use 400 to 599")
        if self.abort == _CLIENT_LEFT:
            raise ValueError("499 stands in logs for a client that left, and is never sent; use another of 400 to 599")
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"{self.share} is not a share; write it like 10%")
        if self.header is not None:
            require_readable(self.header)
        elif self.value is not None:
            raise ValueError("value needs the header that shall have it")

    def compile(self, site: Site) -> Hooks:
        share, chance, effect = self.share, site.chance, self._effect()
        name = self.header.lower().encode() if self.header is not None else None
        value = self.value.encode() if self.value is not None else None

        def on_request(facts: Facts) -> Effect | None:
            if name is not None:
                found = facts.head.get(name)
                if found is None or value not in (None, found):
                    return None
            return effect if chance() < share else None

        return Hooks(RequestFilter(on_request))

    def _effect(self) -> Effect | None:
        answer = None if self.abort is None else refusal(self.abort, "fault", "a fault that was asked for")
        return Wait(self.delay, answer) if self.delay else answer
