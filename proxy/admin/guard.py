"""Safe by default: who may call the admin at all, from where, and with which requests.

Everything is looked up in the document in force at each request, so that a reload is obeyed by the next one.
"""

import hmac
import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import HttpVersion10, web

from proxy.admin.operation import Operation, Way
from proxy.admin.problem import ProblemError
from proxy.flags.tickets import is_good, ticket
from proxy.snapshot.document import Admin, AdminToken

OURS: Final = re.compile(r"(?i)(^|,)\s*1\.[01]\s+sluice\b")  # what our data plane adds to Via
STRANGE: Final = "strange"  # the key that marks a request of a shape which we do not take
UNNAMED: Final = "admin"  # who a change is by where no token tells
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::[0-9]{1,5})?")
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="sluice"'}
_SAME: Final = ("same-origin", "none")


def check_shape(request: web.BaseRequest) -> None:
    """Refuse what other programs would read in another way (RFC 9112 §2.2, §3.2, §6.1), and what we sent ourselves."""
    wrong = _wrong_shape(request)
    if wrong is not None:
        request[STRANGE] = True
        raise ProblemError(400, wrong)
    if any(OURS.search(value) for value in request.headers.getall("Via", ())):
        raise ProblemError(403, "the request came through a listener of this proxy, which must not lead to its admin")


def _wrong_shape(request: web.BaseRequest) -> str | None:
    if request.get(STRANGE):
        return "the request is not HTTP/1.1 nor HTTP/1.0"
    if "Upgrade" in request.headers and request.method not in ("GET", "HEAD"):
        return "the admin does not upgrade"  # aiohttp leaves the body of such a request unread
    if request.version == HttpVersion10 and "Transfer-Encoding" in request.headers:
        return "Transfer-Encoding does not exist in HTTP/1.0"
    if not request.raw_path.startswith("/") or request.raw_path.startswith("//"):
        return "the target of the request is not a path"
    return None


def must_close(request: web.BaseRequest) -> bool:
    """Whether what follows on the connection might be part of this request, or its sender is not to be trusted."""
    return bool(request.get(STRANGE)) or "Upgrade" in request.headers


def check_site(request: web.BaseRequest, admin: Admin) -> None:
    """Refuse names that were made to point here (DNS rebinding), and what a page of another site has sent."""
    host = request.headers.get("Host", "")
    if not _is_unix(request) and not _is_host(host, admin.hosts, _local_host(request)):
        detail = f"the name {host[:100]!r} is not one of this admin's; add it to admin.hosts, or use 127.0.0.1"
        raise ProblemError(403, detail)
    origin = request.headers.get("Origin")
    if origin is not None and _site(origin) != host.lower():
        raise ProblemError(403, "the request comes from a page of another site (Origin)")
    if any(value not in _SAME for value in request.headers.getall("Sec-Fetch-Site", ())):
        raise ProblemError(403, "the request comes from a page of another site (Sec-Fetch-Site)")


def authorised(request: web.BaseRequest, admin: Admin, operation: Operation | None, now: float) -> str:
    """The name of who asks at `now` (Unix seconds); ProblemError where their token is not good for it."""
    tokens = _tokens(admin)
    if not tokens:
        return UNNAMED
    needs, ways = ("read", ()) if operation is None else (operation.needs, operation.ways)
    token = _shown(request, tokens, ways, now)
    if token is None:
        raise ProblemError(401, "the admin needs a bearer token: Authorization: Bearer …", _CHALLENGE)
    if needs not in token.can:
        raise ProblemError(403, f"the token of {token.name} is good for {' and '.join(token.can)}, this needs {needs}")
    return token.name


def ticket_for(admin: Admin, name: str, now: float) -> str:
    """What stands for the token of this name in a URL; "" where none is needed."""
    return next((ticket(token.value.encode(), now) for token in _tokens(admin) if token.name == name), "")


def _tokens(admin: Admin) -> list[AdminToken]:
    return [*admin.tokens, *([AdminToken(UNNAMED, admin.token)] if admin.token else [])]


def _shown(request: web.BaseRequest, tokens: list[AdminToken], ways: tuple[Way, ...], now: float) -> AdminToken | None:
    """The token that the request shows, in the first of the ways that it makes use of."""
    fields, keys = (request.headers.getall(name, ()) for name in ("Authorization", "X-API-Key"))
    if "api_key" in ways and keys and not fields:
        return _found([f"Bearer {key}" for key in keys], tokens)
    if "ticket" in ways and not fields:
        given = request.query.get("ticket", "")
        return next((token for token in tokens if is_good(given, token.value.encode(), now)), None)
    return _found(fields, tokens)


def _found(fields: Iterable[str], tokens: list[AdminToken]) -> AdminToken | None:
    """The token that was sent. Every one is compared, in a time that does not tell how much of it was right."""
    (field, *more) = list(fields) or [""]
    scheme, _, sent = field.partition(" ")
    given = sent.strip(" ").encode(errors="surrogateescape")
    same = [token for token in tokens if hmac.compare_digest(token.value.encode(), given)]
    return same[0] if same and not more and scheme.lower() == "bearer" else None


def _site(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _is_host(field: str, names: Iterable[str], local: str) -> bool:
    found = _HOST.fullmatch(field)
    if found is None:
        return False
    host = found[1].lower().removesuffix(".")
    if host == "localhost" or host in names:
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address.is_loopback or str(address) == local


def _local_host(request: web.BaseRequest) -> str:
    """The address that the connection came in at, which is the bind's or, for 0.0.0.0, one of this machine's."""
    name: Any = request.transport.get_extra_info("sockname") if request.transport else None
    return str(name[0]) if isinstance(name, tuple) else ""


def _is_unix(request: web.BaseRequest) -> bool:
    name: Any = request.transport.get_extra_info("sockname") if request.transport else None
    return isinstance(name, str | bytes)
