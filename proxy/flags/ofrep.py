"""OFREP 0.3.0 without a server: a request's method, path, fields and body in; status, fields and body out.

Answers suit the strictest of the real clients: key, reason and variant always, error details with every error, never
a null value. The ETag covers flags and context, and the time where a rule reads it (open-feature/protocol).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from proxy.flags.context import LARGEST, ContextError, decode, merge
from proxy.flags.definitions import FlagSet
from proxy.flags.evaluation import FLAG_NOT_FOUND, Evaluation

PREFIX = "/ofrep/v1/evaluate/flags"
EVENTS = "/ofrep/v1/events"
INACTIVITY = 120
"""Seconds after which a page that nobody looks at may stop listening."""
INVALID_CONTEXT, PARSE_ERROR = "INVALID_CONTEXT", "PARSE_ERROR"
KEY = "targetingKey"


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send: a status, fields in lower case, and a body that may be empty."""

    status: int
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the protocol sees it. `path` is without query; field names are in lower case.

    `base` is what stands before `path` in the URL of the client.
    """

    method: str
    path: str
    fields: Mapping[str, str]
    body: bytes
    base: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """What is served to one kind of caller.

    `version` changes with the flags and everything else that changes answers. `public` limits what is seen, None shows
    all. `explicit` sends a flag's default variant instead of nothing where no value applies. `ticket` makes what a
    client shows to hear of changes at `now`; None where it can't, "" where nothing is needed. `note` is told of every
    evaluation that is answered.
    """

    flags: FlagSet
    version: str
    static: Mapping[str, Any] = field(default_factory=dict)
    public: frozenset[str] | None = None
    explicit: bool = False
    ticket: Callable[[float], str] | None = None
    note: Callable[[str, Evaluation], None] | None = None

    def answer(
        self, asked: Asked, edge: Mapping[str, Any], now: float, identify: Callable[[], str] | None = None
    ) -> Answer:
        """The answer at `now` (Unix seconds) with what the edge knows; `identify` makes a key for who has none."""
        key = key_of(asked.path)
        if key is None:
            return failure(404, None, FLAG_NOT_FOUND, "there is nothing here; ask /ofrep/v1/evaluate/flags")
        if asked.method != "POST":
            return wrong_method("POST")
        if len(asked.body) > LARGEST:
            return too_large()
        try:
            client = _context(asked.body)
        except ContextError as error:
            code = PARSE_ERROR if "no JSON" in str(error) else INVALID_CONTEXT
            return failure(400, key or None, code, str(error))
        context = merge(client, self.static, edge)
        if identify is not None and not context.get(KEY):
            context[KEY] = identify()
        return self._single(key, context, now) if key else self._bulk(asked, context, now)

    def _evaluate(self, key: str, context: Mapping[str, Any], now: float) -> Evaluation:
        found = self.flags.evaluate(key, context, now)
        if self.note is not None:
            self.note(key, found)
        return found

    def _single(self, key: str, context: Mapping[str, Any], now: float) -> Answer:
        if not self._visible(key):
            return failure(404, key, FLAG_NOT_FOUND, f"there is no flag {key[:64]!r}")
        found = self._evaluate(key, context, now)
        status = 200 if found.error_code is None else 404 if found.error_code == FLAG_NOT_FOUND else 400
        return _json(status, self.shown(key, found))

    def _bulk(self, asked: Asked, context: Mapping[str, Any], now: float) -> Answer:
        keys = [key for key in self.flags.flags if self._visible(key)]
        timed = any(self.flags.flags[key].reads_time for key in keys)
        events = None if self.ticket is None else self._events(asked.base, self.ticket(now))
        tag = self._tag(context, int(now) if timed else 0, events)
        fields = {"etag": tag}
        if matches(asked.fields.get("if-none-match", ""), tag):
            return Answer(304, fields)
        body: dict[str, Any] = {"flags": [self.shown(key, self._evaluate(key, context, now)) for key in keys]}
        if self.flags.metadata:
            body["metadata"] = dict(self.flags.metadata)
        if events is not None:
            endpoint = {"requestUri": events}
            body["eventStreams"] = [{"type": "sse", "endpoint": endpoint, "inactivityDelaySec": INACTIVITY}]
        return _json(200, body, fields)

    def _events(self, base: str, ticket: str) -> str:
        """Where to hear of changes from this version on, whenever the client gets there."""
        return f"{base}{EVENTS}?since={self.version}{'&ticket=' if ticket else ''}{ticket}"

    def _tag(self, context: Mapping[str, Any], second: int, events: str | None) -> str:
        """`events` too: its ticket does not last, and a client goes by the last one that it was given."""
        known = [self.version, sorted(self.public or ()), self.public is None, self.explicit, second, events, context]
        return f'"{sha1(msgspec.json.encode(known, order="sorted"), usedforsecurity=False).hexdigest()}"'

    def _visible(self, key: str) -> bool:
        return key in self.flags.flags and (self.public is None or key in self.public)

    def shown(self, key: str, found: Evaluation) -> dict[str, Any]:
        """One evaluation as the protocol writes it; bodies of errors carry code and details."""
        body: dict[str, Any] = {"key": key}
        if found.error_code is not None:
            body |= {"errorCode": found.error_code, "errorDetails": found.error}
        else:
            body |= {"reason": found.reason, "variant": found.variant or ""}
            if found.variant is not None:
                body["value"] = found.value
            elif self.explicit:
                body |= self._default_of(key)
        return body | {"metadata": dict(found.metadata)}

    def _default_of(self, key: str) -> dict[str, Any]:
        flag = self.flags.flags[key]
        return {} if flag.default is None else {"variant": flag.default, "value": flag.variants[flag.default]}


def key_of(path: str) -> str | None:
    """The key that a path names, "" for all flags, None for another path. Keys are not escaped by every client."""
    if path in (PREFIX, PREFIX + "/"):
        return ""
    if not path.startswith(PREFIX + "/"):
        return None
    return unquote_to_bytes(path[len(PREFIX) + 1 :]).decode("utf-8", "replace")


def matches(wanted: str, tag: str) -> bool:
    """Whether If-None-Match names this ETag, by weak comparison (RFC 9110 §13.1.2)."""
    return wanted.strip() == "*" or any(each.strip().removeprefix("W/") == tag for each in wanted.split(","))


def failure(status: int, key: str | None, code: str, details: str) -> Answer:
    """The protocol's error body; without `key` for bulk evaluation."""
    return _json(status, ({"key": key} if key else {}) | {"errorCode": code, "errorDetails": details})


