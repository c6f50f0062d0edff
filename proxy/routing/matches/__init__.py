"""Match keys, one file each; a key exists by its import line here."""

from proxy.routing.matches.client import Client
from proxy.routing.matches.cookies import Cookies
from proxy.routing.matches.flags import Flags
from proxy.routing.matches.headers import Headers
from proxy.routing.matches.host import Host
from proxy.routing.matches.methods import Methods
from proxy.routing.matches.path import Path
from proxy.routing.matches.query import Query
from proxy.routing.matches.registry import MATCHES, Match, Place, Test
from proxy.routing.matches.share import ShareOf
from proxy.routing.matches.when import When

__all__ = [
    "MATCHES",
    "Client",
    "Cookies",
    "Flags",
    "Headers",
    "Host",
    "Match",
    "Methods",
    "Path",
    "Place",
    "Query",
    "ShareOf",
    "Test",
    "When",
]
