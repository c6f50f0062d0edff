"""One exchange as plug-ins see it: a request that may be changed, what is known of it, and its response."""

import re
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.http1.errors import MessageError
from proxy.http1.facts import Facts as Known
from proxy.http1.host import normal_host, valid_host
from proxy.http1.message import NO_BODY, RequestHead, ResponseHead
from proxy.http1.owned import FRAMING, TOLD
from proxy.http1.target import canonical_path
from proxy.plugins.headers import Headers, lines

_PATH: Final = re.compile(r"/[!$&'()*+,;=:@%/A-Za-z0-9._~-]*")
_QUERY: Final = re.compile(r"[!$&'()*+,;=:@%/?A-Za-z0-9._~\[\]|{}^`\"<>-]*")
_METHOD: Final = re.compile(r"[A-Z][A-Z-]{0,31}")
_OWN: Final = FRAMING | TOLD
_BODILESS: Final = (204, 205, 304)  # RFC 9110 §6.4.1, §15.3.6


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the plug-in's own. A body is text/plain unless `headers` say otherwise."""

    status: int = 200
    body: str | bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if type(self.status) is not int or not 200 <= self.status <= 599:
            raise ValueError(f"{self.status!r} is not a status to answer with")
        if self.body and self.status in _BODILESS:
            raise ValueError(f"an answer of status {self.status} has no body")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service said that was asked."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Flag:
    """What a feature flag came to. Without a `variant` (killed, disabled or failed) the caller's default applies."""

    variant: str | None
    value: Any
    reason: str


