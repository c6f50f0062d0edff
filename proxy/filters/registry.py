"""The families of filters and of route actions, and what each of them is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.core.registry import Registry
from proxy.filters.effects import Effect, ReadBody, Reply, Run, Stream
from proxy.filters.site import Site
from proxy.http1.facts import Facts
from proxy.http1.message import ResponseHead
from proxy.telemetry.record import Record

Act = Callable[[Facts], Reply | ReadBody | Stream]


class Standing(Protocol):
    """What wants to know whether the generation in force has it; compared by equality, told in the order here.

    A filter that holds requests back lets them go when it is taken away, which their own generation would not tell it.
    """

    def begin(self) -> None:
        """A generation that has it came into force; said again for each."""
        ...

    def end(self) -> None:
        """The generation that came into force has it no more."""
        ...


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """What a filter does to a request, once per exchange: it may change the head, `path` and `host` in place.

    `on_end` is called once when the exchange has ended, if it went on from here; with `sees_all` also where this very
    filter has answered it or left the client waiting until it went. What came of it is made for who asks. `standing`
    is told of generations.
    """

    on_request: Callable[[Facts], Effect | None]
    on_end: Callable[[Facts, Callable[[], Record]], Run | None] | None = None
    sees_all: bool = False
    standing: Standing | None = None


@dataclass(frozen=True, slots=True)
class ResponseFilter:
    """What a filter does to a response, once per exchange: it may change the head in place.

    A Reply takes the response's place; what a Run comes to must be None or a Reply, too.
    """

    on_response: Callable[[Facts, ResponseHead], Reply | Run | None]


@dataclass(frozen=True, slots=True)
class Hooks:
    """A compiled filter; None where it does nothing.

    `chosen` runs when the request filters have, and its pool is known; it may no more wait, or choose another one.
    """

    request: RequestFilter | None = None
    chosen: Callable[[Facts], None] | None = None
    response: ResponseFilter | None = None


class Filter(Protocol):
    """One filter with its options, as in the YAML; options that cannot work are a ValueError with a remedy."""

    def compile(self, site: Site) -> Hooks:
        """The filter as run; ValueError where it cannot work in this place."""
        ...


class Action(Protocol):
    """What a route does instead of leading to a service; bad options are a ValueError with a remedy."""

    def compile(self, site: Site) -> Act:
        """The action as run; ValueError where it cannot work in this place."""
        ...


FILTERS: Final[Registry[Filter]] = Registry("filter")
ACTIONS: Final[Registry[Action]] = Registry("action")
