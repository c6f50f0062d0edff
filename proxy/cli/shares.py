"""`blue=90 canary=10`, `canary=5 rest`: a split as people type it. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

REST: Final = "rest"
_SHARE: Final = re.compile(r"([^=]+)=([0-9]{1,12}(?:\.[0-9]{1,12})?)(%?)")


class TypedWrongError(ValueError):
    """What was typed is no split; the text says what to type instead."""


def read_shares(words: Sequence[str], now: Mapping[str, float]) -> dict[str, float]:
    """The split that the words ask for, to be sent to the admin. `now` is the one in force; `rest` keeps its
    proportions. Where it does not matter, `now` may be empty.
    """
    typed = [word for word in words if word != REST]
    wants_rest = len(typed) < len(words)
    given, percent = _given(typed)
    total = sum(given.values())
    if wants_rest:
        return given | _rest(100 - total, given, now)
    if percent and abs(total - 100) > 1e-9:
        raise TypedWrongError(f"the shares add up to {total:g} %, not 100 %; add `rest`, or leave the % out")
    return given


def _given(words: Sequence[str]) -> tuple[dict[str, float], bool]:
    """The shares by pool, and whether they are per cents."""
    given: dict[str, float] = {}
    signs = set()
    for word in words:
        found = _SHARE.fullmatch(word)
        if found is None:
            raise TypedWrongError(f"{word!r} is not POOL=SHARE; write blue=90 canary=10, or canary=5 rest")
        if found[1] in given:
            raise TypedWrongError(f"{found[1]} stands there twice")
        given[found[1]] = float(found[2])
        signs.add(found[3])
    if not given:
        raise TypedWrongError("no pool is named; write blue=90 canary=10, or canary=5 rest")
    if len(signs) > 1:
        raise TypedWrongError("give all of the shares a %, or none")
    return given, signs == {"%"}


def _rest(left: float, given: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """What the pools that are not named get of what is left: as they have now, relative to each other."""
    if left < 0:
        raise TypedWrongError(f"more than 100 % is given away: {100 - left:g}")
    others = {name: share for name, share in now.items() if name not in given}
    total = sum(others.values())
    if left and not total:
        there = f": {', '.join(others)} have nothing now; name one of them" if others else "; leave `rest` out"
        raise TypedWrongError(f"there is nobody to take the rest{there}")
    return {name: round(left * share / total, 9) if total else 0.0 for name, share in others.items()}