def refused(status: int, details: str) -> Answer:
    """401 and 403, for which the protocol has no body of its own; real clients read errorDetails."""
    fields = {"www-authenticate": "Bearer"} if status == 401 else {}
    return _json(status, {"errorCode": "GENERAL", "errorDetails": details}, fields)


def wrong_method(allowed: str) -> Answer:
    """405."""
    return _json(405, {"errorCode": "GENERAL", "errorDetails": f"ask by {allowed}"}, {"allow": allowed})


def busy(most: int) -> Answer:
    """503 for who wants to hear of changes where so many do already; real clients ask again by themselves, or poll."""
    return _json(503, {"errorDetails": f"{most} clients are told of changes already"}, {"retry-after": "10"})


def too_large() -> Answer:
    """413, as flagd words it."""
    return _json(413, {"errorDetails": f"the body is larger than {LARGEST} bytes"})


def _context(body: bytes) -> dict[str, Any]:
    """The context of a body; an empty body, no context and one without targetingKey are what real clients send."""
    if not body.strip():
        return {}
    found = decode(body)
    context = found.get("context") if isinstance(found, dict) else found
    if not isinstance(found, dict) or not isinstance(context, (dict, type(None))):
        raise ContextError('the body must be an object like {"context": {"targetingKey": "..."}}')
    return context or {}


def _json(status: int, body: Any, fields: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, {"content-type": "application/json", **(fields or {})}, msgspec.json.encode(body))
