"""Sluicegate: a programmable L7 reverse proxy that is the load balancer and the release controller."""

from proxy import _compiled

BUILD = _compiled.choose()
"""Which build of the hot modules runs, "accelerated" or "plain": `sluice version` says it."""
