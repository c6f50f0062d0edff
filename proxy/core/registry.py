"""Plug-ins by name: a family of frozen dataclasses; fields are the options, docstrings the documentation.

A plug-in is registered where it is defined, so a family is complete once its package is imported. A name that
is taken twice fails at import, a name that nobody has fails with a suggestion.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class UnknownKindError(LookupError):
    """No plug-in of this name. `near` is the registered name that was probably meant, or None."""

    def __init__(self, what: str, kind: str, names: tuple[str, ...]) -> None:
        self.near = _nearest(kind, names)
        super().__init__(f"unknown {what} {kind!r}{_remedy(self.near, names)}")


class BadOptionsError(ValueError):
    """The options do not fit the plug-in they are for."""


class Registry(Generic[T]):
    """The plug-ins of one family, by name, in the order they were registered.

    `what` is what one of them is called in messages ("balancer"); T is the protocol that all of them satisfy.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._kinds: dict[str, type[T]] = {}

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """A class decorator that adds a dataclass under `name`; it stands above @dataclass."""

        def add(cls: type[T]) -> type[T]:
            if name in self._kinds:
                raise ValueError(f"{self.what} {name!r} is registered twice")
            if not is_dataclass(cls):
                raise TypeError(f"{self.what} {name!r} is not a dataclass: its fields would be the options")
            self._kinds[name] = cls
            return cls

        return add

    def get(self, name: str) -> type[T]:
        """The dataclass registered as `name`; UnknownKindError where there is none."""
        try:
            return self._kinds[name]
        except KeyError:
            raise UnknownKindError(self.what, name, self.names()) from None

    def build(self, kind: str, options: Mapping[str, Any]) -> T:
        """The plug-in `kind`, made of plain data; UnknownKindError or BadOptionsError where it cannot be."""
        cls = self.get(kind)
        self._refuse_unknown(kind, cls, options)
        try:
            return msgspec.convert(dict(options), cls, strict=True)
        except msgspec.ValidationError as error:
            raise BadOptionsError(f"{self.what} {kind!r}: {error}") from error

    def names(self) -> tuple[str, ...]:
        """Every registered name, in order of registration."""
        return tuple(self._kinds)

    def __iter__(self) -> Iterator[tuple[str, type[T]]]:
        return iter(self._kinds.items())

    def __contains__(self, name: object) -> bool:
        return name in self._kinds

    def __len__(self) -> int:
        return len(self._kinds)

    def _refuse_unknown(self, kind: str, cls: Any, options: Mapping[str, Any]) -> None:
        # msgspec lets keys pass that a dataclass has no field for.
        known = tuple(field.name for field in fields(cls))
        for key in options:
            if key not in known:
                raise BadOptionsError(
                    f"{self.what} {kind!r} has no option {key!r}{_remedy(_nearest(key, known), known)}"
                )


def _nearest(name: str, names: tuple[str, ...]) -> str | None:
    return next(iter(get_close_matches(name, names, n=1)), None)


def _remedy(near: str | None, names: tuple[str, ...]) -> str:
    if near is not None:
        return f"; did you mean {near!r}?"
    return f"; there is {', '.join(names)}" if names else "; there is none"
