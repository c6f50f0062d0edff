"""Histograms and status classes as Prometheus' classic metrics show them."""

from bisect import bisect_right
from itertools import accumulate
from typing import Final

from proxy.telemetry.histogram import BOUNDS, Histogram

CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""Classes of a status; none: there was no response."""

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the buckets that are shown. Inside, there are many more (proxy.telemetry.histogram)."""


def classic(histogram: Histogram) -> list[tuple[str, float]]:
    """Cumulative buckets of the fine ones. One counts where all of it fits: bounds are up to 4.4 % too low."""
    running = [0, *accumulate(histogram.counts)]
    shown: list[tuple[str, float]] = [(str(bound), running[bisect_right(BOUNDS, bound)]) for bound in SECONDS]
    return [*shown, ("+Inf", running[-1])]
