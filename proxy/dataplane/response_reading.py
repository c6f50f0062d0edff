"""What comes from an endpoint: the heads and bodies of responses, told to the exchange whose request is there.

It reads, and nothing else: the bytes come from the connection, which also sends, closes and keeps the deadlines.
"""

from typing import TYPE_CHECKING, Final

from proxy.dataplane.failures import UpstreamMalformed
from proxy.http1.errors import MessageError
from proxy.http1.framing import ChunkedDecoder, LengthDecoder
from proxy.http1.head import parse_response_head
from proxy.http1.limits import HeadLimits
from proxy.http1.message import CHUNKED, CLOSE, KEEP_ALIVE, NO_BODY, WEBSOCKET, ResponseHead

if TYPE_CHECKING:
    from proxy.dataplane.exchange import Exchange
    from proxy.dataplane.upstream import Upstream

# Where a connection stands.
IDLE: Final = 0  # among the endpoint's idle connections, or about to be
HEAD: Final = 1  # a response head is due
BODY: Final = 2  # in a body of known length, or a chunked one
UNTIL_CLOSE: Final = 3  # in a body that ends with the connection
ANSWERED: Final = 4  # the response is complete, the request is still being sent
CLOSED: Final = 5

RESPONSE_LIMITS: Final = HeadLimits(size=64 * 1024, fields=200, underscores=True)
MAX_INFORMATIONAL: Final = 10  # more 1xx than this are an attack or a loop

Decoder = LengthDecoder | ChunkedDecoder


def take_head(connection: "Upstream", data: bytes) -> None:
    """Take a head that is not ordinary or final, or only the beginning of one."""
    try:
        head = parse_response_head(data, RESPONSE_LIMITS)
    except MessageError:
        connection.fail(UpstreamMalformed())
        return
    if head is None:
        connection.buffer = data
    elif head.status < 200:
        _take_informational(connection, head, data[head.size :])
    else:
        take_response(connection, head, data)


def take_response(connection: "Upstream", head: ResponseHead, data: bytes) -> None:
    """Take a final head, with what came of its body in the same `data`."""
    exchange = connection.exchange
    if exchange is None:
        return
    flags = head.flags
    connection.keep = not flags & CLOSE if head.minor else bool(flags & KEEP_ALIVE)
    size = head.size
    length = head.length
    status = head.status
    if status == 204 or status == 304 or exchange.head.method == b"HEAD":  # noqa: PLR1714 - a tuple costs more
        _take_bodiless(connection, exchange, head, len(data) > size)
    elif length >= 0:
        remaining = length + size - len(data)
        if remaining > 0:
            connection.state = BODY
            connection.body = LengthDecoder(remaining)
            connection.refresh()
            exchange.response(head, data[size:], False)
        else:
            if remaining < 0:
                connection.keep = False  # more than was announced: whose it is, nobody knows
                data = data[:remaining]
            connection.state = ANSWERED
            exchange.response(head, data[size:], True)
    elif length == CHUNKED:
        _take_first_chunks(connection, exchange, head, data[size:])
    else:
        connection.state = UNTIL_CLOSE
        connection.keep = False
        connection.refresh()
        exchange.response(head, data[size:], False)


def take_body(connection: "Upstream", data: bytes) -> None:
    """Take more of a body."""
    body, exchange = connection.body, connection.exchange
    if body is None or exchange is None:
        return
    try:
        piece = body.feed(data)
    except MessageError:
        connection.break_off("upstream_malformed")
        return
    if body.done:
        _body_ends(connection, body)
        exchange.response_end(piece, body.trailers)
    else:
        connection.refresh()
        if piece:
            exchange.response_data(piece)


def _take_bodiless(connection: "Upstream", exchange: "Exchange", head: ResponseHead, more: bool) -> None:
    """RFC 9112 §6.3: these never have a body, whatever their fields say."""
    status, length = head.status, head.length
    if more or (status == 204 and length not in (NO_BODY, 0)):
        connection.keep = False  # a body that may not be there would be taken for the next response
    if status == 204 or length == CHUNKED:
        head.length = NO_BODY
    connection.state = ANSWERED
    exchange.response(head, b"", True)


def _take_first_chunks(connection: "Upstream", exchange: "Exchange", head: ResponseHead, data: bytes) -> None:
    connection.state = BODY
    body = connection.body = ChunkedDecoder(RESPONSE_LIMITS)
    connection.refresh()
    try:
        piece = body.feed(data)
    except MessageError:
        connection.fail(UpstreamMalformed())
        return
    if body.done and not body.trailers:
        _body_ends(connection, body)
        head.length = len(piece)  # all of it is here: its length says more than chunks
        exchange.response(head, piece, True)
        return
    exchange.response(head, piece, False)
    if body.done and connection.exchange is exchange:
        _body_ends(connection, body)
        exchange.response_end(b"", body.trailers)


def _body_ends(connection: "Upstream", body: Decoder) -> None:
    if body.rest:
        connection.keep = False  # more than was announced: whose it is, nobody knows
    connection.body = None
    connection.state = ANSWERED


def _take_informational(connection: "Upstream", head: ResponseHead, rest: bytes) -> None:
    exchange = connection.exchange
    if exchange is None:
        return
    connection.informational += 1
    if head.status == 101:
        if head.flags & exchange.head.flags & WEBSOCKET:
            exchange.upgrade(head, rest)
        else:
            connection.fail(UpstreamMalformed())  # nobody asked for it
        return
    if connection.informational > MAX_INFORMATIONAL:
        connection.fail(UpstreamMalformed())
        return
    exchange.informational(head)
    if rest and connection.state == HEAD:
        take_head(connection, rest)
