"""What is wrong with a document, all of it at once."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from proxy.core.registry import BadOptionsError, UnknownKindError

P = ParamSpec("P")
T = TypeVar("T")


class CompileError(Exception):
    """A document that cannot become a snapshot; `problems` are sentences that name the part and a remedy."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Problems:
    """Problems found so far."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, where: str, what: str) -> None:
        """Note a problem of a part of the document."""
        self.found.append(f"{where}: {what}")

    def attempt(self, where: str, make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What `make` makes; None, and a problem of this part, where it refuses."""
        try:
            return make(*args, **kwargs)
        except (ValueError, UnknownKindError) as error:
            # The registry wraps what a plug-in's own check says; the check's words are the better ones.
            cause = error.__cause__.__cause__ if isinstance(error, BadOptionsError) and error.__cause__ else None
            self.add(where, str(cause if isinstance(cause, ValueError) else error))
            return None

    def done(self) -> None:
        """CompileError if there are any."""
        if self.found:
            raise CompileError(self.found)
