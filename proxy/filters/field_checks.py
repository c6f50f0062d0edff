"""Names and values of fields as options give them: checked once, so that none can break a message."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from proxy.http1.host import valid_host
from proxy.http1.names import CONNECTION, CONTENT_LENGTH, DROP, FORWARDED, TE, TRANSFER_ENCODING, UPGRADE, request_code
from proxy.http1.owned import FRAMING

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_FRAMED: Final = "it belongs to the framing"
_UNSEEN: Final = {
    **dict.fromkeys((CONNECTION, CONTENT_LENGTH, DROP, TE, TRANSFER_ENCODING, UPGRADE), _FRAMED),
    FORWARDED: "the proxy itself tells of the client; use {client.ip}, {client.scheme} or {request.id}",
}


def field_lines(values: Mapping[str, str]) -> bytes:
    """The fields as lines that each end in CRLF; ValueError where one could break the message (RFC 9110 §5)."""
    return b"".join(_line(name, value) for name, value in values.items())


def require_names(names: Iterable[str], own: frozenset[str] = frozenset()) -> None:
    """ValueError unless every name is a token, not a matter of framing and not among the proxy's `own`."""
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a header; use letters, digits and -")
        if name.lower() in FRAMING:
            raise ValueError(f"header {name!r} is a matter of framing, which is the proxy's own; leave it out")
        if name.lower() in own:
            raise ValueError(f"header {name!r} is written by the proxy itself; leave it out")


def require_tokens(texts: Iterable[str]) -> None:
    """ValueError unless each may be a method, or the name of a header or cookie (RFC 9110 §5.6.2)."""
    for text in texts:
        if not _TOKEN.fullmatch(text):
            raise ValueError(f"{text!r} is not a name; use letters, digits and -")


def require_readable(name: str) -> None:
    """ValueError unless filters see this field of a request."""
    require_tokens((name,))
    code = request_code(name.lower().encode())
    if code in _UNSEEN:
        raise ValueError(f"filters do not see the header {name!r}: {_UNSEEN[code]}")


def require_host(host: str) -> None:
    """ValueError unless this may be the value of a Host field (RFC 9110 §7.2)."""
    if not host.isascii() or not valid_host(host.encode()):
        raise ValueError(f"{host!r} is not a host; write it like shop.internal or shop.internal:8080")


def _line(name: str, value: str) -> bytes:
    if _CONTROL.search(value):
        raise ValueError(f"the value of header {name!r} holds a control character; write one line of text")
    return b"%s: %s\r\n" % (name.encode(), value.strip(" \t").encode())
