"""Slow start: an endpoint that has come up takes its full weight little by little, as its caches fill.

Envoy's formula with its defaults (envoy.config.cluster.v3.Cluster.SlowStartConfig): linear, from a tenth on.
"""

from collections.abc import Iterable
from typing import Final

from proxy.pools.endpoint import Endpoint, State

LEAST: Final = 0.1  # of its weight: with less, a small pool would get no request to warm up with


def factor(elapsed: float, window: float | None) -> float:
    """The part of its weight that an endpoint has, `elapsed` seconds after it came up; None: no slow start."""
    if window is None or elapsed >= window:
        return 1.0
    return max(LEAST, elapsed / window)


class SlowStart:
    """Since when this worker's endpoints have been up, for those that came up while it ran.

    A process that starts finds everything cold, and giving all of them a tenth would change nothing; so what its
    first report finds up counts as having been up.
    """

    def __init__(self) -> None:
        self._since: dict[Endpoint, float] = {}
        self._has_begun = False

    def __repr__(self) -> str:
        return f"<SlowStart of {len(self._since)}>"

    def came_up(self, endpoints: Iterable[Endpoint], now: float) -> None:
        """A report was brought in, and these have come up by it. `now` is in seconds, monotonic."""
        if self._has_begun:
            self._since |= dict.fromkeys(endpoints, now)
        self._has_begun = True

    def factor(self, endpoint: Endpoint, window: float | None, now: float) -> float:
        """The part of its weight that this endpoint has now; `window` is its service's `slow_start`."""
        since = self._since.get(endpoint)
        return 1.0 if since is None else factor(now - since, window)

    def forget(self, window: float, now: float) -> None:
        """Let go of those that came up at least `window` ago (the longest of any service), or are up no more."""
        self._since = {
            endpoint: since
            for endpoint, since in self._since.items()
            if endpoint.state is State.UP and now - since < window
        }
