"""Where webhooks may lead: anywhere but to our own admin, whose verbs are not for whoever may write a URL."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from socket import AF_UNSPEC, AddressFamily
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver
from yarl import URL

from proxy.config.addresses import parse_bind, parse_endpoint
from proxy.snapshot.document import Document

HOME: Final = "leads to our own admin, where no hook may"


def homes(document: Document) -> tuple[str, ...]:
    """Where no hook may lead: the addresses of the admin and of the status."""
    return (document.admin.bind, *((document.status,) if document.status else ()))


class Elsewhere(AbstractResolver):
    """Resolves host names to addresses that are not `ours`. `refused` once one was only ours."""

    def __init__(self, ours: Iterable[str]) -> None:
        self._ours = tuple(parse_bind(each, Path()) for each in ours)
        self._resolver = DefaultResolver()
        self.refused = False

    def allows(self, url: str) -> bool:
        """Whether a URL may be asked, as far as it says itself; names are looked at when they are resolved."""
        parts = URL(url)
        host = (parts.host or "").removesuffix(".")
        self.refused = self.refused or self._is_home("127.0.0.1" if host == "localhost" else host, parts.port or 0)
        return not self.refused

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC) -> list[ResolveResult]:
        """The addresses of a name; OSError where it has only ours."""
        found = await self._resolver.resolve(host, port, family)
        kept = [each for each in found if not self._is_home(each["host"], port)]
        if found and not kept:
            self.refused = True
            raise OSError(HOME)
        return kept

    async def close(self) -> None:
        """End it."""
        await self._resolver.close()

    def _is_home(self, host: str, port: int) -> bool:
        try:
            ip = _meant(ip_address(host.partition("%")[0]))
        except ValueError:
            return False
        address = parse_endpoint(f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}", Path())
        return any(map(address.reaches, self._ours))


def _meant(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Where a connection really goes: no address at all is this machine's, and IPv4 in IPv6 is IPv4."""
    ip = (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip
    return ip_address("127.0.0.1" if ip.version == 4 else "::1") if ip.is_unspecified else ip
