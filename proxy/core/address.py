"""Addresses to listen on and to connect to: `host:port`, `[v6]:port`, `unix:/path`. config/ has checked them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host name or IP address, and a port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket in the file system."""

    path: str


def parse_address(text: str) -> TcpAddress | UnixAddress:
    """Take an address apart; ValueError for what is none."""
    if text.startswith("unix:"):
        return UnixAddress(text[5:])
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()):
        raise ValueError(f"not an address: {text!r} (write it like 127.0.0.1:8080, [::1]:8080 or unix:/run/app.sock)")
    return TcpAddress(host.removeprefix("[").removesuffix("]"), int(port))
