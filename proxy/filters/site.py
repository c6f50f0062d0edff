"""Where a filter stands, and what it keeps there from one request, and one generation, to the next."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast
from weakref import WeakValueDictionary

from msgspec import msgpack

T = TypeVar("T")


class States:
    """What filters keep: by where they stand and what their options are, for as long as a generation needs it.

    So a reload that leaves a filter as it is leaves its counts, too.
    """

    def __init__(self) -> None:
        self._kept: WeakValueDictionary[bytes, Any] = WeakValueDictionary()

    def keep(self, key: bytes, make: Callable[[], T]) -> T:
        """What is kept under this key; made where there is nothing."""
        there = self._kept.get(key)
        if there is None:
            there = self._kept[key] = make()
        return cast("T", there)

    def get(self, key: bytes) -> Any:
        """What is kept under this key; None where there is nothing."""
        return self._kept.get(key)

    def items(self) -> Iterator[tuple[bytes, Any]]:
        """Everything that some generation still has."""
        yield from tuple(self._kept.items())


class Classes(Protocol):
    """What users wrote, loaded by whoever runs the process (proxy.plugins.library)."""

    def get(self, use: str) -> type[Any]:
        """The class `module:Class`; ValueError where there is none that can be used."""
        ...

    def make(self, use: str, options: Mapping[str, Any]) -> Any:
        """An instance of it; ValueError where there is none, or the options do not fit."""
        ...

    def version(self, use: str) -> str:
        """What tells its code from that of other generations."""
        ...


@dataclass(frozen=True, slots=True)
class Site:
    """One place in the document where a filter stands.

    `where` names the list it is in (`filters`, `service shop`, `route #1`), `position` counts from 1 within it.
    `prefixes` are what the route's `/prefix/*` match, without slash at their ends. `pools` are those of the `service`
    that the requests go to, None where that is not known. `chance` gives numbers in [0, 1). `workers` is how many
    share the traffic. `plugins` are the classes that users wrote; None where none of them is to be run. `has_flags`:
    are there feature flags?
    """

    prefixes: tuple[bytes, ...] = ()
    where: str = ""
    position: int = 1
    pools: tuple[str, ...] | None = None
    chance: Callable[[], float] = lambda: 0.0
    workers: int = 1
    states: States = field(default_factory=States)
    plugins: Classes | None = None
    service: str = ""
    has_flags: bool = False

    def keep(self, options: object, make: Callable[[], T]) -> T:
        """What the filter with these options keeps here."""
        kind = type(options).__name__
        return self.states.keep(msgpack.encode((self.where, self.position, kind, options)), make)
