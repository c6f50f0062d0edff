"""The family of match keys: what each of them is, and what it may know of the route it stands in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from proxy.core.registry import Registry
from proxy.http1.facts import Facts

if TYPE_CHECKING:
    from proxy.flags.definitions import FlagSet

Test = Callable[[Facts], bool]


def by_chance(_facts: Facts) -> bytes | None:
    """The identity of a request that has none."""
    return None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a match stands: its route's name, who the route's service says is asking, and the source of chance.

    `identity` gives the sticky identity of a request, or None where it has none (yet). `chance` gives numbers
    in [0, 1). `flags` are those of the configuration; None where it has none.
    """

    route: str | None
    chance: Callable[[], float]
    identity: Callable[[Facts], bytes | None] = by_chance
    flags: "FlagSet | None" = None


class Match(Protocol):
    """One match key with its value, as in the YAML; a value that cannot work is a ValueError with a remedy."""

    def compile(self, place: Place) -> Test:
        """The test to run on every request; ValueError where it cannot work in this place."""
        ...

    def describe(self) -> str:
        """The condition as a phrase: `host is shop.example.com`."""
        ...


MATCHES: Final[Registry[Match]] = Registry("match")
