"""The judge: says of the evidence of a run whether the candidate does harm, is safe, or neither is known yet."""

from proxy.rollouts.analysis.judge import Judge

__all__ = ["Judge"]
