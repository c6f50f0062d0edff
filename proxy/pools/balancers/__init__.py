"""The balancers, one file each. Importing this package registers them all."""

from proxy.pools.balancer import BALANCERS
from proxy.pools.balancers import hash, least_requests, random, round_robin  # noqa: A004

__all__ = ["BALANCERS", "hash", "least_requests", "random", "round_robin"]
