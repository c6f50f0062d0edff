"""Whom chance gave a variant: the draw of the `fractional` whose outcome is the flag's.

Only who was drawn may be compared with others: whom a rule chose by region or plan may fail for what they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.flags.engine import Compiler, Rule
from proxy.flags.evaluation import Flag
from proxy.flags.logic import is_literal


@dataclass(frozen=True, slots=True)
class Draw:
    """One draw. `unit` is the hash of what was drawn by, the same for whoever is drawn together."""

    unit: int
    variant: str
    weights: Mapping[str, int]


@dataclass(slots=True)
class Drawer:
    """Draws again as a flag does. ValueError where a `fractional` of its rule does not alone decide the outcome."""

    flag: Flag
    rule: Rule
    _drawn: list[Draw] = field(default_factory=list)

    @classmethod
    def of(cls, flag: Flag, generation: Any, shared: Mapping[str, Any]) -> "Drawer":
        """The drawer of a flag that is sound."""
        if not _decides(flag.targeting, shared, is_outcome=True):
            raise ValueError(
                "a `fractional` stands where it does not decide the outcome alone; nothing can be compared"
            )
        drawn: list[Draw] = []
        compiler = Compiler(
            flag.key, generation, shared, drawn=lambda unit, name, weights: drawn.append(Draw(unit, name, weights))
        )
        return cls(flag, compiler.compile(flag.targeting), drawn)

    def draw(self, context: Mapping[str, Any], now: float) -> Draw | None:
        """The draw that decided for this context; None where none did."""
        self._drawn.clear()
        variant = self.flag.apply(self.rule, context, now).variant
        if len(self._drawn) != 1 or self._drawn[0].variant != variant:
            return None
        return self._drawn[0]


def _decides(rule: Any, shared: Mapping[str, Any], *, is_outcome: bool) -> bool:
    """Is every `fractional` in it the outcome itself, with weights that are written there?"""
    if isinstance(rule, list):
        return all(_decides(each, shared, is_outcome=False) for each in rule)
    if not isinstance(rule, dict) or len(rule) != 1:
        return True
    name, arguments = next(iter(rule.items()))
    listed = arguments if isinstance(arguments, list) else [arguments]
    if name == "$ref":
        return _decides(shared.get(arguments), shared, is_outcome=is_outcome)
    if name == "fractional":
        return is_outcome and _is_plain(listed)
    return all(
        _decides(each, shared, is_outcome=is_outcome and at)
        for at, each in zip(_ends(name, listed), listed, strict=True)
    )


def _ends(name: str, arguments: list[Any]) -> list[bool]:
    """Which arguments of an operator may be its outcome as they are: arms of `if`, and every part of `or`."""
    last = len(arguments) - 1
    return [name == "or" or (name == "if" and (at % 2 == 1 or at == last)) for at in range(len(arguments))]


def _is_plain(arguments: list[Any]) -> bool:
    """Are they variants with weights, behind what is hashed perhaps?"""
    shares = arguments if arguments and isinstance(arguments[0], list) else arguments[1:]
    lead = arguments[: len(arguments) - len(shares)]
    plain = all(isinstance(each, list) and is_literal(each[1:]) and isinstance(each[0], str) for each in shares if each)
    return plain and all(shares) and "fractional" not in repr(lead)
