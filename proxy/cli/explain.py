"""`sluice explain`: a request made up from the command line, and where it would go."""

import os
import secrets
import sys
import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from proxy.cli.check import report
from proxy.config.load import load
from proxy.filters.effects import ChoosePool, Reply
from proxy.http1.errors import MessageError
from proxy.http1.host import normal_host
from proxy.http1.limits import HeadLimits
from proxy.http1.message import RequestHead, ResponseHead
from proxy.http1.parser import parse_request_head
from proxy.http1.target import canonical_path, split_target
from proxy.pools.registry import EndpointRegistry
from proxy.routing.explain import explain as sentences
from proxy.snapshot.compile import CompileError, Snapshot, compile_snapshot
from proxy.snapshot.document import Document

REFUSED: Final = 1
USAGE: Final = 2


@dataclass(frozen=True, slots=True)
class Question:
    """The request that is asked about, as typed. `url` may be a path alone; the host is then what `headers` say."""

    method: str
    url: str
    headers: tuple[str, ...] = ()
    client: str = "127.0.0.1"


@dataclass(slots=True)
class Asked:
    """A request as routing sees it; filters may change it."""

    head: RequestHead
    path: bytes
    query: bytes
    host: bytes
    client: str
    scheme: bytes
    is_ready: bool = True
    now: float = 0.0
    request_id: bytes = b""
    route_name: str = ""
    service_name: str = ""
    pool_name: str = ""
    notes: dict[object, Any] = field(default_factory=dict)
    flagged: Any = None

    async def ask(self, service: str, _head: RequestHead, _body: bytes) -> tuple[ResponseHead, bytes]:
        """Nothing is asked to explain something."""
        raise ConnectionError(service)


class UsageError(Exception):
    """What was typed is no request."""


def explain(config: Path, question: Question) -> int:
    """Print which routes were tried, why each matched or not, and where the request would go; the exit status."""
    loaded = load(config, os.environ)
    if loaded.document is None:
        report(loaded)
        return REFUSED
    try:
        snapshot = _snapshot(loaded.document)
        print("\n".join(_answer(snapshot, _asked(question, loaded.document))))
        if loaded.document.uses:
            print(f"without what plug-ins would do, which are not run to explain: {', '.join(loaded.document.uses)}")
    except UsageError as error:
        return _say(str(error), USAGE)
    except MessageError as error:
        return _say(f"the request would be refused with {error.status} ({error.reason}): {error}", REFUSED)
    except CompileError as error:
        return _say(str(error), REFUSED)
    return 0


def _say(text: str, status: int) -> int:
    print(f"sluice: {text}", file=sys.stderr)
    return status


def _snapshot(document: Document) -> Snapshot:
    made_key = (secrets.token_hex(32),)
    return compile_snapshot(
        document, 1, EndpointRegistry(), lambda: 0.0, cookie_keys=made_key, token=secrets.token_bytes
    )


def _asked(question: Question, document: Document) -> Asked:
    limits = document.listeners[0].limits
    head = parse_request_head(_head(question), HeadLimits(limits.head, limits.fields, limits.target))
    if head is None:
        raise UsageError("this is not the head of one request")
    if head.method == b"CONNECT":
        raise MessageError(501, "connect", "CONNECT is not supported")
    path, query = (head.target, b"") if head.target == b"*" else split_target(head.target)
    path = path if path == b"*" else canonical_path(path)
    scheme = b"https" if question.url.lower().startswith("https://") else b"http"
    return Asked(head, path, query, normal_host(head.host), _client(question.client), scheme)


def _client(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise UsageError(f"{text!r} is not an IP address") from None


def _head(question: Question) -> bytes:
    host, target = _host_and_target(question.url)
    lines = [f"{question.method} {target} HTTP/1.1"]
    if not any(header.lower().startswith("host:") for header in question.headers):
        lines.append(f"Host: {host or 'localhost'}")
    elif host:
        raise UsageError("the URL names a host already; leave -H host out, or write the path alone")
    for header in question.headers:
        if ":" not in header:
            raise UsageError(f"{header!r} is not a header; write -H 'name: value'")
        lines.append(header)
    typed = [question.method, question.url, *question.headers]
    if any("\r" in text or "\n" in text for text in typed) or not question.method or " " in question.method:
        raise UsageError("method, URL and headers are one line each, and the method one word")
    return os.fsencode("\r\n".join(lines)) + b"\r\n\r\n"


def _host_and_target(url: str) -> tuple[str, str]:
    if url.startswith("/") or url == "*":
        return "", url
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise UsageError(f"{url!r} is not a URL; write http://shop.example.com/cart or /cart")
    end = min((index for index in map(rest.find, "/?#") if index >= 0), default=len(rest))
    host, target = rest[:end], rest[end:]
    if not host:
        raise UsageError(f"{url!r} names no host")
    return host, target if target.startswith("/") else f"/{target}"


def _answer(snapshot: Snapshot, asked: Asked) -> list[str]:
    if snapshot.flags is not None:
        asked.flagged = snapshot.flags.ask(time.time())
    for one in snapshot.filters:
        effect = one.on_request(asked)
        if isinstance(effect, Reply):
            return [f"a filter before routing answers it: {effect.status}"]
        if isinstance(effect, ChoosePool):
            return [f"a filter before routing sends it to pool {effect.name}"]
    return sentences(snapshot.router, asked, time.time())
