"""Regular expressions that a stranger's bytes may be run against.

Python's engine backtracks, so a pattern can take time exponential in its input. Refused when it is written, therefore,
is every shape that does: backreferences, a repeat of varying length inside an unbounded one, and alternatives that may
begin alike inside an unbounded one. Input is cut off at LIMIT, which bounds the rest.
"""

import re
from collections.abc import Callable, Iterator
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

LIMIT: Final = 2048  # bytes; longer input does not match
_WIDE: Final = 32  # a repeat that may vary by more than this is as good as unbounded
_REPEATS: Final = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)


def compile_regex(text: str) -> Callable[[bytes], bool]:
    """A test of whole values, as bytes; ValueError with a remedy where the pattern is bad or may be slow."""
    if not text.isascii():
        raise ValueError(f"regex {text!r} is matched against bytes; write other characters as \\xNN")
    try:
        tree = parser.parse(text.encode())
        fullmatch = re.compile(text.encode()).fullmatch
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"regex {text!r} is not valid: {error}") from None
    problem = next(_problems(tree, unbounded=False), None)
    if problem:
        raise ValueError(f"regex {text!r} may take for ever: {problem}")
    return lambda value: len(value) <= LIMIT and fullmatch(value) is not None


def _problems(tree: Any, *, unbounded: bool) -> Iterator[str]:
    for op, argument in tree:
        if op in (sre.GROUPREF, sre.GROUPREF_EXISTS):
            yield "it refers back to a group; write the group out again"
        elif op in _REPEATS:
            yield from _repeat_problems(*argument, unbounded=unbounded)
        elif op is sre.BRANCH:
            if unbounded and not _begin_apart(argument[1]):
                yield "alternatives inside a repeat must begin with different characters"
            for branch in argument[1]:
                yield from _problems(branch, unbounded=unbounded)
        else:
            for part in _subpatterns(argument):
                yield from _problems(part, unbounded=unbounded)


def _repeat_problems(least: int, most: int, body: Any, *, unbounded: bool) -> Iterator[str]:
    if unbounded and least != most:
        yield "a repeat inside an unbounded repeat; repeat a single class such as [^/]* instead"
    yield from _problems(body, unbounded=unbounded or most - least > _WIDE)


def _subpatterns(argument: Any) -> Iterator[Any]:
    if isinstance(argument, parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple):
        for part in argument:
            yield from _subpatterns(part)


def _begin_apart(branches: list[Any]) -> bool:
    """Whether no two of the branches can begin with the same byte."""
    taken: set[int] = set()
    for branch in branches:
        first = _first_bytes(branch)
        if first is None or first & taken:
            return False
        taken |= first
    return True


def _first_bytes(branch: Any) -> set[int] | None:
    """The bytes that the branch can begin with; None where that is not plain to see."""
    if not len(branch):
        return None
    op, argument = branch[0]
    if op is not sre.LITERAL:
        return None
    return {ord(case) for case in (chr(argument).lower(), chr(argument).upper())}  # a pattern may ignore case
