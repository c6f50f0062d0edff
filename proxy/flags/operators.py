"""JsonLogic's operators of logic, comparison, arithmetic and text."""

import math
import operator as compare
from collections.abc import Callable
from typing import Any

from proxy.flags.coercion import (
    TEXT,
    RuleError,
    exact,
    leading_number,
    loosely_equal,
    number,
    ordered,
    strictly_equal,
    text_of,
    truthy,
)
from proxy.flags.logic import Compiler, Operator, Rule, constant, operator


@operator("if", "?:")
def _if(compiler: Compiler, arguments: Any) -> Rule:
    rules = compiler.each(arguments)
    note = compiler.note
    last = rules.pop() if len(rules) % 2 else constant(None)
    pairs = list(zip(rules[::2], rules[1::2], strict=True))
    if note is not None:
        return _told(pairs, last, note)
    if len(pairs) == 1:
        return _either(*pairs[0], last)

    def choose(data: Any) -> Any:
        for condition, outcome in pairs:
            if truthy(condition(data)):
                return outcome(data)
        return last(data)

    return choose


def _either(condition: Rule, outcome: Rule, last: Rule) -> Rule:
    def choose(data: Any) -> Any:
        met = condition(data)
        return outcome(data) if met is True or (met is not False and truthy(met)) else last(data)

    return choose


def _told(pairs: list[tuple[Rule, Rule]], last: Rule, note: Callable[[str], None]) -> Rule:
    def choose(data: Any) -> Any:
        for place, (condition, outcome) in enumerate(pairs, 1):
            if truthy(condition(data)):
                note(f"if: condition {place} of {len(pairs)} holds")
                return outcome(data)
        note(f"if: none of {len(pairs)} conditions holds")
        return last(data)

    return choose


@operator("and")
def _and(compiler: Compiler, arguments: Any) -> Rule:
    rules = compiler.each(arguments)

    def all_of(data: Any) -> Any:
        value = None
        for rule in rules:
            value = rule(data)
            if value is False or (value is not True and not truthy(value)):
                return value
        return value

    return all_of


@operator("or")
def _or(compiler: Compiler, arguments: Any) -> Rule:
    rules = compiler.each(arguments)

    def any_of(data: Any) -> Any:
        value = None
        for rule in rules:
            value = rule(data)
            if value is True or (value is not False and truthy(value)):
                return value
        return value

    return any_of


def _of(function: Callable[..., Any], least: int) -> Operator:
    """An operator that is a function of at least so many values, null for those left out; more are ignored."""

    def make(compiler: Compiler, arguments: Any) -> Rule:
        rules = [*compiler.each(arguments), *[constant(None)] * least][:least]
        if least == 1:
            only = rules[0]
            return lambda data: function(only(data))
        if least == 2:
            left, right = rules
            return lambda data: function(left(data), right(data))
        return lambda data: function(*[rule(data) for rule in rules])

    return make


def _over(function: Callable[[list[Any]], Any]) -> Operator:
    """An operator that is a function of all its values."""

    def make(compiler: Compiler, arguments: Any) -> Rule:
        rules = compiler.each(arguments)
        return lambda data: function([rule(data) for rule in rules])

    return make


def _equals_text(left: Rule, wanted: str, negated: bool) -> Rule:
    def equal(data: Any) -> bool:
        value = left(data)
        if type(value) is str:
            return (value == wanted) is not negated
        return loosely_equal(value, wanted) is not negated

    return equal


def _equality(negated: bool) -> Operator:
    """== and !=; where one side is text in the rule and the other text in the data, nothing is converted."""

    def make(compiler: Compiler, arguments: Any) -> Rule:
        left, right = [*compiler.each(arguments), constant(None), constant(None)][:2]
        wanted = arguments[1] if isinstance(arguments, list) and len(arguments) == 2 else None
        if type(wanted) is str:
            return _equals_text(left, wanted, negated)

        def equal(data: Any) -> bool:
            one, other = left(data), right(data)
            if type(one) is str and type(other) is str:
                return (one == other) is not negated
            return loosely_equal(one, other) is not negated

        return equal

    return make


