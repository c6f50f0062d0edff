"""JsonLogic (jsonlogic.com) compiled to closures: a rule becomes one function of its data.

Everything that can be known from the rule is decided while compiling: operators, paths, constants. A rule is bounded
in depth and in size, its shared rules (`$ref`) written out. Operators live in `operators` and `targeting`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.flags.coercion import DEPTH, RuleError
from proxy.flags.spec import Generation

NODES = 10_000  # parts of one rule, shared rules written out
Rule = Callable[[Any], Any]
Note = Callable[[str], None]
Drawn = Callable[[int, str, Mapping[str, int]], None]


@dataclass(slots=True)
class Compiler:
    """Compiles one flag's rule. `shared` are the rules that `$ref` names; `note` hears which branch decided.

    `drawn` hears of every draw with fixed weights: the hash that was drawn by, the variant, all weights by variant.
    """

    key: str = ""
    generation: Generation = "v3"
    shared: Mapping[str, Any] = field(default_factory=dict)
    note: Note | None = None
    drawn: Drawn | None = None
    _open: list[str] = field(default_factory=list)
    _depth: int = 0
    _nodes: int = 0

    def compile(self, rule: Any) -> Rule:
        """The function of the rule; RuleError for an unknown operator or `$ref`, a cycle, or too large a rule."""
        self._depth += 1
        self._nodes += 1
        if self._depth > DEPTH:
            raise RuleError(f"the rule is nested deeper than {DEPTH} levels")
        if self._nodes > NODES:
            raise RuleError(f"the rule has more than {NODES} parts, shared rules written out")
        try:
            return self._compile(rule)
        finally:
            self._depth -= 1

    def each(self, rules: Any) -> list[Rule]:
        """The functions of an operator's arguments; a single one may stand without brackets."""
        return [self.compile(rule) for rule in (rules if isinstance(rules, list) else [rules])]

    def _compile(self, rule: Any) -> Rule:
        if isinstance(rule, list):
            return self._list(rule)
        if not isinstance(rule, dict) or len(rule) != 1:
            return constant(rule)
        name, arguments = next(iter(rule.items()))
        if name == "$ref":
            return self._reference(arguments)
        make = OPERATORS.get(name)
        if make is None:
            raise RuleError(f"unknown operator {name!r}")
        return make(self, arguments)

    def _list(self, rules: list[Any]) -> Rule:
        items = self.each(rules)
        if all(is_literal(rule) for rule in rules):
            return constant(rules)
        return lambda data: [item(data) for item in items]

    def _reference(self, name: Any) -> Rule:
        if not isinstance(name, str) or name not in self.shared:
            raise RuleError(f"$ref {name!r} is not among $evaluators")
        if name in self._open:
            raise RuleError(f"$ref {name!r} leads back to itself: {' -> '.join([*self._open, name])}")
        self._open.append(name)
        try:
            return self.compile(self.shared[name])
        finally:
            self._open.pop()


Operator = Callable[[Compiler, Any], Rule]
OPERATORS: dict[str, Operator] = {}


def operator(*names: str) -> Callable[[Operator], Operator]:
    """Registers what compiles the operator of these names."""

    def add(make: Operator) -> Operator:
        for name in names:
            if name in OPERATORS:
                raise ValueError(f"operator {name!r} is registered twice")
            OPERATORS[name] = make
        return make

    return add


def constant(value: Any) -> Rule:
    """A rule that is its own outcome."""
    return lambda _: value


def is_literal(rule: Any) -> bool:
    """Whether the rule's value does not depend on the data: neither it nor any item of it is an operation."""
    if isinstance(rule, list):
        return all(is_literal(item) for item in rule)
    return not isinstance(rule, dict) or len(rule) != 1
