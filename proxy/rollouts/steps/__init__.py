"""The steps. One exists by its line here."""

from proxy.rollouts.steps import (
    analyze,
    approve,
    bake,
    drain,
    flag,
    flip,
    header,
    holdback,
    hook,
    mirror,
    smoke,
    split,
    wait_traffic,
    wave,
)

__all__ = [
    "analyze",
    "approve",
    "bake",
    "drain",
    "flag",
    "flip",
    "header",
    "holdback",
    "hook",
    "mirror",
    "smoke",
    "split",
    "wait_traffic",
    "wave",
]
