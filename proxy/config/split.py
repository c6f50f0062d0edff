"""A service's split: whether its parts make sense, and the exact shares that they stand for."""

from collections.abc import Mapping as AnyMapping
from fractions import Fraction

from proxy.config.problems import WrongError
from proxy.config.values import Part

HUNDRED = Fraction(100)


def check(parts: AnyMapping[str, Part]) -> None:
    """WrongError where the parts do not add up to something that can be meant."""
    percent = [part.percent for part in parts.values()]
    total = sum((part.value for part in parts.values()), Fraction())
    if not parts:
        raise WrongError(
            "the split names no pool", "write {blue: 90, canary: 10}, or leave it out where there is one pool"
        )
    if any(percent) and not all(percent):
        raise WrongError("the split mixes per cents and plain numbers", "give all of them a %, or none")
    if not total:
        raise WrongError("the split gives nothing to any pool", "give at least one more than 0")
    if any(percent) and total != HUNDRED:
        raise WrongError(
            f"the split adds up to {_decimal(total)}%, not 100%", "or leave the % out: parts are relative then"
        )
    if len(parts) == 1 and total != HUNDRED:
        name = next(iter(parts))
        raise WrongError(
            f"the split names {name} alone, and gives it {_decimal(total)}", "name the others too, or write 100"
        )


def shares(parts: AnyMapping[str, Part]) -> dict[str, float]:
    """The share of each pool; fractions of one, each the nearest to the exact one."""
    total = sum((part.value for part in parts.values()), Fraction())
    return {name: float(part.value / total) for name, part in parts.items()}


def _decimal(value: Fraction) -> str:
    return f"{float(value):.12g}"
