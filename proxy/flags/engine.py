"""The compiler with every operator registered: import this, not `logic`, to compile rules."""

from proxy.flags import lists, operators, paths, targeting
from proxy.flags.logic import Compiler, Rule

__all__ = ["Compiler", "Rule", "lists", "operators", "paths", "targeting"]
