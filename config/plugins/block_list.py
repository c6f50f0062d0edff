"""Block by a list in a file: one network to a line."""

from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path

from proxy.plugins import Facts, Reply, Request


@dataclass
class BlockList:
    """Answers 403 to clients from the networks in `file`, which is read when the plug-in is opened.

    An IPv4 address inside IPv6 (`::ffff:10.0.0.1`) is that IPv4 address. What is no address is refused.
    """

    file: str
    counters: Counter[str] = field(default_factory=Counter, init=False)
    _tables: dict[tuple[int, int], set[int]] = field(default_factory=dict, init=False)

    def open(self) -> None:
        lines = (line.strip() for line in Path(self.file).read_text(encoding="utf-8").split("\n"))
        for network in (ip_network(line) for line in lines if line and not line.startswith("#")):
            shift = network.max_prefixlen - network.prefixlen
            self._tables.setdefault((network.version, shift), set()).add(int(network.network_address) >> shift)

    def on_request(self, request: Request, facts: Facts) -> Reply | None:
        if not facts.client or not self._is_listed(facts.client):
            return None
        self.counters["blocked"] += 1
        return Reply(403, "not from there\n")

    def _is_listed(self, client: str) -> bool:
        try:
            address = ip_address(client.partition("%")[0])
        except ValueError:
            return True
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        # One look for each length of prefix, however long the list is: this runs for every request.
        tables = self._tables.items()
        return any(version == address.version and int(address) >> shift in found for (version, shift), found in tables)
