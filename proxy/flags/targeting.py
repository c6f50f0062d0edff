"""The operators that flagd adds to JsonLogic; wrong input gives null, never false, so that the default applies."""

from collections.abc import Callable
from typing import Any

from proxy.flags import buckets, versions
from proxy.flags.logic import Compiler, Drawn, Note, Operator, Rule, constant, is_literal, operator


def _text_test(name: str) -> Operator:
    def make(compiler: Compiler, arguments: Any) -> Rule:
        rules = compiler.each(arguments)
        if len(rules) != 2:
            return constant(None)
        whole, part = rules

        def test(data: Any) -> bool | None:
            text, wanted = whole(data), part(data)
            if not isinstance(text, str) or not isinstance(wanted, str):
                return None
            return text.startswith(wanted) if name == "starts_with" else text.endswith(wanted)

        return test

    return make


for _name in ("starts_with", "ends_with"):
    operator(_name)(_text_test(_name))


@operator("sem_ver")
def _sem_ver(compiler: Compiler, arguments: Any) -> Rule:
    rules = compiler.each(arguments)
    if len(rules) != 3:
        return constant(None)
    left, sign, right = rules
    return lambda data: versions.holds(left(data), sign(data), right(data))


@operator("fractional")
def _fractional(compiler: Compiler, arguments: Any) -> Rule:
    listed = arguments if isinstance(arguments, list) else [arguments]
    together = buckets.seed_of(compiler.generation, compiler.key)
    if not listed or isinstance(listed[0], list):
        shares = _shares(compiler, listed)
        return lambda data: shares(together(_targeting_key(data)), data)
    first, rest = compiler.compile(listed[0]), _shares(compiler, listed[1:])
    among = _shares(compiler, listed)
    alone = buckets.hash_v3 if compiler.generation == "v3" else buckets.hash_v2

    def choose(data: Any) -> Any:
        value = first(data)
        if type(value) is list:  # what is in front is a bucket itself
            return among(together(_targeting_key(data)), data)
        return rest(alone(value), data)

    return choose


def _targeting_key(data: Any) -> Any:
    return data.get("targetingKey") if type(data) is dict else None


Shares = Callable[[int | None, Any], Any]


def _shares(compiler: Compiler, rules: list[Any]) -> Shares:
    """What chooses among buckets by a hash; null for no hash and for weights that are none."""
    fixed = _fixed(rules)
    if fixed is None:
        return _moving(compiler, rules)
    sums = buckets.bounds(fixed)
    if sums is None:
        return lambda _digest, _data: None
    variants = [compiler.compile(rule[0]) for rule in rules]
    place = buckets.place

    def choose(digest: int | None, data: Any) -> Any:
        if digest is None:
            return None
        slot, index = place(digest, sums)
        if compiler.note is not None:
            _tell(compiler.note, slot, index, sums)
        return variants[index](data)

    return choose if compiler.drawn is None else _heard(choose, compiler.drawn, [rule[0] for rule in rules], sums)


def _heard(choose: Shares, drawn: Drawn, names: list[Any], sums: list[int]) -> Shares:
    """The same, which tells of each draw."""
    weights: dict[str, int] = {}
    for name, before, after in zip(names, [0, *sums], sums, strict=False):
        weights[str(name)] = weights.get(str(name), 0) + after - before

    def heard(digest: int | None, data: Any) -> Any:
        if digest is not None:
            drawn(digest, str(names[buckets.place(digest, sums)[1]]), weights)
        return choose(digest, data)

    return heard


def _fixed(rules: list[Any]) -> list[Any] | None:
    """The weights where all are written in the rule; None where one is computed."""
    if not all(isinstance(rule, list) and 1 <= len(rule) <= 2 and is_literal(rule[1:]) for rule in rules):
        return None
    return [rule[1] if len(rule) == 2 else 1 for rule in rules]


def _moving(compiler: Compiler, rules: list[Any]) -> Shares:
    made = [compiler.compile(rule) for rule in rules]

    def choose(digest: int | None, data: Any) -> Any:
        pairs = [rule(data) for rule in made]
        if digest is None or not all(isinstance(pair, list) and 1 <= len(pair) <= 2 for pair in pairs):
            return None
        sums = buckets.bounds([pair[1] if len(pair) == 2 else 1 for pair in pairs])
        if sums is None:
            return None
        slot, index = buckets.place(digest, sums)
        if compiler.note is not None:
            _tell(compiler.note, slot, index, sums)
        return pairs[index][0]

    return choose


def _tell(note: Note, slot: int, index: int, sums: list[int]) -> None:
    note(f"fractional: {slot} of {sums[-1]} lies in bucket {index + 1} of {len(sums)}")
