"""Replies of our own: one line of text, and the reason token that logs and metrics carry too."""

from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from proxy.http1.message import NO_BODY, ResponseHead

# reason -> (status, sentence). Reasons of malformed heads come with their MessageError.
REPLIES: Final[dict[str, tuple[int, str]]] = {
    "no_route": (404, "no route matches this request"),
    "head_timeout": (408, "the request head took too long"),
    "body_timeout": (408, "the request body came too slowly"),
    "body_too_large": (413, "the request body is larger than is taken here"),
    "expectation_failed": (417, "only Expect: 100-continue is understood"),
    "loop": (421, "this request has passed through this kind of proxy too often"),
    "connect_unsupported": (501, "CONNECT is not offered here"),
    "connect_failed": (502, "the upstream refused the connection"),
    "upstream_reset": (502, "the upstream closed the connection without a response"),
    "upstream_malformed": (502, "the upstream's response is malformed"),
    "upstream_failed": (502, "the upstream failed"),
    "no_pool": (503, "a filter named a pool that this service does not have"),
    "no_endpoint": (503, "no usable endpoint"),
    "overloaded": (503, "too many requests are waiting for this pool"),
    "pending_timeout": (503, "waited too long for a connection to this pool"),
    "internal_error": (500, "the proxy failed on this request"),
    "connect_timeout": (504, "the upstream did not take the connection in time"),
    "response_timeout": (504, "the upstream did not respond in time"),
    "try_timeout": (504, "the upstream did not respond in time"),
    "send_timeout": (504, "the upstream did not take the request in time"),
    "total_timeout": (504, "the request took too long in all"),
}

PHRASES: Final = {status.value: status.phrase.encode() for status in HTTPStatus}


def phrase(status: int) -> bytes:
    """The reason phrase of a status, b"" for one that has none."""
    return PHRASES.get(status, b"")


def own(reason: str) -> tuple[int, str, str]:
    """(status, reason, sentence) of one of the REPLIES."""
    status, message = REPLIES[reason]
    return status, reason, message


def text_reply(status: int, reason: str, message: str) -> tuple[ResponseHead, bytes]:
    """Head and body of a reply of our own."""
    body = f"{status} {message}\n".encode()
    block = f"Content-Type: text/plain; charset=utf-8\r\nx-sluice-reason: {reason}\r\n".encode()
    return own_head(status, block, len(body)), body


def own_head(status: int, block: bytes, length: int) -> ResponseHead:
    """The head of a response that begins here, with the Date that RFC 9110 §6.6.1 asks of its origin."""
    date = b"Date: %b\r\n" % formatdate(usegmt=True).encode()
    # RFC 9110 §8.6: no length where there is never a body.
    return ResponseHead(status, phrase(status), 1, NO_BODY if status in (204, 304) else length, 0, date + block, 0)
