"""Filter `request_headers`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from proxy.filters.field_checks import require_host, require_names
from proxy.filters.field_edit import FieldEdit, field_edit
from proxy.filters.registry import FILTERS, Hooks, RequestFilter
from proxy.filters.site import Site
from proxy.filters.template import Template, template
from proxy.http1.facts import Facts
from proxy.http1.host import normal_host
from proxy.http1.owned import TOLD

Do = Callable[[Facts], None]

_APART: Final = ("host", "cookie")  # a head keeps them outside its block


@FILTERS.register("request_headers")
@dataclass(frozen=True, slots=True)
class RequestHeaders:
    """Changes header fields on the way upstream: `set` replaces, `add` adds one more line, `remove` takes out.

    `set: {host: …}` is the Host that the upstream sees. Framing fields and those that tell of the client
    (X-Forwarded-*, Forwarded, Via, X-Request-Id, X-Sluice-Shadow, traceparent) are the proxy's own and are refused.
    Values may hold templates: {client.ip}, {client.scheme}, {request.method}, {request.path}, {request.host},
    {request.id}, {request.header.NAME}, {request.cookie.NAME}, {route}, {service} and {pool}; {{pool}} writes braces.
    What comes out empty is left out. Lines with {route}, {service} or {pool} are written last, when these are known.
    """

    set: dict[str, str] = field(default_factory=dict)
    add: dict[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.set or self.add or self.remove):
            raise ValueError("request_headers changes nothing; give it headers to set, add or remove")
        require_names((*self.set, *self.add, *self.remove), TOLD)
        field_edit(self.set, self.add, ())
        for name, value in (*self.set.items(), *self.add.items()):
            if name.lower() in _APART and template(value) != value:
                raise ValueError(
                    f"{value!r} cannot be the {name}: what a client sends must not decide it; write it out"
                )
        if any(name.lower() == "host" for name in (*self.add, *self.remove)):
            raise ValueError("a request has exactly one Host; use `set` to change it")
        for host in (value for name, value in self.set.items() if name.lower() == "host"):
            require_host(host.strip(" \t"))

    def compile(self, _site: Site) -> Hooks:
        setting, adding = _in_block(self.set), _in_block(self.add)
        later = _known_later(setting), _known_later(adding)
        now = _less(setting, later[0]), _less(adding, later[1])
        # A client's own word is taken out at once, whenever ours comes.
        edit = field_edit(*now, (*later[0], *(name for name in self.remove if name.lower() not in _APART)))
        begin, chosen = _in_two(*later)
        host, cookie = _value(self.set, "host"), _value(self.set, "cookie")
        more = _value(self.add, "cookie")
        drops_cookie = any(name.lower() == "cookie" for name in self.remove)

        def on_request(facts: Facts) -> None:
            head = facts.head
            if begin is not None:
                begin(facts)
            head.block = edit.apply(head.block, facts)
            if host is not None:
                head.host, facts.host = host, normal_host(host)
            if cookie is not None or drops_cookie:
                head.cookie = cookie
            if more is not None:
                head.cookie = b"%s; %s" % (head.cookie, more) if head.cookie else more

        return Hooks(RequestFilter(on_request), chosen)


def _in_two(setting: Mapping[str, Template], adding: Mapping[str, Template]) -> tuple[Do | None, Do | None]:
    """What is done when the request comes, and when its pool is chosen: the request has been changed by then."""
    if not setting and not adding:
        return None, None
    key, gone = object(), frozenset(name.lower().encode() for name in setting)
    every = (*setting.items(), *adding.items())
    if all(made.is_steady for _, made in every):  # nothing has to be noted meanwhile
        edit = FieldEdit(gone, b"", tuple((name.encode() + b": ", made.make) for name, made in every))

        def at_once(facts: Facts) -> None:
            facts.head.block = edit.apply(facts.head.block, facts)

        return None, at_once
    rows = [(name.encode() + b": ", made.begin) for name, made in every]

    def begin(facts: Facts) -> None:
        facts.notes[key] = tuple((name, start(facts)) for name, start in rows)

    def chosen(facts: Facts) -> None:
        facts.head.block = FieldEdit(gone, b"", facts.notes[key]).apply(facts.head.block, facts)

    return begin, chosen


def _known_later(values: Mapping[str, str]) -> dict[str, Template]:
    """Those that are known only when the pool is chosen."""
    made = {name: template(value) for name, value in values.items()}
    return {name: value for name, value in made.items() if isinstance(value, Template) and value.needs_choice}


def _less(values: Mapping[str, str], taken: Mapping[str, object]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in taken}


def _in_block(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name.lower() not in _APART}


def _value(values: Mapping[str, str], wanted: str) -> bytes | None:
    return next((value.strip(" \t").encode() for name, value in values.items() if name.lower() == wanted), None)
