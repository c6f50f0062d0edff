"""Block by a list in a file: one network to a line."""

from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from proxy.plugins import Facts, Reply, Request


@dataclass
class BlockList:
    """Answers 403 to clients from the networks in `file`, which is read when the plug-in is opened."""

    file: str
    counters: Counter[str] = field(default_factory=Counter, init=False)
    _networks: frozenset[IPv4Network | IPv6Network] = field(default=frozenset(), init=False)

    def open(self) -> None:
        lines = (line.strip() for line in Path(self.file).read_text(encoding="utf-8").split("\n"))
        self._networks = frozenset(ip_network(line) for line in lines if line and not line.startswith("#"))

    def on_request(self, request: Request, facts: Facts) -> Reply | None:
        if not facts.client or not self._is_listed(facts.client):
            return None
        self.counters["blocked"] += 1
        return Reply(403, "not from there\n")

    def _is_listed(self, client: str) -> bool:
        address = ip_address(client)
        lengths = {network.prefixlen for network in self._networks if network.version == address.version}
        return any(ip_network((client, length), strict=False) in self._networks for length in lengths)
