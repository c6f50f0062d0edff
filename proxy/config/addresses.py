"""Addresses as the YAML writes them: where we listen, and where endpoints are."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

from proxy.config.problems import WrongError

IP = IPv4Address | IPv6Address

_HOST_PORT: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*):([0-9]{1,9})")
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
# The resolver reads `127.1`, `0x7f000001` and `2130706433` as IPv4 addresses; nobody who reads the file would.
_NUMERIC: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_MAX_UNIX: Final = 107  # bytes: sun_path has 108, the last one is NUL
_REMEDY: Final = "write it like 10.0.0.1:8080, [::1]:8080 or unix:/run/shop.sock"


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address or the path of a unix socket, in one canonical form; its text is that form.

    `ip` is None for a host name and for a unix socket, `port` 0 for a unix socket.
    """

    text: str
    ip: IP | None
    port: int

    def __str__(self) -> str:
        return self.text

    @property
    def is_unix(self) -> bool:
        """Whether it is the path of a unix socket."""
        return self.text.startswith("unix:")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.ip is None:
            return self.is_unix or self.host == "localhost"
        return _unmapped(self.ip).is_loopback

    @property
    def is_link_local(self) -> bool:
        """Whether it is of the kind that cloud machines ask for their credentials."""
        return self.ip is not None and _unmapped(self.ip).is_link_local

    @property
    def host(self) -> str:
        """The host without its port, IPv6 in brackets; "" for a unix socket."""
        return "" if self.is_unix else self.text.rpartition(":")[0]

    def reaches(self, bind: "Address") -> bool:
        """Whether connecting here leads to a socket bound there; names are not resolved."""
        if self.is_unix or bind.is_unix:
            return self.text == bind.text
        if self.port != bind.port or bind.ip is None:
            return False
        if self.text == bind.text:
            return True
        return _is_local(self) and (bind.ip.is_unspecified or (self.host == "localhost" and bind.is_loopback))


def parse_bind(text: str, directory: Path) -> Address:
    """Where to listen: `127.0.0.1:8080`, `[::]:8080`, `unix:/run/sluice.sock` (from `directory`); port 0 is any.

    `localhost` stands for 127.0.0.1; other names are refused, for what they resolve to may change.
    """
    if text.startswith("unix:"):
        return _unix(text, directory)
    host, port = _split(text)
    if host in ("", "*"):
        raise WrongError(f"{text!r} names no address", f"write 0.0.0.0:{port} for every one, or [::]:{port}")
    address = _tcp(text, "127.0.0.1" if host == "localhost" else host, port)
    if address.ip is None:
        raise WrongError(
            f"{text!r} is not an address to listen at", "write an IP address such as 127.0.0.1, not a name"
        )
    return address


def parse_endpoint(text: str, directory: Path) -> Address:
    """Where an endpoint is: `10.0.0.1:8080`, `[::1]:8080`, `shop.internal:8080` or `unix:/run/shop.sock`."""
    if text.startswith("unix:"):
        return _unix(text, directory)
    host, port = _split(text)
    address = _tcp(text, host, port)
    if port == 0:
        raise WrongError(f"{text!r} has port 0", "an endpoint's port is 1 to 65535")
    return address


def _split(text: str) -> tuple[str, int]:
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        raise WrongError(f"{text!r} is not an address with a port", _remedy(text))
    if int(found[2]) > 65_535:
        raise WrongError(f"{text!r} has a port beyond 65535", _REMEDY)
    return found[1], int(found[2])


def _remedy(text: str) -> str:
    if "/" in text:
        return "leave scheme and path out: write it like 10.0.0.1:8080"
    return "put IPv6 addresses in brackets: [::1]:8080" if text.count(":") > 1 and "[" not in text else _REMEDY


def _tcp(text: str, host: str, port: int) -> Address:
    ip = _ip(text, host)
    if ip is not None:
        return Address(f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}", ip, port)
    name = host.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)) or _NUMERIC.fullmatch(labels[-1]):
        raise WrongError(f"{text!r} has neither an IP address nor a host name before the port", _REMEDY)
    return Address(f"{name}:{port}", None, port)


def _ip(text: str, host: str) -> IP | None:
    bracketed = host.startswith("[")
    try:
        ip = ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        if bracketed:
            raise WrongError(f"{text!r} has no IPv6 address in its brackets", _REMEDY) from None
        return None
    if bracketed != (ip.version == 6) or "%" in host:
        raise WrongError(f"{text!r} is not an address with a port", "brackets are for IPv6 addresses, without a zone")
    return ip


def _unix(text: str, directory: Path) -> Address:
    path = text.removeprefix("unix:")
    if not path or path.endswith("/") or "\0" in path:
        raise WrongError(f"{text!r} names no socket", "write it like unix:/run/shop.sock")
    absolute = str(Path(directory, path).absolute())
    if len(absolute.encode()) > _MAX_UNIX:
        raise WrongError(f"the path of {text!r} is longer than {_MAX_UNIX} bytes", "the system takes no longer ones")
    return Address(f"unix:{absolute}", None, 0)


def _is_local(address: Address) -> bool:
    if address.ip is None:
        return address.host == "localhost"
    ip = _unmapped(address.ip)
    return ip.is_loopback or ip.is_unspecified


def _unmapped(ip: IP) -> IP:
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip
