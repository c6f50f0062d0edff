"""The families of filters and of route actions, and what each of them is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.core.registry import Registry
from proxy.filters.effects import Effect, Reply
from proxy.http1.facts import Facts
from proxy.http1.message import ResponseHead

Act = Callable[[Facts], Reply]


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """What a filter does to a request, once per exchange: it may change the head, `path` and `host` in place."""

    on_request: Callable[[Facts], Effect | None]


@dataclass(frozen=True, slots=True)
class ResponseFilter:
    """What a filter does to a response, once per exchange: it may change the head in place."""

    on_response: Callable[[Facts, ResponseHead], None]


@dataclass(frozen=True, slots=True)
class Hooks:
    """A compiled filter; None where it does nothing."""

    request: RequestFilter | None = None
    response: ResponseFilter | None = None


class Filter(Protocol):
    """One filter with its options, as in the YAML; options that cannot work are a ValueError with a remedy."""

    def compile(self, prefixes: tuple[bytes, ...]) -> Hooks:
        """The filter as run; `prefixes` are what the route's `/prefix/*` match, without slash at their ends.

        ValueError where the filter cannot work in this place.
        """
        ...


class Action(Protocol):
    """What a route does instead of leading to a service; bad options are a ValueError with a remedy."""

    def compile(self, prefixes: tuple[bytes, ...]) -> Act:
        """The action as run; `prefixes` as for a filter. ValueError where it cannot work in this place."""
        ...


FILTERS: Final[Registry[Filter]] = Registry("filter")
ACTIONS: Final[Registry[Action]] = Registry("action")
