"""Filters and route actions, one file each; one exists by its import line here."""

from proxy.filters.basic_auth import BasicAuth
from proxy.filters.concurrency_limit import ConcurrencyLimit
from proxy.filters.cors import Cors
from proxy.filters.effects import ChoosePool, Effect, Reply
from proxy.filters.fault import Fault
from proxy.filters.ip_allow import IpAllow
from proxy.filters.maintenance import Maintenance
from proxy.filters.max_body import MaxBody
from proxy.filters.mirror import Mirror
from proxy.filters.pause import Pause
from proxy.filters.plugin import Plugin
from proxy.filters.rate_limit import RateLimit
from proxy.filters.redirect import Redirect
from proxy.filters.registry import ACTIONS, FILTERS, Act, Action, Filter, Hooks, RequestFilter, ResponseFilter
from proxy.filters.request_headers import RequestHeaders
from proxy.filters.respond import Respond
from proxy.filters.response_headers import ResponseHeaders
from proxy.filters.rewrite import Rewrite
from proxy.filters.security_headers import SecurityHeaders

__all__ = [
    "ACTIONS",
    "FILTERS",
    "Act",
    "Action",
    "BasicAuth",
    "ChoosePool",
    "ConcurrencyLimit",
    "Cors",
    "Effect",
    "Fault",
    "Filter",
    "Hooks",
    "IpAllow",
    "Maintenance",
    "MaxBody",
    "Mirror",
    "Pause",
    "Plugin",
    "RateLimit",
    "Redirect",
    "Reply",
    "RequestFilter",
    "RequestHeaders",
    "Respond",
    "ResponseFilter",
    "ResponseHeaders",
    "Rewrite",
    "SecurityHeaders",
]
