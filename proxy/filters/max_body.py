"""Filter `max_body`."""

from dataclasses import dataclass
from typing import Annotated

from proxy.core.units import Unit
from proxy.filters.effects import LimitBody, Reply, refusal
from proxy.filters.registry import FILTERS, Hooks, RequestFilter
from proxy.filters.site import Site
from proxy.http1.facts import Facts
from proxy.http1.message import CHUNKED


@FILTERS.register("max_body")
@dataclass(frozen=True, slots=True)
class MaxBody:
    """Refuses requests whose body is larger than `size`, with 413 and the reason `body_too_large`.

    By Content-Length at once, before any of the body is read or asked for; a chunked body as soon as it is too long,
    and then its upstream never sees its end. Of several limits, a listener's included, the smallest counts.
    """

    size: Annotated[int, Unit.SIZE]

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"{self.size} is not a size; write it like 10MiB, or 0 for no body at all")

    def compile(self, _site: Site) -> Hooks:
        most, limit = self.size, LimitBody(self.size)
        refused = refusal(413, "body_too_large", "the request body is larger than is taken here")

        def on_request(facts: Facts) -> LimitBody | Reply | None:
            length = facts.head.length
            if length < 0:  # none, or chunked
                return limit if length == CHUNKED else None
            return refused if length > most else None

        return Hooks(RequestFilter(on_request))
