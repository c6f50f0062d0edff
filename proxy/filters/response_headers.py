"""Filter `response_headers`."""

from dataclasses import dataclass, field

from proxy.filters.field_checks import require_names
from proxy.filters.field_edit import field_edit
from proxy.filters.registry import FILTERS, Hooks, ResponseFilter
from proxy.filters.site import Site
from proxy.filters.template import Template, secret_names, template
from proxy.http1 import fields
from proxy.http1.facts import Facts
from proxy.http1.message import CACHE_CONTROL, ResponseHead


@FILTERS.register("response_headers")
@dataclass(frozen=True, slots=True)
class ResponseHeaders:
    """Changes header fields on the way to the client: `set` replaces, `add` adds one more line, `remove` takes out.

    Values may hold templates as in `request_headers`, but not {request.header.authorization}: no response repeats what
    a browser keeps to itself. Fields of the request are as the filters have left them. Framing fields are the proxy's
    own and are refused.
    """

    set: dict[str, str] = field(default_factory=dict)
    add: dict[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.set or self.add or self.remove):
            raise ValueError("response_headers changes nothing; give it headers to set, add or remove")
        require_names((*self.set, *self.add, *self.remove))
        field_edit(self.set, self.add, ())
        for text in (*self.set.values(), *self.add.values()):
            value = template(text)
            if isinstance(value, Template) and (secret := secret_names(value.names)):
                raise ValueError(f"{text!r}: {{{secret[0]}}} is the client's secret, which no response may repeat")

    def compile(self, _site: Site) -> Hooks:
        edit = field_edit(self.set, self.add, self.remove)
        cleared = ~CACHE_CONTROL if b"cache-control" in edit.gone else ~0
        raised = CACHE_CONTROL if fields.get(edit.lines, b"cache-control") is not None else 0
        may_raise = any(name.lower() == "cache-control" for name in (*self.set, *self.add)) and not raised

        def on_response(facts: Facts, head: ResponseHead) -> None:
            block = head.block = edit.apply(head.block, facts)
            head.flags = head.flags & cleared | raised
            if may_raise and fields.get(block, b"cache-control") is not None:
                head.flags |= CACHE_CONTROL

        return Hooks(response=ResponseFilter(on_response))
