"""Filter `rate_limit`."""

import re
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil
from typing import Final

from proxy.filters.buckets import Buckets
from proxy.filters.effects import Reply, refusal
from proxy.filters.keyed_by import NETWORK, By, key_of
from proxy.filters.registry import FILTERS, Hooks, RequestFilter
from proxy.filters.site import Site
from proxy.http1.facts import Facts

_RATE: Final = re.compile(r"([1-9][0-9]{0,8})/(s|m|h|d)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_MOST_KEYS: Final = 1_000_000


@FILTERS.register("rate_limit")
@dataclass(frozen=True, slots=True)
class RateLimit:
    """Lets through what a token bucket grants, and answers the rest 429 (`rate_limited`) with when to come again.

    `rate` is requests in a time: `100/s`, `6000/m`, `1/h`. `burst` is how many may come at once; without it as many as
    the rate gives in a second, at least one. `by` has a bucket for each `client`, `route` (by its name), header or
    cookie; requests without the header or cookie share one. Of IPv6 addresses `ipv6_prefix` bits tell clients apart.
    At most `keys` buckets are kept; then the one nearest to full makes room. Every worker grants the whole rate, and
    takes off what the others granted four times a second.
    """

    rate: str
    burst: int | None = None
    by: By = "client"
    keys: int = 20_000
    ipv6_prefix: int = NETWORK

    def __post_init__(self) -> None:
        if not _RATE.fullmatch(self.rate):
            raise ValueError(f"{self.rate!r} is not a rate; write it like 100/s, 6000/m, 10/h or 1/d")
        if self.burst is not None and self.burst < 1:
            raise ValueError(f"a burst of {self.burst} never lets anybody through; use at least 1")
        if not 1 <= self.keys <= _MOST_KEYS:
            raise ValueError(f"keys is between 1 and {_MOST_KEYS}: each is a bucket that takes about 250 bytes")
        if not 1 <= self.ipv6_prefix <= 128:
            raise ValueError("an IPv6 address has 128 bits; use 64, or 48 or 56 where sites have one network each")

    def compile(self, site: Site) -> Hooks:
        count, window = self._count_and_window()
        rate = count / window
        burst = self.burst or max(ceil(rate), 1)
        buckets = site.keep(self, lambda: Buckets(rate, burst, self.keys))
        key = key_of(self.by, self.ipv6_prefix)
        # draft-ietf-httpapi-ratelimit-headers-10 §3
        policy = b'RateLimit-Policy: "default";q=%d;w=%d\r\n' % (count, window)

        def on_request(facts: Facts) -> Reply | None:
            # A hash, so that a bucket is small whatever the client sends, and told to others as it is.
            wait = buckets.take(blake2b(key(facts), digest_size=16).digest(), facts.now)
            return _refused(wait, policy) if wait else None

        return Hooks(request=RequestFilter(on_request))

    def _count_and_window(self) -> tuple[int, int]:
        count, _, unit = self.rate.partition("/")
        return int(count), _SECONDS[unit]


def _refused(wait: float, policy: bytes) -> Reply:
    seconds = max(ceil(wait), 1)
    block = b'Retry-After: %d\r\nRateLimit: "default";r=0;t=%d\r\n' % (seconds, seconds)
    return refusal(429, "rate_limited", f"too many requests; come again in {seconds} s", block + policy)
