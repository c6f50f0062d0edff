"""What comes from a client: heads become exchanges, and their bodies are fed to them.

It reads, and nothing else: the bytes come from the connection, which also answers, closes and keeps the deadlines.
"""

import logging
from math import inf
from typing import TYPE_CHECKING, Final

from proxy.dataplane.exchange import Exchange
from proxy.dataplane.forwarding import Origin
from proxy.dataplane.replies import own
from proxy.dataplane.request_body import RequestBody
from proxy.http1.errors import MessageError
from proxy.http1.head import parse_request_head
from proxy.http1.message import CLOSE, EXPECT_CONTINUE, KEEP_ALIVE, NO_BODY, RequestHead
from proxy.http1.parser import ordinary_request_head

if TYPE_CHECKING:
    from proxy.dataplane.downstream import Downstream

log = logging.getLogger(__name__)

# Where a connection stands.
HEAD: Final = 0  # between requests, or in a head
BODY: Final = 1  # in a request's body
WAIT: Final = 2  # the request is complete, its response is not
DRAIN: Final = 3  # the response is complete, the rest of the request is thrown away
CLOSED: Final = 4  # or the connection has become another's: a tunnel's, or one that only lingers

_CRASHED: Final = "a request failed inside the proxy: %r"


def take_head(connection: "Downstream", data: bytes) -> bytes:
    """Take one head, if it is whole, and begin its exchange; what is left over comes back."""
    listener = connection.listener
    head = ordinary_request_head(data, listener.head_limits)
    if head is None:
        head = _read_head(connection, data)
        if head is None:
            return b""
    connection.buffer = b""
    connection.minor = minor = head.minor
    flags = head.flags
    connection.keep = not flags & CLOSE if minor else bool(flags & KEEP_ALIVE)
    length = head.length
    if length > 0:
        limit = listener.limits.body
        if limit is not None and length > limit:
            connection.refuse(*own("body_too_large"), head)
            return b""
    plane = connection.plane
    origin = connection.origin or _meet(connection)
    exchange = connection.exchange = Exchange(plane, connection, head, origin.describe(head), plane.clock())
    if length == NO_BODY or length == 0:  # noqa: PLR1714 - a tuple costs more
        connection.state = WAIT
        connection.deadline = inf
        try:  # as in _guarded_begin; a call less on the ordinary way
            exchange.begin(b"", True)
        except Exception:
            log.exception(_CRASHED, exchange)
            _crashed(connection, exchange)
        return data[head.size :]
    return _begin_with_body(connection, exchange, head, data[head.size :])


def _read_head(connection: "Downstream", data: bytes) -> RequestHead | None:
    """What is no ordinary head: an unusual one, or the beginning of one, or wrong and refused."""
    try:
        head = parse_request_head(data, connection.listener.head_limits)
    except MessageError as error:
        connection.refuse(error.status, error.reason, str(error))
        return None
    if head is None:
        if not connection.buffer:
            # For the whole of it, not for a byte.
            connection.watch(connection.plane.wheel.now + connection.listener.limits.head_timeout)
        connection.buffer = data
    elif head.method == b"CONNECT":
        connection.refuse(*own("connect_unsupported"), head)
        return None
    return head


def _begin_with_body(connection: "Downstream", exchange: Exchange, head: RequestHead, rest: bytes) -> bytes:
    """Begin the exchange with what came of its body behind the head; what is left over comes back."""
    listener = connection.listener
    body = connection.body = RequestBody(head.length, listener.head_limits, listener.limits.body)
    body.awaits_continue = not rest and bool(head.flags & EXPECT_CONTINUE and connection.minor)
    connection.state = BODY
    try:
        piece = body.take(rest)
    except MessageError as error:
        connection.exchange = None
        connection.refuse(error.status, error.reason, str(error), head)
        return b""
    if not body.is_complete:
        connection.watch_body()
        _guarded_begin(connection, exchange, piece, False)
        return b""
    _body_ends(connection)
    if body.trailers:
        exchange.take_trailers(body.trailers)
    else:
        head.length = len(piece)  # all of it is here: its length says more than chunks
    _guarded_begin(connection, exchange, piece, True)
    return body.rest


def _guarded_begin(connection: "Downstream", exchange: Exchange, body: bytes, done: bool) -> None:
    try:
        exchange.begin(body, done)
    except Exception:
        log.exception(_CRASHED, exchange)
        _crashed(connection, exchange)


def take_body(connection: "Downstream", data: bytes) -> None:
    """Feed what came of the body to the exchange."""
    exchange, body = connection.exchange, connection.body
    if exchange is None or body is None:
        return
    body.awaits_continue = False
    try:
        piece = body.take(data)
    except MessageError as error:
        connection.spoil(exchange, error.reason, error.status, str(error))
        return
    if body.is_complete:
        _last_piece(connection, exchange, body, piece)
    elif exchange.response_done and body.wastes(data):
        connection.keep = False
        exchange.give_up()
    elif piece:
        exchange.request_data(piece)


def _last_piece(connection: "Downstream", exchange: Exchange, body: RequestBody, piece: bytes) -> None:
    connection.buffer = body.rest
    _body_ends(connection)  # before anything is done with the piece: whatever ends the exchange finds it complete
    if piece:
        exchange.request_data(piece)
    if connection.exchange is exchange:
        exchange.request_end(body.trailers)


def _body_ends(connection: "Downstream") -> None:
    """The request is complete: its response is waited for."""
    connection.body = None
    connection.state = WAIT
    connection.deadline = inf


def throw_away(connection: "Downstream", data: bytes) -> None:
    """Read on to the end of a body that nobody wants; then the next request may come."""
    body = connection.body
    if body is None:
        return
    try:
        body.feed(data)
    except MessageError:
        connection.linger()
        return
    if body.is_complete:
        connection.body = None
        connection.state = HEAD
        connection.watch(connection.plane.wheel.now + connection.listener.limits.keep_alive)
        connection.pump(body.rest)
    elif body.wastes(data):
        connection.linger()


def _meet(connection: "Downstream") -> Origin:
    """Who the client is: worked out at its first request, since many connections never make one."""
    origin = connection.origin = Origin(connection.client, connection.listener.trusted, connection.plane.bits)
    return origin


def _crashed(connection: "Downstream", exchange: Exchange) -> None:
    """The outermost guard has caught something: one request's fault must stay its own."""
    connection.keep = False
    if exchange.responded:
        connection.abort()
    else:
        exchange.spoil("internal_error")
