"""Filter `request_headers`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from proxy.filters.field_edit import field_edit, field_lines, require_host, require_names
from proxy.filters.registry import FILTERS, Hooks, RequestFilter
from proxy.filters.site import Site
from proxy.http1.facts import Facts
from proxy.http1.host import normal_host
from proxy.http1.owned import TOLD

_APART: Final = ("host", "cookie")  # a head keeps them outside its block


@FILTERS.register("request_headers")
@dataclass(frozen=True, slots=True)
class RequestHeaders:
    """Changes header fields on the way upstream: `set` replaces, `add` adds one more line, `remove` takes out.

    `set: {host: …}` is the Host that the upstream sees. Framing fields and those that tell of the client
    (X-Forwarded-*, Forwarded, Via, X-Request-Id, X-Sluice-Shadow, traceparent) are the proxy's own and are refused.
    """

    set: dict[str, str] = field(default_factory=dict)
    add: dict[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_names((*self.set, *self.add, *self.remove), TOLD)
        field_lines({**self.set, **self.add})
        if any(name.lower() == "host" for name in (*self.add, *self.remove)):
            raise ValueError("a request has exactly one Host; use `set` to change it")
        for host in (value for name, value in self.set.items() if name.lower() == "host"):
            require_host(host.strip(" \t"))

    def compile(self, _site: Site) -> Hooks:
        edit = field_edit(_in_block(self.set), _in_block(self.add), _in_block(dict.fromkeys(self.remove, "")))
        host, cookie = _value(self.set, "host"), _value(self.set, "cookie")
        more = _value(self.add, "cookie")
        drops_cookie = any(name.lower() == "cookie" for name in self.remove)

        def on_request(facts: Facts) -> None:
            head = facts.head
            head.block = edit.apply(head.block)
            if host is not None:
                head.host, facts.host = host, normal_host(host)
            if cookie is not None or drops_cookie:
                head.cookie = cookie
            if more is not None:
                head.cookie = b"%s; %s" % (head.cookie, more) if head.cookie else more

        return Hooks(request=RequestFilter(on_request))


def _in_block(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name.lower() not in _APART}


def _value(values: Mapping[str, str], wanted: str) -> bytes | None:
    return next((value.strip(" \t").encode() for name, value in values.items() if name.lower() == wanted), None)
