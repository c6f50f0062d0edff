"""JsonLogic's operators over lists. Inside `var` sees one item, so that nesting them never multiplies a context."""

from collections.abc import Callable
from typing import Any

from proxy.flags.coercion import ITEMS, RuleError, truthy
from proxy.flags.logic import Compiler, Operator, Rule, constant, operator


def _items(value: Any) -> list[Any]:
    """The list, or an empty one for what is none; RuleError beyond ITEMS."""
    if not isinstance(value, list):
        return []
    if len(value) > ITEMS:
        raise RuleError(f"a list has more than {ITEMS} items")
    return value


def _walk(function: Callable[[list[Any], Rule], Any]) -> Operator:
    def make(compiler: Compiler, arguments: Any) -> Rule:
        among, test = [*compiler.each(arguments), constant(None), constant(None)][:2]
        return lambda data: function(_items(among(data)), test)

    return make


operator("map")(_walk(lambda items, rule: [rule(item) for item in items]))
operator("filter")(_walk(lambda items, rule: [item for item in items if truthy(rule(item))]))
operator("all")(_walk(lambda items, rule: bool(items) and all(truthy(rule(item)) for item in items)))
operator("some")(_walk(lambda items, rule: any(truthy(rule(item)) for item in items)))
operator("none")(_walk(lambda items, rule: not any(truthy(rule(item)) for item in items)))


@operator("reduce")
def _reduce(compiler: Compiler, arguments: Any) -> Rule:
    among, step, start = [*compiler.each(arguments), *[constant(None)] * 3][:3]

    def fold(data: Any) -> Any:
        total = start(data)
        for item in _items(among(data)):
            total = step({"current": item, "accumulator": total})
        return total

    return fold


@operator("merge")
def _merge(compiler: Compiler, arguments: Any) -> Rule:
    rules = compiler.each(arguments)

    def join(data: Any) -> list[Any]:
        made: list[Any] = []
        for rule in rules:
            value = rule(data)
            made += value if isinstance(value, list) else [value]
        return _items(made)

    return join
