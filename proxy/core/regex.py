"""Regular expressions that a stranger's bytes may be run against.

Python's engine backtracks, so a pattern can take time exponential in its input. Refused when it is written, therefore,
is what can: backreferences, a repeat of varying length inside a repeat, alternatives that may begin alike inside a
repeat, and more than two `.*`. What is left takes at most a power of the input's length, which LIMIT bounds.
"""

import re
from collections.abc import Callable, Iterator
from itertools import zip_longest
from re import _compiler as compiler  # type: ignore[attr-defined]
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

LIMIT: Final = 2048  # bytes; longer input does not match
_WIDE: Final = 32  # a repeat that may vary by more than this is as good as unbounded
_MANY: Final = 16  # repeats of a repeat that varies a little
_FEW: Final = 2  # repeats of a wide one
_LOOSE: Final = 2  # wide repeats that may end anywhere: with 3 of them 2 KiB take 2.6 s, with 2 of them 8 ms
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
    problem = next(_problems(tree, times=1), None)
    if problem is None and len(list(_loose_repeats(tree, last=True))) > _LOOSE:
        problem = "more than two `.*` before its end; write [^/]*/ where one element is meant"
    if problem:
        raise ValueError(f"regex {text!r} may take for ever: {problem}")
    return lambda value: len(value) <= LIMIT and fullmatch(value) is not None


def _problems(tree: Any, *, times: int) -> Iterator[str]:
    """What is wrong with a part of the pattern that may be repeated so many times."""
    for op, argument in tree:
        if op in (sre.GROUPREF, sre.GROUPREF_EXISTS):
            yield "it refers back to a group; write the group out again"
        elif op in _REPEATS:
            yield from _repeat_problems(*argument, times=times)
        elif op is sre.BRANCH and times > _MANY and not _begin_apart(argument[1]):
            yield "alternatives inside a repeat must begin with different characters"
        else:
            for part in _subpatterns(argument):
                yield from _problems(part, times=times)


def _repeat_problems(least: int, most: int, body: Any, *, times: int) -> Iterator[str]:
    if most != least and times > (_FEW if most - least > _WIDE else _MANY):
        yield "a repeat of varying length inside a repeat; repeat a single class such as [^/]* instead"
    yield from _problems(body, times=times * max(int(most), 1))


def _loose_repeats(tree: Any, *, last: bool) -> Iterator[str]:
    """Each wide repeat that may end at many places: followed neither by what it can't repeat nor by the end."""
    items = list(tree)
    for (op, argument), after in zip_longest(items, items[1:]):
        if op in _REPEATS:
            least, most, body = argument
            ends = last if after is None else _stops(body, *after)
            if most - least > _WIDE and not ends:
                yield "repeat"
            yield from _loose_repeats(body, last=False)
        else:
            for part in _subpatterns(argument):
                yield from _loose_repeats(part, last=last and after is None)


def _stops(body: Any, op: Any, argument: Any) -> bool:
    """Whether a repeat of this body must end where this item stands."""
    if op is not sre.LITERAL or len(body) != 1 or body[0][0] not in (sre.IN, sre.NOT_LITERAL, sre.LITERAL):
        return False
    return compiler.compile(body).match(bytes((argument,))) is None


def _subpatterns(argument: Any) -> Iterator[Any]:
    if isinstance(argument, parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple | list):
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
