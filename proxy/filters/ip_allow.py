"""Filter `ip_allow`."""

from dataclasses import dataclass

from proxy.core.networks import Networks
from proxy.filters.effects import Reply, refusal
from proxy.filters.registry import FILTERS, Hooks, RequestFilter
from proxy.filters.site import Site
from proxy.http1.facts import Facts


@FILTERS.register("ip_allow")
@dataclass(frozen=True, slots=True)
class IpAllow:
    """Refuses clients by their address, with 403 and the reason `ip_refused`.

    Who lies in a network of `deny` is refused; who lies in none of `allow` too, where there are some. The address is
    that of the connection, or what a trusted proxy says. An IPv4 address inside IPv6 counts as IPv4. The client of a
    unix socket has no address, and is refused unless `unix: true` lets all of them through.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    unix: bool = False

    def __post_init__(self) -> None:
        if not self.allow and not self.deny:
            raise ValueError("ip_allow names no network; give it `allow` or `deny`, such as [10.0.0.0/8]")
        Networks((*self.allow, *self.deny))

    def compile(self, _site: Site) -> Hooks:
        allowed, denied = Networks(self.allow or ("0.0.0.0/0", "::/0")), Networks(self.deny)
        unix = self.unix
        refused = refusal(403, "ip_refused", "this address is not allowed here")

        def on_request(facts: Facts) -> Reply | None:
            client = facts.client
            if not client:
                return None if unix else refused
            return None if client in allowed and client not in denied else refused

        return Hooks(RequestFilter(on_request))
