"""How fast a client must be: whoever moves less than `min_rate` over a window, while it is waited for, is too slow."""

from typing import Final

WINDOW: Final = 10.0  # seconds over which a rate is judged


def is_too_slow(moved: int, rate: int | None) -> bool:
    """Were these bytes of one window fewer than the rate, in bytes per second, asks for?"""
    return rate is not None and moved < rate * WINDOW
