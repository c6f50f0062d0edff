"""What is wrong with a configuration, and where."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_LONGEST: Final = 400


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to tell the person who wrote the configuration; its text is always one line.

    `line` and `column` count from 1; 0 where the whole file is meant.
    """

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        hint = f" ({_short(self.hint)})" if self.hint else ""
        return "".join(map(_printable, f"{where}: {_short(self.message)}{hint}"))


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a key or value begins. `line` and `column` count characters from 1; 0 stands for the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def problem(self, message: str, hint: str = "") -> Problem:
        """A problem here."""
        return Problem(self.file, self.line, self.column, message, hint)


class WrongError(ValueError):
    """A value that is not what belongs here; `hint` says what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @classmethod
    def of(cls, error: ValueError) -> "WrongError":
        """The same from a ValueError whose text is `what is wrong; the remedy`."""
        if isinstance(error, WrongError):
            return error
        message, _, hint = str(error).partition("; ")
        return cls(message, hint)


def tidy(problems: Iterable[Problem]) -> list[Problem]:
    """The problems in the order of the text, each once."""
    return sorted(set(problems))


def _short(text: str) -> str:
    """A message that quotes something huge must still be a line that a person can read."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


def _printable(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
