"""Filter `response_headers`."""

from dataclasses import dataclass, field

from proxy.filters.field_edit import field_edit, field_lines, require_names
from proxy.filters.registry import FILTERS, Hooks, ResponseFilter
from proxy.filters.site import Site
from proxy.http1 import fields
from proxy.http1.facts import Facts
from proxy.http1.message import CACHE_CONTROL, ResponseHead


@FILTERS.register("response_headers")
@dataclass(frozen=True, slots=True)
class ResponseHeaders:
    """Changes header fields on the way to the client: `set` replaces, `add` adds one more line, `remove` takes out.

    Framing fields are the proxy's own and are refused.
    """

    set: dict[str, str] = field(default_factory=dict)
    add: dict[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_names((*self.set, *self.add, *self.remove))
        field_lines({**self.set, **self.add})

    def compile(self, _site: Site) -> Hooks:
        edit = field_edit(self.set, self.add, self.remove)
        cleared = ~CACHE_CONTROL if b"cache-control" in edit.gone else ~0
        raised = CACHE_CONTROL if fields.get(edit.lines, b"cache-control") is not None else 0

        def on_response(_facts: Facts, head: ResponseHead) -> None:
            head.block = edit.apply(head.block)
            head.flags = head.flags & cleared | raised

        return Hooks(response=ResponseFilter(on_response))