def _ordering(holds: Callable[[Any, Any], bool]) -> Operator:
    """<, <=, > and >=, the first two also between three values."""

    def pair(one: Any, other: Any) -> bool:
        return holds(*ordered(one, other))

    def make(compiler: Compiler, arguments: Any) -> Rule:
        rules = compiler.each(arguments)
        if len(rules) == 3:
            low, value, high = rules
            return lambda data: pair(low(data), value(data)) and pair(value(data), high(data))
        left, right = [*rules, constant(None), constant(None)][:2]

        def compared(data: Any) -> bool:
            one, other = left(data), right(data)
            return holds(one, other) if type(one) is int and type(other) is int else pair(one, other)

        return compared

    return make


def _minus(compiler: Compiler, arguments: Any) -> Rule:
    rules = compiler.each(arguments)
    if len(rules) == 1:
        return lambda data: exact(-number(rules[0](data)))
    return _of(lambda left, right: exact(number(left) - number(right)), 2)(compiler, arguments)


def _sum(values: list[Any]) -> int | float:
    total: int | float = 0
    for value in values:
        total = exact(total + leading_number(value))
    return total


def _product(values: list[Any]) -> Any:
    if len(values) < 2:
        return values[0] if values else None
    total: int | float = 1
    for value in values:
        total = exact(total * leading_number(value))
    return total


def _quotient(left: Any, right: Any) -> int | float:
    above, below = number(left), number(right)
    if below:
        return exact(above / below)
    return math.nan if not above or above != above else math.copysign(math.inf, above)  # noqa: PLR0124  # NaN


def _remainder(left: Any, right: Any) -> int | float:
    above, below = number(left), number(right)
    return exact(math.fmod(above, below)) if below and not math.isinf(above) else math.nan


def _extreme(best: Callable[..., Any], none: float) -> Callable[[list[Any]], Any]:
    def pick(values: list[Any]) -> Any:
        numbers = [number(value) for value in values]
        if any(math.isnan(value) for value in numbers):
            return math.nan
        return best(numbers, default=none)

    return pick


def _cat(values: list[Any]) -> str:
    made = "".join(["" if value is None else text_of(value) for value in values])
    if len(made) > TEXT:
        raise RuleError(f"cat makes more than {TEXT} characters")
    return made


def _substr(source: Any, start: Any, length: Any) -> str:
    text = text_of(source)
    first = number(start)
    begin = int(first) if math.isfinite(first) else 0
    tail = text[begin:] if begin >= 0 else text[max(len(text) + begin, 0) :]
    if length is None:
        return tail
    size = number(length)
    whole = int(size) if math.isfinite(size) else 0
    return tail[:whole]


def _in(item: Any, among: Any) -> bool:
    if isinstance(among, str):
        return text_of(item) in among
    if not isinstance(among, list):
        return False
    if type(item) is str:
        return item in among
    return any(strictly_equal(item, other) for other in among)


OF: dict[str, tuple[Callable[..., Any], int]] = {
    "===": (strictly_equal, 2),
    "!==": (lambda left, right: not strictly_equal(left, right), 2),
    "!": (lambda value: not truthy(value), 1),
    "!!": (truthy, 1),
    "/": (_quotient, 2),
    "%": (_remainder, 2),
    "in": (_in, 2),
    "substr": (_substr, 3),
    "log": (lambda value: value, 1),
}
for _name, (_function, _least) in OF.items():
    operator(_name)(_of(_function, _least))
for _name, _all in {
    "+": _sum,
    "*": _product,
    "cat": _cat,
    "max": _extreme(max, -math.inf),
    "min": _extreme(min, math.inf),
}.items():
    operator(_name)(_over(_all))
for _name, _holds in {"<": compare.lt, "<=": compare.le, ">": compare.gt, ">=": compare.ge}.items():
    operator(_name)(_ordering(_holds))
operator("==")(_equality(negated=False))
operator("!=")(_equality(negated=True))
operator("-")(_minus)
