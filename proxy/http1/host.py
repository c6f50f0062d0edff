"""Host: its grammar, and the form that routing compares."""

import re
from ipaddress import AddressValueError, IPv6Address

# RFC 3986 §3.2.2 and 3.2.3, less what only serves to disguise: no percent-encoding (DNS has no use for it, and two
# spellings of one name are two routes) and no comma (which joins values). A port is at most 65535.
_PORT = rb"(?::(?:[0-9]{0,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
_NAME = re.compile(rb"[A-Za-z0-9._~!$&'()*+;=-]+" + _PORT)
_LITERAL = re.compile(rb"\[([0-9A-Fa-f:.]+)\]" + _PORT)


_LONGEST_REMEMBERED = 64
_MOST_REMEMBERED = 1024
known_hosts: set[bytes] = set()


def valid_host(host: bytes) -> bool:
    """Whether this is a Host of RFC 9110 §7.2 with a name in it: reg-name, IPv4 or [IPv6], with an optional port."""
    if host in known_hosts:
        return True
    if _NAME.fullmatch(host):
        _remember(host)
        return True
    literal = _LITERAL.fullmatch(host)
    return literal is not None and _is_ipv6(literal[1])


def _remember(host: bytes) -> None:
    """Most requests name one of a few hosts: 0.05 µs instead of 0.5 for those."""
    if len(host) <= _LONGEST_REMEMBERED:
        if len(known_hosts) >= _MOST_REMEMBERED:
            known_hosts.clear()
        known_hosts.add(host)


def normal_host(host: bytes) -> bytes:
    """The host to route by: lower case, without port and one trailing dot; an IPv6 literal keeps its brackets."""
    host = host.lower()
    end = host.find(b":") if host[:1] != b"[" else host.find(b"]") + 1
    if end > 0:
        host = host[:end]
    return host[:-1] if host[-1:] == b"." else host


def split_port(host: bytes) -> tuple[bytes, bytes]:
    """A valid host as its name (or bracketed address) and the digits of its port, b"" where there is none."""
    name, colon, port = host.rpartition(b":")
    return (name, port) if colon and not port.endswith(b"]") else (host, b"")


def _is_ipv6(text: bytes) -> bool:
    try:
        IPv6Address(text.decode())
    except AddressValueError:
        return False
    return True
