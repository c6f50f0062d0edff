"""The steps. One exists by its line here."""

from proxy.rollouts.steps import split

__all__ = ["split"]
