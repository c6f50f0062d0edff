"""What a rollout is judged by: the options under `judge` of a rollout, with their defaults."""

from dataclasses import dataclass, field

from proxy.core.units import Seconds, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """Harm is found when the candidate fails more than `ratio` times as often as stable.

    `alpha` bounds how often that is said of a candidate that does not, over the whole run and however often anybody
    looks. `statuses` of the upstream are bad, as inclusive ranges.
    """

    alpha: Share = 0.01
    ratio: float = 1.0
    statuses: tuple[tuple[int, int], ...] = ((500, 599),)

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 0.5:
            raise ValueError("alpha is more than 0% and at most 50%; write 1%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Safe:
    """Safe is a candidate that surely fails less than `ratio` times as often as stable, or in less than `or_below`.

    `beta` bounds how often that is said wrongly.
    """

    ratio: float = 2.0
    beta: Share = 0.05
    or_below: Share = 0.005

    def __post_init__(self) -> None:
        if not 0 < self.beta <= 0.5:
            raise ValueError("beta is more than 0% and at most 50%; write 5%")
        if self.ratio <= 1:  # failing equally would count against it, and failing often for it
            raise ValueError("the ratio that is to be ruled out is more than 1; write 2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How a run is judged.

    `slower_than` are thresholds in seconds from a request's head to the first byte of the response: being slower than
    one is an event like an error. `error_rate` and `p99` (seconds) are guards: limits for the candidate over `window`,
    exceeded only by more than that and after `min_requests`. `connect_failures` in a row end the run at once.
    `min_requests` is also what a bake wants of the candidate.
    """

    errors: Harm = field(default_factory=Harm)
    safe: Safe = field(default_factory=Safe)
    slower_than: tuple[Seconds, ...] = ()
    error_rate: Share | None = None
    p99: Seconds | None = None
    window: Seconds = 60.0
    min_requests: int = 100
    connect_failures: int = 20
