"""Match key `client`."""

from dataclasses import dataclass

from proxy.core.networks import Networks
from proxy.routing.matches.one_or_more import OneOrMore, as_tuple, listed
from proxy.routing.matches.registry import MATCHES, Place, Test


@MATCHES.register("client")
@dataclass(frozen=True, slots=True)
class Client:
    """The client's address lies in one of these networks, such as `10.0.0.0/8` or `2001:db8::/32`.

    Forwarding fields tell the address only where they come from a trusted proxy. An IPv4 address inside IPv6
    (`::ffff:10.0.0.1`) counts as IPv4; the client of a unix socket has no address and lies in no network.
    """

    value: OneOrMore

    def __post_init__(self) -> None:
        self._networks()

    def compile(self, _place: Place) -> Test:
        networks = self._networks()
        return lambda facts: facts.client in networks

    def describe(self) -> str:
        return f"client is in {listed(as_tuple(self.value, 'networks'))}"

    def _networks(self) -> Networks:
        return Networks(as_tuple(self.value, "networks"))
