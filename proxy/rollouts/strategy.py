"""The family of strategies: ways to write the list of steps of a rollout."""

from typing import Final, Protocol

from proxy.core.registry import Registry
from proxy.rollouts.step import Step


class Strategy(Protocol):
    """One strategy with its options, as in the YAML; options that cannot work are a ValueError with a remedy."""

    def steps(self) -> tuple[Step, ...]:
        """The steps that it stands for."""
        ...


STRATEGIES: Final[Registry[Strategy]] = Registry("strategy")
