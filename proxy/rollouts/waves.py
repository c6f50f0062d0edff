"""A fleet that is updated in place: which endpoints in which wave, and how many of them may be out at once.

The arithmetic is Kubernetes' (deployment_util.go, ResolveFenceposts): a surge in per cent rounds up, what may be
unavailable rounds down, and where both come to nothing, one may be unavailable. A fleet in place has no surge.
"""

import re
from collections.abc import Collection, Sequence
from typing import Final, TypeAlias

Amount: TypeAlias = int | str
"""A number of endpoints, or a part of all of them: 2 or `25%`."""

_PER_CENT: Final = re.compile(r"([0-9]{1,3})%")


def amount_of(amount: Amount, total: int, *, up: bool) -> int:
    """How many of `total` an amount is; a per cent that is no whole number of them rounds as told.

    ValueError where it is neither a number nor a per cent.
    """
    if isinstance(amount, int) and not isinstance(amount, bool) and amount >= 0:
        return amount
    found = _PER_CENT.fullmatch(amount) if isinstance(amount, str) else None
    if found is None:
        raise ValueError(f"{amount!r} is not a number of endpoints; write it like 2 or 25%")
    parts = int(found[1]) * total
    return -(-parts // 100) if up else parts // 100


def fenceposts(surge: Amount, unavailable: Amount, desired: int) -> tuple[int, int]:
    """How many more than desired there may be, and how many fewer; one of the two is never nothing."""
    more, fewer = amount_of(surge, desired, up=True), amount_of(unavailable, desired, up=False)
    return (more, fewer) if more or fewer else (0, 1)


def most_unavailable(unavailable: Amount, desired: int) -> int:
    """How many of a fleet in place may be out at once: at least one, at most all; nothing of nothing."""
    return min(fenceposts(0, unavailable, desired)[1], desired)


def waves(endpoints: Sequence[str], size: Amount) -> tuple[tuple[str, ...], ...]:
    """The endpoints, in their order, in waves of so many each; the last may be smaller.

    A per cent rounds down, as fewer at once is the careful side, and a wave has at least one. ValueError where there
    is nobody to serve while a wave is updated.
    """
    if len(endpoints) < 2:
        raise ValueError("a rolling update needs two endpoints or more; add one, or use blue_green")
    each = max(amount_of(size, len(endpoints), up=False), 1)
    return tuple(tuple(endpoints[start : start + each]) for start in range(0, len(endpoints), each))


def may_go(
    waiting: Sequence[str], usable: Collection[str], endpoints: Collection[str], unavailable: Amount
) -> tuple[str, ...]:
    """Which of those of a wave that still wait may be taken out now.

    Those that are out of service anyway cost nothing and go first, as Kubernetes cleans up what is unhealthy before
    it touches anything that works. Of the usable ones only so many go that no more than allowed of `endpoints` are
    out, and never the last.
    """
    needed = max(len(endpoints) - most_unavailable(unavailable, len(endpoints)), 1)
    spare = max(len(usable) - needed, 0)
    broken = [each for each in waiting if each not in usable]
    working = [each for each in waiting if each in usable]
    return (*broken, *working[:spare])