class Request:
    """The request on its way. What is set here is what is routed, where that is still to come, and sent upstream.

    `method` cannot be changed. `pool` is None unless this plug-in names one: it beats the sticky session and the split.
    """

    __slots__ = ("_facts", "_headers", "pool")

    def __init__(self, facts: Known) -> None:
        self._facts = facts
        self._headers: Headers | None = None  # made for who looks: 1.5 µs
        self.pool: str | None = None

    @property
    def headers(self) -> Headers:
        """Its fields, Host and Cookie among them."""
        if self._headers is None:
            head = self._facts.head
            host = (lambda: head.host or None, self._set_host)
            cookie = (lambda: head.cookie, self._set_cookie)
            self._headers = Headers(lambda: head.block, self._set_block, _OWN, {"host": host, "cookie": cookie})
        return self._headers

    @property
    def method(self) -> str:
        """GET, POST, …"""
        return self._facts.head.method.decode("latin-1")

    @property
    def path(self) -> str:
        """The path in its one form, percent-encoded."""
        return self._facts.path.decode("latin-1")

    @path.setter
    def path(self, value: str) -> None:
        if not _PATH.fullmatch(value):
            raise ValueError(f"{value!r} is not a path; begin with / and percent-encode what a URL does not take")
        try:
            self._facts.path = canonical_path(value.encode())
        except MessageError as error:
            raise ValueError(f"{value!r} is not a path: {error}") from None
        self._retarget()

    @property
    def query(self) -> str:
        """What follows the `?`."""
        return self._facts.query.decode("latin-1")

    @query.setter
    def query(self, value: str) -> None:
        if not _QUERY.fullmatch(value):
            raise ValueError(f"{value!r} is not a query; percent-encode what a URL does not take")
        self._facts.query = value.encode()
        self._retarget()

    @property
    def host(self) -> str:
        """The Host, lower case, without a port."""
        return self._facts.host.decode("latin-1")

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name; of several of one name the first."""
        cookie = self._facts.head.cookie
        pairs = [] if cookie is None else cookie.decode("latin-1").split(";")
        split = (pair.strip(" \t").partition("=") for pair in reversed(pairs))
        return {name: value for name, _, value in split if name}

    def _retarget(self) -> None:
        facts = self._facts
        facts.head.target = facts.path + b"?" + facts.query if facts.query else facts.path

    def _set_block(self, block: bytes) -> None:
        self._facts.head.block = block

    def _set_host(self, host: bytes | None) -> None:
        if host is None or not valid_host(host):
            raise ValueError(f"{host!r} is not a host")
        self._facts.head.host, self._facts.host = host, normal_host(host)

    def _set_cookie(self, cookie: bytes | None) -> None:
        self._facts.head.cookie = cookie


class Response:
    """The response on its way back."""

    __slots__ = ("_head", "_headers")

    def __init__(self, head: ResponseHead) -> None:
        self._head = head
        self._headers: Headers | None = None

    @property
    def headers(self) -> Headers:
        """Its fields."""
        if self._headers is None:
            head = self._head
            self._headers = Headers(lambda: head.block, self._set_block, FRAMING, {})
        return self._headers

    @property
    def status(self) -> int:
        """200, 404, …"""
        return self._head.status

    @status.setter
    def status(self, value: int) -> None:
        if type(value) is not int or not 200 <= value <= 599 or value in _BODILESS or self._head.status in _BODILESS:
            raise ValueError(f"the status cannot be changed from {self._head.status} to {value}")
        self._head.status, self._head.reason = value, b""

    def _set_block(self, block: bytes) -> None:
        self._head.block = block


class Facts:
    """What is known of an exchange. `notes` is a place for the plug-in's own from one of its hooks to the next."""

    __slots__ = ("_known", "_owner")

    def __init__(self, known: Known, owner: object) -> None:
        self._known = known
        self._owner = owner

    @property
    def client(self) -> str:
        """The client's IP address; "" over a unix socket."""
        return self._known.client

    @property
    def scheme(self) -> str:
        """http or https."""
        return self._known.scheme.decode()

    @property
    def request_id(self) -> str:
        """What the upstream is told as X-Request-Id."""
        return self._known.request_id.decode("latin-1")

    @property
    def route(self) -> str:
        """The route's name; "" where it has none, or before routing."""
        return self._known.route_name

    @property
    def service(self) -> str:
        """The service's name; "" before routing."""
        return self._known.service_name

    @property
    def pool(self) -> str:
        """The chosen pool's name; "" before it is chosen."""
        return self._known.pool_name

    @property
    def now(self) -> float:
        """Seconds of a clock that only goes forward."""
        return self._known.now

    @property
    def notes(self) -> dict[str, Any]:
        """Empty at first."""
        notes: dict[str, Any] = self._known.notes.setdefault(self._owner, {})
        return notes

    def flag(self, key: str) -> Flag:
        """A feature flag of this request, as routes and upstream have it; LookupError where there is no such flag."""
        found = self._known.flagged.outcome(key, self._known)
        if found.error_code == "FLAG_NOT_FOUND":
            raise LookupError(f"there is no flag {key!r}")
        value = found.value  # all requests share it, so a plug-in has its own of what could be changed
        return Flag(found.variant, deepcopy(value) if isinstance(value, (dict, list)) else value, found.reason)

    async def ask(
        self,
        service: str,
        path: str = "/",
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Ask a service of this configuration, by its split and its usable endpoints, from within an async hook.

        ConnectionError where it gives no answer, LookupError where there is no such service. At most 1 MiB is read.
        """
        asked, _, query = path.partition("?")
        if not _METHOD.fullmatch(method) or method == "CONNECT":
            raise ValueError(f"{method!r} is not a method to ask with")
        if not _PATH.fullmatch(asked) or not _QUERY.fullmatch(query):
            raise ValueError(f"{path!r} is not a path; begin with / and percent-encode what a URL does not take")
        block = lines(headers or {}, FRAMING | {"host"})
        length = len(body) if body else NO_BODY
        head = RequestHead(method.encode(), path.encode(), 1, service.encode(), length, 0, block, None, None, 0)
        answer, content = await self._known.ask(service, head, body)
        return Answer(answer.status, Response(answer).headers, content)
