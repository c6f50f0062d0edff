"""What the upstream is told of the client: X-Forwarded-*, Via, X-Request-Id and traceparent.

A peer outside `trusted_proxies` is the client, and whatever it says of itself is replaced. A trusted peer's word is
kept and continued. Every value comes from the same place, so that they cannot contradict each other.
"""

from binascii import hexlify
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from proxy.http1.message import TRACEPARENT, RequestHead

Networks = tuple[IPv4Network | IPv6Network, ...]

VIA: Final = b"Via: 1.1 sluice\r\n"
MAX_HOPS: Final = 10  # as many of our own kind in Via are a loop
_HOST: Final = b"X-Forwarded-Host: "
_MAX_REQUEST_ID: Final = 128
_REPLACED: Final = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-request-id"})


def networks(cidrs: tuple[str, ...]) -> Networks:
    """The CIDRs of `trusted_proxies`; config/ has checked them."""
    return tuple(ip_network(cidr, strict=False) for cidr in cidrs)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """An IP address, an IPv4 one also where it is written as an IPv6 one; None for anything else."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_trusted(client: str, trusted: Networks) -> bool:
    """Is this peer one whose forwarding fields are believed?"""
    address = parse_address(client) if trusted else None
    return address is not None and any(address in network for network in trusted)


class Origin:
    """One connection's answer to «who asks?»: its peer, and whether it speaks for others."""

    __slots__ = ("_bits", "_prefix", "client", "trusted")

    def __init__(self, client: str, trusted: Networks, bits: Callable[[int], int]) -> None:
        self.client = client
        self.trusted = trusted if is_trusted(client, trusted) else ()
        self._bits = bits
        self._prefix = _lines(_node(client), b"http") + _HOST

    def describe(self, head: RequestHead) -> tuple[str, bytes, bytes]:
        """(client's address, its scheme, the field lines to add) for one request."""
        if self.trusted and head.forwarded:
            return self._believe(head, head.forwarded)
        bits = self._bits
        number = hexlify(bits(128).to_bytes(16))  # b"%032x" takes 0.2 µs more
        lines: tuple[bytes, ...] = (self._prefix, head.host, b"\r\nX-Request-Id: ", number, b"\r\n")
        if not head.host:  # HTTP/1.0: an empty field would say that there was one
            lines = (self._prefix.removesuffix(_HOST), b"X-Request-Id: ", number, b"\r\n")
        if not head.flags & TRACEPARENT:
            lines += (b"traceparent: 00-", number, b"-", number[:16], b"-01\r\n")
        return self.client, b"http", b"".join(lines)

    def _believe(self, head: RequestHead, told: dict[bytes, bytes]) -> tuple[str, bytes, bytes]:
        chain = told.get(b"x-forwarded-for", b"")
        client = self._client_of(chain)
        scheme = b"https" if told.get(b"x-forwarded-proto", b"").strip().lower() == b"https" else b"http"
        node = _node(self.client)
        prefix = _lines(chain + b", " + node if chain else node, scheme)
        host = told.get(b"x-forwarded-host") or head.host
        given = told.get(b"x-request-id", b"")
        number = b"%032x" % self._bits(128)
        request_id = given if 0 < len(given) <= _MAX_REQUEST_ID else number
        named = b"%b%b\r\n" % (_HOST, host) if host else b""
        lines = [prefix, named, b"X-Request-Id: ", request_id, b"\r\n"]
        lines += [b"%b: %b\r\n" % pair for pair in told.items() if pair[0] not in _REPLACED]
        if not head.flags & TRACEPARENT:
            lines.append(b"traceparent: 00-%b-%b-01\r\n" % (number, number[:16]))
        return client, scheme, b"".join(lines)

    def _client_of(self, chain: bytes) -> str:
        """The rightmost address that is not a trusted proxy's: what stands left of it anyone could have written."""
        client = self.client
        for entry in reversed(chain.decode("latin-1").split(",")):
            address = parse_address(_without_port(entry.strip(" \t")))
            if address is None:
                break
            client = str(address)
            if not is_trusted(client, self.trusted):
                break
        return client


def is_loop(via: bytes) -> bool:
    """Has this request been through our kind so often that it must be going in circles?"""
    return via.count(b"1.1 sluice") >= MAX_HOPS


def _lines(chain: bytes, scheme: bytes) -> bytes:
    return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\n%b" % (chain, scheme, VIA)


def _node(client: str) -> bytes:
    return client.encode() or b"unknown"


def _without_port(node: str) -> str:
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node
