"""Filters and route actions, one file each; one exists by its import line here."""

from proxy.filters.basic_auth import BasicAuth
from proxy.filters.concurrency_limit import ConcurrencyLimit
from proxy.filters.effects import ChoosePool, Effect, Reply
from proxy.filters.pause import Pause
from proxy.filters.rate_limit import RateLimit
from proxy.filters.redirect import Redirect
from proxy.filters.registry import ACTIONS, FILTERS, Act, Action, Filter, Hooks, RequestFilter, ResponseFilter
from proxy.filters.request_headers import RequestHeaders
from proxy.filters.respond import Respond
from proxy.filters.response_headers import ResponseHeaders
from proxy.filters.rewrite import Rewrite

__all__ = [
    "ACTIONS",
    "FILTERS",
    "Act",
    "Action",
    "BasicAuth",
    "ChoosePool",
    "ConcurrencyLimit",
    "Effect",
    "Filter",
    "Hooks",
    "Pause",
    "RateLimit",
    "Redirect",
    "Reply",
    "RequestFilter",
    "RequestHeaders",
    "Respond",
    "ResponseFilter",
    "ResponseHeaders",
    "Rewrite",
]
