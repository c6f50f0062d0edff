"""Pool by a header's hash: whoever sends the same value gets the same pool, whatever the split says."""

from dataclasses import dataclass
from hashlib import blake2b

from proxy.plugins import Facts, Request


@dataclass
class ByHeader:
    """`pools` share the values of `header` evenly; requests without it go by the split."""

    header: str
    pools: list[str]

    def __post_init__(self) -> None:
        if not self.header or not self.pools:
            raise ValueError("by_header needs a header, and at least one pool")

    def on_request(self, request: Request, facts: Facts) -> None:
        value = request.headers.get(self.header)
        if value:
            digest = blake2b(value.encode("latin-1"), digest_size=8).digest()
            request.pool = self.pools[int.from_bytes(digest) % len(self.pools)]
