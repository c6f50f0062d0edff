"""How JsonLogic sees values: truth, numbers, text and equality as JavaScript has them (jsonlogic.com/truthy.html).

Deep values cost no stack: text of lists is bounded by DEPTH, comparison of two containers is of identity.
"""

import math
import re
from typing import Any

DEPTH = 64  # levels of a context, a rule or a value that is written as text or hashed
TEXT = 65_536  # characters that `cat` makes at most
ITEMS = 1_000  # items of a list that an operator walks or makes at most; both keep `reduce` from growing without end
EXACT = 1 << 53  # integers above are floats, as in JSON for everybody else
_PREFIX = re.compile(r"\s*([+-]?(?:Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?))")
_WHOLE = re.compile(_PREFIX.pattern + r"\s*")


class RuleError(ValueError):
    """A rule that cannot be compiled, or whose work on this context is out of bounds."""


def truthy(value: Any) -> bool:
    """Whether a value counts as true: all but null, false, 0, NaN, "" and []; an empty object is true."""
    if type(value) is dict:
        return True
    return bool(value) and value == value  # noqa: PLR0124  # NaN alone differs from itself


def number(value: Any) -> int | float:
    """The value as a number: null is 0, text is parsed whole, what is none is NaN."""
    if isinstance(value, (int, float)):
        return exact(value)
    if value is None:
        return 0
    if type(value) is dict:
        return math.nan
    text = value if isinstance(value, str) else text_of(value)
    if not text.strip():
        return 0
    return exact(float(text)) if _WHOLE.fullmatch(text) else math.nan


def leading_number(value: Any) -> int | float:
    """The number that a value's text begins with, NaN where there is none: JavaScript's parseFloat."""
    if type(value) is int or type(value) is float:
        return exact(value)
    found = _PREFIX.match(text_of(value)) if value is not None else None
    return exact(float(found[1])) if found else math.nan


def exact(value: float) -> int | float:
    """An int for what is whole and exactly representable in a double, else a float; a bool is 0 or 1."""
    if isinstance(value, int):
        return int(value) if -EXACT <= value <= EXACT else _double(value)
    return int(value) if value.is_integer() and -EXACT <= value <= EXACT else value


def _double(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def text_of(value: Any, depth: int = 0) -> str:
    """The value as text: null is "" inside lists and "null" alone, 1.0 is "1", a list joins by commas."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return _digits(exact(value))
    if isinstance(value, list):
        if depth == DEPTH:
            raise RuleError(f"a list is nested deeper than {DEPTH} levels")
        return ",".join("" if item is None else text_of(item, depth + 1) for item in value)
    return "[object Object]"


def _digits(value: float) -> str:
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return "NaN" if math.isnan(value) else repr(value)


def loosely_equal(left: Any, right: Any) -> bool:
    """JavaScript's ==: null equals null alone, mixed kinds are compared as numbers or text."""
    if left is None or right is None:
        return left is right
    if type(left) is type(right):
        return strictly_equal(left, right)
    nested = isinstance(left, (list, dict)), isinstance(right, (list, dict))
    if all(nested):
        return False
    if any(nested) and (isinstance(left, str) or isinstance(right, str)):
        return text_of(left) == text_of(right)
    return number(left) == number(right)


def strictly_equal(left: Any, right: Any) -> bool:
    """JavaScript's ===: same kind, same value; lists and objects equal only themselves."""
    if isinstance(left, (list, dict)) or isinstance(right, (list, dict)):
        return left is right
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def ordered(left: Any, right: Any) -> tuple[Any, Any]:
    """The two as what < compares: text with text, else numbers, where NaN is neither less nor more."""
    if isinstance(left, str) and isinstance(right, str):
        return left, right
    return number(left), number(right)
