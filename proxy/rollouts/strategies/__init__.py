"""The strategies. One exists by its line here."""

from proxy.rollouts.strategies import ab, blue_green, canary, rolling

__all__ = ["ab", "blue_green", "canary", "rolling"]
