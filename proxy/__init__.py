"""Sluicegate: a programmable L7 reverse proxy that is the load balancer and the release controller."""
