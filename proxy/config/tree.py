"""A configuration as it was written: mappings, lists and scalars that know their place.

They are dicts, lists and strings, so that validation takes them as they are. A scalar is its text as written; what it
means in YAML 1.2 is its `value`.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from proxy.config.problems import Place

# YAML 1.2.2 §10.3.2, the core schema: `on`, `yes` and `1:30` are text, `012` is twelve.
_NULL: Final = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
# Python converts no more than 4,300 digits; nothing here needs more than a few.
_INT: Final = re.compile(r"[-+]?[0-9]{1,300}")
_OCTAL: Final = re.compile(r"0o[0-7]{1,300}")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]{1,300}")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]{1,300}|[0-9]{1,300}(?:\.[0-9]{0,300})?)(?:[eE][-+]?[0-9]{1,9})?")
_SPECIAL: Final = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(?:nan|NaN|NAN)")

SECRET: Final = "***"  # noqa: S105 - what is shown instead of one

Value = str | int | float | bool | None


class Scalar(str):
    """A text with its place. `plain`: written without quotes. `secret`: it came, in part, from a variable.

    `missing`: it has no content that could be judged, which has been or will be reported.
    """

    __slots__ = ("missing", "place", "plain", "secret")

    place: Place
    plain: bool
    secret: bool
    missing: bool

    @classmethod
    def at(cls, place: Place, text: str, *, plain: bool = True, secret: bool = False) -> "Scalar":
        """The scalar of this text; an empty plain one is missing."""
        scalar = cls(text)
        scalar.place = place
        scalar.plain = plain
        scalar.secret = secret
        scalar.missing = plain and not text
        return scalar

    @property
    def value(self) -> Value:
        """What it means by the core schema of YAML 1.2; quoted, it is always a text."""
        return core_value(str(self)) if self.plain else str(self)


class Mapping(dict[str, Any]):
    """Keys as written, with their values. `keys_` has the keys as scalars."""

    __slots__ = ("keys_", "place")

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.keys_: dict[str, Scalar] = {}

    def put(self, key: Scalar, value: "Tree") -> None:
        """Add a key that is not there yet."""
        self[key] = value
        self.keys_[str(key)] = key

    def section(self, key: str) -> "Mapping":
        """The mapping under this key; an empty one where there is something else, or nothing."""
        value = self.get(key)
        return value if isinstance(value, Mapping) else Mapping(self.place)

    def sequence(self, key: str) -> "Sequence":
        """The list under this key; an empty one where there is something else, or nothing."""
        value = self.get(key)
        return value if isinstance(value, Sequence) else Sequence(self.place)

    def scalar(self, key: str) -> "Scalar | None":
        """The scalar under this key; None where there is something else, nothing, or no content."""
        value = self.get(key)
        return value if isinstance(value, Scalar) and not value.missing else None

    def sections(self) -> "Iterator[tuple[Scalar, Mapping]]":
        """Every key whose value is a mapping, with that mapping."""
        return ((key, self[name]) for name, key in self.keys_.items() if isinstance(self[name], Mapping))


class Sequence(list[Any]):
    """Values in their order."""

    __slots__ = ("place",)

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place

    def mappings(self) -> Iterator[Mapping]:
        """Every value that is a mapping."""
        return (value for value in self if isinstance(value, Mapping))


Tree = Mapping | Sequence | Scalar


def core_value(text: str) -> Value:
    """The meaning of a plain scalar by the core schema of YAML 1.2."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    number = _integer(text)
    return _floating(text) if number is None else number


def _integer(text: str) -> int | None:
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text, 0)
    return int(text, 0) if _HEX.fullmatch(text) else None


def _floating(text: str) -> float | str:
    if _FLOAT.fullmatch(text):
        return float(text)
    special = _SPECIAL.fullmatch(text)
    if special is None:
        return text
    return float(f"{special[1]}inf") if special[2] else float("nan")


def plain_data(tree: Tree) -> Any:
    """The same as ordinary dicts, lists and values."""
    if isinstance(tree, Scalar):
        return tree.value
    if isinstance(tree, Mapping):
        return {key: plain_data(value) for key, value in tree.items()}
    return [plain_data(value) for value in tree]


def scalars(tree: Tree) -> Iterator[Scalar]:
    """Every scalar of the tree, keys included."""
    if isinstance(tree, Scalar):
        yield tree
        return
    if isinstance(tree, Mapping):
        yield from tree.keys_.values()
    for value in tree.values() if isinstance(tree, Mapping) else tree:
        yield from scalars(value)


def shown(value: object) -> str:
    """A value for a message: quoted, shortened, and never a secret."""
    if isinstance(value, Scalar):
        return SECRET if value.secret else _shortened(repr(str(value)))
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, Sequence) else _shortened(repr(value))


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
