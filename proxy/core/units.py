"""Durations, sizes and shares as people write them, and the markers that say which of them an option is.

The grammar is strict ASCII: no sign, no exponent, no underscore, no blank, no digit of another script. Every
refusal is a ValueError that says how to write it.
"""

import re
from enum import Enum
from typing import Annotated, Final


class Unit(Enum):
    """What a number measures; config turns the marker of an annotated field into the parser of its text."""

    DURATION = "duration"
    SIZE = "size"
    SHARE = "share"


Seconds = Annotated[float, Unit.DURATION]
"""A duration in seconds, written `250ms`, `5s`, `10m`, `1h` or `30d`."""

Bytes = Annotated[int, Unit.SIZE]
"""A size in bytes, written `240B`, `64KiB`, `1MiB`, `2GiB` or as a plain integer."""

Share = Annotated[float, Unit.SHARE]
"""A fraction of one, 0 to 1, written `10%` or `0.1`."""

_NUMBER: Final = r"([0-9]{1,12}(?:\.[0-9]{1,18})?)"
_DURATION: Final = re.compile(_NUMBER + r"(ms|s|m|h|d)")
_SIZE: Final = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB)?")
_SHARE: Final = re.compile(_NUMBER + r"%|(0|[01]\.[0-9]{1,18})")

_MOST_SIZE: Final = 2**63 - 1  # bytes: what a message between the processes can hold

_SECONDS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}  # ms is a division: 0.001 is no binary fraction
_BYTES: Final = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1}


def parse_duration(text: object) -> float:
    """Seconds, from `250ms`, `5s`, `1.5m`, `1h`, `30d`. A number without a unit is refused: of what?"""
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{_shown(text)} is not a duration; write it like 250ms, 5s, 10m, 1h or 30d")
    number, unit = found.groups()
    return float(number) / 1000 if unit == "ms" else float(number) * _SECONDS[unit]


def format_duration(seconds: float) -> str:
    """The shortest text that parse_duration reads as exactly these seconds."""
    for unit, size in _SECONDS.items():
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size:.0f}{unit}"
    if seconds and (seconds * 1000).is_integer():
        return f"{seconds * 1000:.0f}ms"
    return f"{_decimal(seconds)}s"


def parse_size(value: object) -> int:
    """Bytes, from `240B`, `64KiB`, `1MiB`, `2GiB` or a whole number of bytes."""
    size = _as_size(value)
    if size is None or not 0 <= size <= _MOST_SIZE:
        raise ValueError(f"{_shown(value)} is not a size; write it like 240B, 64KiB, 1MiB or 2GiB")
    return size


def format_size(size: int) -> str:
    """The shortest text with a unit that parse_size reads as exactly this many bytes."""
    for unit, factor in _BYTES.items():
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


def parse_share(value: object) -> float:
    """A fraction of one, 0 to 1, from `10%` or a number between 0 and 1.

    A bare 1 is refused: one in a hundred and all of it look the same.
    """
    share = _as_share(value)
    if share is None or not 0.0 <= share <= 1.0:
        raise ValueError(f"{_shown(value)} is not a share between 0% and 100%; write it like 10%, 0.5% or 0.1")
    return share


def format_share(share: float) -> str:
    """The percentage that parse_share reads as exactly this fraction, else the fraction itself."""
    percent = f"{_decimal(round(share * 100, 10))}%"
    return percent if parse_share(percent) == share else _decimal(share)


def _as_size(value: object) -> int | None:
    if isinstance(value, str):
        found = _SIZE.fullmatch(value)
        return None if found is None else int(found[1]) * _BYTES[found[2] or "B"]
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _as_share(value: object) -> float | None:
    if isinstance(value, str):
        found = _SHARE.fullmatch(value)
        return None if found is None else float(found[1]) / 100 if found[1] else float(found[2])
    if isinstance(value, int):
        return 0.0 if value == 0 and not isinstance(value, bool) else None
    return value if isinstance(value, float) else None


def _decimal(number: float) -> str:
    """As repr, but without exponent and without a fraction that is zero."""
    return f"{number:.18f}".rstrip("0").rstrip(".") if "e" in repr(number) else repr(number).removesuffix(".0")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
