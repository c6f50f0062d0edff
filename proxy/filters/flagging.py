"""Flags where requests are: what is known of a request, and the outcome of each flag, once per request.

Route choice, upstream header and OFREP ask the same board with the same context, and so agree.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from proxy.filters.flag_guards import Guarding
from proxy.flags.definitions import FlagSet
from proxy.flags.evaluation import Evaluation
from proxy.flags.header import dictionary
from proxy.flags.spec import ContextSource, FlagSettings, KeySource, UpstreamHeader
from proxy.http1 import fields
from proxy.http1.cookies import find_cookie
from proxy.http1.facts import Facts
from proxy.telemetry.flag_outcomes import MOST, FlagOutcomes
from proxy.telemetry.histogram import Histogram

KEY: Final = "targetingKey"

_SIZE: Final = 16  # bytes of an identity that we make
_MADE: Final = re.compile(rb"[A-Za-z0-9_-]{22}")
_LEFT: Final = 499  # the status of a request whose client left
_NOTHING: Final[Mapping[str, Any]] = {}

Read = Callable[[Facts], str | None]


class Flagged:
    """One request's flags: each is evaluated when first asked for. `cookie` is a Set-Cookie value for the client."""

    __slots__ = ("_context", "board", "cookie", "first", "now", "outcomes")

    def __init__(self, board: "FlagBoard", now: float) -> None:
        self.board = board
        self.now = now
        self.outcomes: dict[str, Evaluation] = {}
        self._context: dict[str, Any] | None = None
        self.cookie: bytes | None = None
        self.first: int | None = None

    def outcome(self, key: str, facts: Facts) -> Evaluation:
        """The flag's outcome for this request."""
        found = self.outcomes.get(key)
        if found is None:
            board = self.board
            flag = board.flags.flags.get(key)
            # Most flags ask nothing of the request: 2 µs less than with a context.
            context = _NOTHING if flag is None or flag.rule is None or not flag.enabled else self.context(facts)
            found = self.outcomes[key] = board.flags.evaluate(key, context, self.now)
        return found

    def context(self, facts: Facts) -> dict[str, Any]:
        """What is known of the request, without what its body says."""
        context = self._context
        if context is None:
            context, self.cookie = self.board.known(facts)
            self._context = context
        return context

    def shown(self, facts: Facts) -> Mapping[str, Any]:
        """What the request shows by itself: its context without a key that was made for it."""
        if self._context is None:
            return {**self.board.static, **self.board.edge(facts)}
        if self.cookie is None:
            return self._context
        return {name: value for name, value in self._context.items() if name != KEY}

    def failed(self, status: int) -> None:
        """An attempt came to this, 0 for no response: whatever a retry delivers, the first one counts for guards."""
        if self.first is None:
            self.first = status

    def ended(self, status: int, seconds: float) -> None:
        """The request has ended with this status: count it for every flag that it had."""
        board = self.board
        for key, found in self.outcomes.items():
            if key in board.observed:
                counters = board.counted[key, found.variant or ""]
                counters.requests[status // 100] += 1
                Histogram.observe(counters.duration, seconds)
        if board.guards and self._context is not None:
            self._guarded(self._context, status)

    def _guarded(self, context: dict[str, Any], status: int) -> None:
        first = self.first
        if first is None and status in (0, _LEFT):
            return  # the client left: that says nothing of the variant
        for key, guarding in self.board.guards.items():
            if key in self.outcomes:
                guarding.count(context, self.now, status if first is None else first)


@dataclass(frozen=True, slots=True, eq=False)
class FlagBoard:
    """The flags in force. `version` changes with them; `counted` outlives them. `token` gives that many random bytes.

    `defined` are the flags without overrides. `tell` writes the upstream header of a request, where one is wanted, and
    `told` is its name in lower case.
    """

    flags: FlagSet
    settings: FlagSettings
    version: str
    counted: FlagOutcomes
    token: Callable[[int], bytes]
    defined: FlagSet
    guards: Mapping[str, Guarding] = field(default_factory=dict)
    static: Mapping[str, Any] = field(init=False)
    observed: frozenset[str] = field(init=False)
    tell: Callable[[Facts], None] | None = field(init=False)
    told: frozenset[bytes] = field(init=False)
    _readers: tuple[tuple[str, Read], ...] = field(init=False)
    _keys: tuple[Read, ...] = field(init=False)
    _made: KeySource | None = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        header = settings.upstream_header
        sources = settings.context.items()
        observed = self.flags.flags if settings.observe is None else settings.observe
        made = {
            "static": {name: each.value for name, each in sources if each.source == "value"},
            "observed": frozenset(list(observed)[:MOST]),
            "_readers": tuple((name, _reader(each)) for name, each in sources if each.source != "value"),
            "_keys": tuple(_key_reader(each) for each in settings.key_from),
            "_made": next((each for each in settings.key_from if each.source == "generate"), None),
            "told": frozenset(() if header is None else (header.name.lower().encode(),)),
            "tell": None if header is None else self._teller(header),
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    def ask(self, now: float) -> Flagged:
        """A request's flags at `now` (Unix seconds)."""
        return Flagged(self, now)

    def edge(self, facts: Facts) -> dict[str, Any]:
        """What the edge knows of a request, its key among it where it shows one."""
        found: dict[str, Any] = {}
        for name, read in self._readers:
            value = read(facts)
            if value is not None:
                found[name] = value
        for of_key in self._keys:
            value = of_key(facts)
            if value:
                found[KEY] = value
                break
        return found

    def known(self, facts: Facts) -> tuple[dict[str, Any], bytes | None]:
        """The context of a request, and a Set-Cookie value where its key was made for it."""
        context = {**self.static, **self.edge(facts)}
        if KEY in context or self._made is None:
            return context, None
        context[KEY], cookie = self.made_key(facts)
        return context, cookie

    def made_key(self, facts: Facts) -> tuple[str, bytes | None]:
        """A new key, and the Set-Cookie value that gives it to the client (RFC 6265 §4.1)."""
        value = urlsafe_b64encode(self.token(_SIZE)).rstrip(b"=")
        made = self._made or KeySource("generate")
        line = b"%s=%s; Max-Age=%d; Path=/; HttpOnly; SameSite=Lax" % (made.name.encode(), value, int(made.ttl))
        return value.decode(), line + b"; Secure" if facts.scheme == b"https" else line

    def noting(self, counted: FlagOutcomes) -> Callable[[str, Evaluation], None]:
        """What counts the outcomes that clients are told."""
        observed = self.observed

        def note(key: str, found: Evaluation) -> None:
            if key in observed:
                counted[key, found.variant or ""].evaluations += 1

        return note

    @property
    def makes_keys(self) -> bool:
        """Is a key made for who has none?"""
        return self._made is not None

    def _teller(self, header: UpstreamHeader) -> Callable[[Facts], None]:
        told = tuple(header.flags or self.flags.flags)
        gone, start = frozenset((header.name.lower().encode(),)), header.name.encode() + b": "

        def tell(facts: Facts) -> None:
            flagged, head = facts.flagged, facts.head
            value = dictionary((key, flagged.outcome(key, facts)) for key in told)
            head.block = fields.without(head.block, gone)
            if value:
                head.block += start + value.encode("ascii") + b"\r\n"

        return tell


def _reader(of: ContextSource) -> Read:
    name = of.name.encode()
    match of.source:
        case "header":
            lower = name.lower()
            return lambda facts: _text(facts.head.get(lower))
        case "cookie":
            return lambda facts: _text(_cookie(facts, name))
        case "query":
            return lambda facts: _text(parameter(facts.query, name))
    return lambda facts: facts.client or None


def _key_reader(of: KeySource) -> Read:
    if of.source != "generate":
        return _reader(ContextSource(of.source, of.name))
    name = of.name.encode()

    def read(facts: Facts) -> str | None:
        value = _cookie(facts, name)
        return value.decode() if value is not None and _MADE.fullmatch(value) else None

    return read


def _cookie(facts: Facts, name: bytes) -> bytes | None:
    header = facts.head.cookie
    return find_cookie(header, name) if header else None


def parameter(query: bytes, wanted: bytes) -> bytes | None:
    """The first value of this name in a query, decoded."""
    for pair in query.split(b"&") if query else ():
        name, _, value = pair.partition(b"=")
        if unquote_to_bytes(name) == wanted:
            return unquote_to_bytes(value.replace(b"+", b" "))
    return None


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
