"""Filter `cors`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from proxy.core.regex import compile_regex
from proxy.core.units import Unit
from proxy.filters.effects import Reply
from proxy.filters.field_checks import require_tokens
from proxy.filters.registry import FILTERS, Hooks, RequestFilter, ResponseFilter
from proxy.filters.site import Site
from proxy.http1 import fields
from proxy.http1.facts import Facts
from proxy.http1.message import RequestHead, ResponseHead

Allows = Callable[[bytes], bool]

_ANY: Final = "*"
_ORIGIN: Final = re.compile(
    r"([a-z][a-z0-9+.-]*)://(\*\.)?([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?"
)
_SEEN: Final = re.compile(rb"[a-z][a-z0-9+.-]*://[^\s,/?#@]+")  # RFC 6454 §6.2, one of them
_USUAL: Final = {"http": ":80", "https": ":443"}
_FIELDS: Final = frozenset(
    {
        *(b"access-control-allow-credentials", b"access-control-allow-headers", b"access-control-allow-methods"),
        *(b"access-control-allow-origin", b"access-control-allow-private-network"),
        *(b"access-control-expose-headers", b"access-control-max-age"),
    }
)
_LONGEST: Final = 300  # bytes of an origin; a name has 253 at most
_VARY: Final = b"Vary: Origin\r\n"
_PREFLIGHT: Final = Reply(204)


@FILTERS.register("cors")
@dataclass(frozen=True, slots=True)
class Cors:
    """Lets pages of other origins read responses, as the Fetch standard's CORS protocol has it.

    `origins` is `*`, or a list of origins: exact (`https://app.example.com`), all below a name
    (`https://*.example.com`), a regex (`~https://pr-[0-9]+\\.example\\.com`), or `null`, which none of these matches.
    `methods`, `headers`, `expose` and `max_age` are what pages may use, send and read, and for how long a browser
    remembers it. `credentials` lets them send cookies; nothing may be `*` then. OPTIONS with
    Access-Control-Request-Method is answered here with 204, and what the upstream says of CORS is replaced, also on
    replies of the proxy's own. Of several on one way, the first decides.
    """

    origins: str | tuple[str, ...]
    methods: tuple[str, ...] = ("GET", "HEAD", "POST")
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age: Annotated[float, Unit.DURATION] = 600.0

    def __post_init__(self) -> None:
        if not self._origins:
            raise ValueError("cors allows no origin; name one such as https://app.example.com")
        if _ANY in self._origins and len(self._origins) > 1:
            raise ValueError("`*` is every origin already; leave the others out")
        if self.credentials and _ANY in (*self._origins, *self.methods, *self.headers, *self.expose):
            raise ValueError("`*` with credentials means nothing to browsers; name origins, methods and headers")
        if self.max_age < 0:
            raise ValueError("max_age is no time; write it like 10m, or 0s for not at all")
        require_tokens((*self.methods, *self.headers, *self.expose))
        for method in self.methods:
            if method != method.upper():
                raise ValueError(f"{method!r} is not a method that is asked for; methods are upper case, such as PUT")
        _allowing(self._origins)

    def compile(self, _site: Site) -> Hooks:
        key = object()
        allow, varying, varies = self.grants(), self.varying(), self._origins != (_ANY,)

        def on_request(facts: Facts) -> Reply | None:
            # Noted before a later filter can take Origin away.
            facts.notes[key] = allow(facts.head)
            return _PREFLIGHT if is_preflight(facts.head) else None

        def on_response(facts: Facts, head: ResponseHead) -> None:
            lines = facts.notes.get(key)
            if lines is None:  # answered before it came here
                lines = allow(facts.head)
            block, low = head.block, head.block.lower()
            if b"access-control-" in low:
                block = fields.without(block, _FIELDS)
            if varies:  # where nothing is said of it, without another look
                block = varying(block) if b"vary:" in low else block + _VARY
            head.block = block + lines

        return Hooks(RequestFilter(on_request), response=ResponseFilter(on_response))

    @property
    def _origins(self) -> tuple[str, ...]:
        return (self.origins,) if isinstance(self.origins, str) else self.origins

    def varying(self) -> Callable[[bytes], bytes]:
        """What fields of a response become where it is not the same for every origin."""
        return _varying if self._origins != (_ANY,) else lambda block: block

    def grants(self) -> Callable[[RequestHead], bytes]:
        """What is said to one request: b"" where its origin is not allowed, or it has none."""
        allows = _allowing(self._origins)
        granted = b"Access-Control-Allow-Credentials: true\r\n" if self.credentials else b""
        exposed = _line("Expose-Headers", self.expose)
        asked = _line("Allow-Methods", self.methods) + _line("Allow-Headers", self.headers)
        asked += _line("Max-Age", (str(int(self.max_age)),))
        everyone = _ANY in self._origins

        def allow(head: RequestHead) -> bytes:
            origin = head.get(b"origin")
            if origin is None or not allows(origin):
                return b""
            named = b"Access-Control-Allow-Origin: %b\r\n" % (b"*" if everyone else origin)
            return named + granted + (asked if is_preflight(head) else exposed)

        return allow


def is_preflight(head: RequestHead) -> bool:
    """Does a browser ask what it may send?"""
    return head.method == b"OPTIONS" and head.get(b"access-control-request-method") is not None


def _line(name: str, values: Sequence[str]) -> bytes:
    return f"Access-Control-{name}: {', '.join(values)}\r\n".encode() if values else b""


def _varying(block: bytes) -> bytes:
    """With Origin among what the response varies by (RFC 9110 §12.5.5), whatever else is there already."""
    named = (fields.get(block, b"vary") or b"").lower()
    if {b"origin", b"*"} & {each.strip(b" \t") for each in named.split(b",")}:
        return block
    return block + _VARY


def _allowing(origins: tuple[str, ...]) -> Allows:
    """The test of a request's Origin; ValueError where one of the texts is no origin."""
    if origins == (_ANY,):
        return lambda _origin: True
    exact: set[bytes] = set()
    tests: list[Allows] = []
    for text in origins:
        if text == "null":
            exact.add(b"null")
        elif text.startswith("~"):
            tests.append(compile_regex(text[1:]))
        elif "*" in text:
            tests.append(_below(_checked(text)))
        else:
            exact.add(_checked(text).encode())
    return lambda origin: (
        origin in exact or (bool(tests) and _SEEN.fullmatch(origin) is not None and any(test(origin) for test in tests))
    )


def _below(text: str) -> Allows:
    start, _, end = text.partition("*")
    pattern = re.compile(rb"%b[a-z0-9_-]+(?:\.[a-z0-9_-]+)*%b" % (re.escape(start).encode(), re.escape(end).encode()))
    return lambda origin: len(origin) <= _LONGEST and pattern.fullmatch(origin) is not None


def _checked(text: str) -> str:
    """The origin as browsers write it."""
    found = _ORIGIN.fullmatch(text.lower())
    if found is None:
        raise ValueError(f"{text!r} is not an origin; write it like https://app.example.com, without a path or slash")
    if found[4] is not None and _USUAL.get(found[1]) == found[4]:
        raise ValueError(f"browsers leave out the usual port in an origin; write {text.removesuffix(found[4])}")
    return found[0]
