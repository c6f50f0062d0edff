"""Values that are made for each request: `{client.ip}`, `{request.header.x-user}`, `{pool}`; compiled once.

`{{pool}}` writes the braces. A brace that begins no template, such as JSON's, stands for itself.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from proxy.filters.field_checks import require_readable, require_tokens
from proxy.http1.cookies import find_cookie
from proxy.http1.facts import Facts

Make = Callable[[Facts], bytes]

_NAME: Final = r"[A-Za-z][A-Za-z0-9_-]*(?:\.[!#$%&'*+^_`|~0-9A-Za-z-]+)*"
_BRACES: Final = re.compile(rf"\{{\{{({_NAME})\}}\}}|\{{({_NAME})\}}")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_KNOWN: Final[dict[str, Make]] = {
    "client.ip": lambda facts: facts.client.encode(),
    "client.scheme": lambda facts: facts.scheme,
    "request.method": lambda facts: facts.head.method,
    "request.path": lambda facts: facts.path,
    "request.host": lambda facts: facts.host,
    "request.id": lambda facts: facts.request_id,
    "route": lambda facts: facts.route_name.encode(),
    "service": lambda facts: facts.service_name.encode(),
    "pool": lambda facts: facts.pool_name.encode(),
}
_HEADER: Final = "request.header."
_COOKIE: Final = "request.cookie."
_NAMES: Final = (*_KNOWN, f"{_HEADER}NAME", f"{_COOKIE}NAME")
_CHOSEN: Final = frozenset({"route", "service", "pool"})
_STEADY: Final = _CHOSEN | {"client.ip", "client.scheme", "request.method", "request.id"}


@dataclass(frozen=True, slots=True)
class Template:
    """A value to be made. `names` are those of its templates, `make` makes it."""

    names: frozenset[str]
    parts: tuple[str | Make, ...]

    @property
    def make(self) -> Make:
        """Makes the value, b"" where there is none."""
        return _joining(self.parts)

    @property
    def needs_choice(self) -> bool:
        """Is it known only when the pool is?"""
        return not _CHOSEN.isdisjoint(self.names)

    @property
    def is_steady(self) -> bool:
        """Can no filter change what it is made of, so that it may be made when the pool is chosen?"""
        return self.names <= _STEADY

    @property
    def begin(self) -> Callable[[Facts], Make]:
        """Makes what is known before the pool is; the rest is made when it is."""
        late = {_KNOWN[name] for name in _CHOSEN}
        parts = tuple(part.encode() if isinstance(part, str) else part for part in self.parts)

        def begun(facts: Facts) -> Make:
            return _joining(tuple(part if isinstance(part, bytes) or part in late else part(facts) for part in parts))

        return begun


def template(text: str) -> str | Template:
    """The template that a text is, or the plain text; ValueError with a remedy where braces hold an unknown name."""
    parts: list[str | Make] = []
    names, end = set(), 0
    for found in _BRACES.finditer(text):
        literal, name = found.groups()
        parts.append(text[end : found.start()] + (f"{{{literal}}}" if literal else ""))
        if name:
            names.add(name)
            parts.append(_checked_getter(text, name))
        end = found.end()
    parts.append(text[end:])
    if not names:
        return "".join(map(str, parts))
    return Template(frozenset(names), tuple(parts))


def secret_names(names: frozenset[str]) -> list[str]:
    """Those that a client's browser keeps to itself, and that no response may repeat."""
    secret = ("authorization", "proxy-authorization")
    return sorted(name for name in names if name.lower().removeprefix(_HEADER) in secret)


def _checked_getter(text: str, name: str) -> Make:
    try:
        return _getter(name)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None


def _getter(name: str) -> Make:
    known = _KNOWN.get(name)
    if known is not None:
        return known
    if name.startswith(_HEADER):
        return _field(name.removeprefix(_HEADER))
    if name.startswith(_COOKIE):
        return _cookie(name.removeprefix(_COOKIE))
    near = get_close_matches(name, _NAMES, n=1)
    remedy = f"did you mean {{{near[0]}}}?" if near else f"there is {', '.join(_NAMES)};"
    raise ValueError(f"{{{name}}} is not known; {remedy} {{{{{name}}}}} writes the braces")


def _field(name: str) -> Make:
    require_readable(name)
    field = name.lower().encode()
    if field == b"cookie":
        raise ValueError("{request.header.cookie} would pass all cookies on; write {request.cookie.NAME} for one")
    return lambda facts: facts.head.get(field) or b""


def _cookie(name: str) -> Make:
    require_tokens((name,))
    cookie = name.encode()
    return lambda facts: find_cookie(facts.head.cookie or b"", cookie) or b""


def _joining(parts: Sequence[str | bytes | Make]) -> Make:
    """Nothing that could break a message comes out: no request holds such a byte, and no filter lets one through."""
    makes = [part.encode() if isinstance(part, str) else part for part in parts if part]

    def make(facts: Facts) -> bytes:
        value = b"".join([part if isinstance(part, bytes) else part(facts) for part in makes]).strip(b" \t")
        return b"" if _CONTROL.search(value) else value

    return make
