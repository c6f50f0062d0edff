"""One client connection over HTTP/1.1: requests in, one after the other; responses out, in the same order.

It knows framing, limits and deadlines, and nothing of routing or endpoints. A request's head makes an `Exchange`; the
connection feeds it the body and writes what comes back. At most one request is under way; what a client pipelines
behind it waits unparsed, in at most one head's worth of memory plus one read.
"""

import asyncio
import logging
import os
import socket
import struct
from math import inf
from typing import TYPE_CHECKING, Final, cast

from proxy.dataplane.exchange import Exchange
from proxy.dataplane.forwarding import Origin
from proxy.dataplane.pieces import write_pieces
from proxy.dataplane.replies import REPLIES, text_reply
from proxy.http1.errors import MessageError
from proxy.http1.framing import ChunkedDecoder
from proxy.http1.head import parse_request_head
from proxy.http1.message import (
    CHUNKED,
    CLOSE,
    EXPECT_CONTINUE,
    KEEP_ALIVE,
    NO_BODY,
    RequestHead,
    ResponseHead,
)
from proxy.http1.parser import ordinary_request_head

if TYPE_CHECKING:
    from proxy.dataplane.listener import Listener
    from proxy.dataplane.upstream import Upstream

log = logging.getLogger(__name__)

HEAD: Final = 0  # between requests, or in a head
BODY: Final = 1  # in a request's body
WAIT: Final = 2  # the request is complete, its response is not
DRAIN: Final = 3  # the response is complete, the rest of the request is thrown away
LINGER: Final = 4  # closed for writing; reads a while, so that the client can read what it was told
CLOSED: Final = 5

WINDOW: Final = 10.0  # seconds over which a rate is judged
DRAIN_LIMIT: Final = 256 * 1024  # bytes of an unwanted body that are read so that the connection can go on
LINGER_IDLE: Final = 2.0
LINGER_MOST: Final = 10.0
_JOIN: Final = 4096  # a body piece up to this size is copied behind the head: one buffer is cheaper than two
_CRASHED: Final = "a request failed inside the proxy: %r"
LEFT_GRACE: Final = 2.0  # a client that closed its side may still be reading: how long without a byte for it


class Downstream(asyncio.Protocol):
    """A client connection; `exchange` is what is under way on it."""

    __slots__ = (
        "_awaits_continue",
        "_buffer",
        "_chunked_out",
        "_decoder",
        "_half_closed",
        "_keep",
        "_mark",
        "_minor",
        "_origin",
        "_paused",
        "_pumping",
        "_received",
        "_remaining",
        "_until",
        "_until_close",
        "_unwanted",
        "_write_paused",
        "client",
        "deadline",
        "exchange",
        "listener",
        "plane",
        "scheduled",
        "state",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, listener: "Listener", client: str) -> None:
        self.listener = listener
        self.plane = listener.plane
        self.client = client
        self.exchange: Exchange | None = None
        self.state = HEAD
        self.deadline = self.scheduled = inf
        self._origin: Origin | None = None
        self._buffer = b""
        self._decoder: ChunkedDecoder | None = None
        self._awaits_continue = False
        self._chunked_out = False
        self._half_closed = False
        self._keep = True
        self._mark = 0
        self._minor = 1
        self._paused = False
        self._pumping = False
        self._received = 0
        self._remaining = 0
        self._until = inf
        self._until_close = False
        self._unwanted = 0
        self._write_paused = False

    def __repr__(self) -> str:
        return f"<Downstream {self.client} state={self.state} {self.exchange!r}>"

    # -- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast("asyncio.Transport", transport)  # uvloop's are not of asyncio's classes
        # Nothing is buffered beyond what one read brought: 256 KiB a direction at most.
        transport.set_write_buffer_limits(high=0)
        self.listener.opened(self)
        self._watch(self.plane.wheel.now + self.listener.limits.head_timeout)

    def data_received(self, data: bytes) -> None:
        state = self.state
        if state == HEAD and not self._write_paused:
            self._pumping = True  # the first turn of _pump, which is nearly always the only one
            rest = self._take_head(self._buffer + data if self._buffer else data)
            self._pumping = False
            if rest or self._half_closed:
                self._pump(rest)
        elif state == BODY:
            self._take_body(data)
        elif state <= WAIT:
            self._hold_back(data)
        else:
            self._throw_away(data)

    def eof_received(self) -> bool:
        """The client has closed its side. It may have left, or have said all it wanted and be reading still."""
        self._half_closed = True
        if self.state == WAIT:
            self._watch(self.plane.wheel.now + LEFT_GRACE)
            return True
        if self._write_paused and self.state != BODY:
            return True  # the deadline of a slow reader goes on
        self.close()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whyever, the client has gone
        self._forget()

    def pause_writing(self) -> None:
        self._write_paused = True
        if self.exchange is not None:
            self.exchange.pause_response()
        self._mark = self.transport.get_write_buffer_size()
        self._watch(self.plane.wheel.now + WINDOW)

    def resume_writing(self) -> None:
        self._write_paused = False
        if self.state == BODY:
            self._watch_body()
        elif self.state == WAIT:
            self._watch(self.plane.wheel.now + LEFT_GRACE if self._half_closed else inf)
        elif self.state == HEAD:
            self._watch(self.plane.wheel.now + self.listener.limits.keep_alive)
            self._go_on()
        if self.exchange is not None:
            self.exchange.resume_response()

    # -- what the wheel calls

    def expire(self, now: float) -> None:
        state = self.state
        if state == LINGER and now >= self._until:
            self.abort()
        elif self._write_paused:
            self._check_reader(now)
        elif state == HEAD:
            self._head_expired()
        elif state == BODY:
            self._check_sender()
        elif (state == WAIT and self._half_closed) or state >= DRAIN:
            self.abort()

    # -- what the exchange calls

    def respond(self, head: ResponseHead, body: bytes, done: bool) -> None:
        """Send a response's head, framed for this client, and the first of its body."""
        self._chunked_out = self._until_close = False
        length = head.length
        stays = self._keep and self._minor and self.state == WAIT and not self.plane.draining
        if length >= 0 and stays and len(body) <= _JOIN:  # the ordinary response in one format call: 0.2 µs less
            self.transport.write(
                b"HTTP/1.1 %d %b\r\n%bContent-Length: %d\r\n\r\n%b"
                % (head.status, head.reason, head.block, length, body)
            )
        else:
            self._respond_in_full(head, body, done)

    def _respond_in_full(self, head: ResponseHead, body: bytes, done: bool) -> None:
        """As `respond`, whatever the framing."""
        if self.state == BODY and (self._awaits_continue or (done and not self.can_drain())):
            self._keep = False  # what is missing of the body won't be waited for
        length = head.length
        if length >= 0:
            framing = b"Content-Length: %d\r\n" % length
        elif done:
            framing = b""
        elif self._minor:
            self._chunked_out = True
            framing = b"Transfer-Encoding: chunked\r\n"
        else:
            framing = b""
            self._until_close = True  # HTTP/1.0: the body ends with the connection
            self._keep = False
        if not self._keep or self.plane.draining:
            self._keep = False
            framing += b"Connection: close\r\n"
        elif not self._minor:
            framing += b"Connection: keep-alive\r\n"
        if self._chunked_out and body:
            body = b"%x\r\n%b\r\n" % (len(body), body)
        start = b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (head.status, head.reason, head.block, framing)
        if len(body) <= _JOIN:
            self.transport.write(start + body)
        else:
            write_pieces(self.transport, (start, body))

    def send_data(self, data: bytes) -> None:
        """Send another piece of the response's body."""
        if self._half_closed:
            self._watch(self.plane.wheel.now + LEFT_GRACE)
        if self._chunked_out:
            write_pieces(self.transport, (b"%x\r\n" % len(data), data, b"\r\n"))
        else:
            self.transport.write(data)

    def send_end(self, trailers: bytes) -> None:
        """The response is complete; trailers go where chunks allow them."""
        if self._chunked_out:
            self.transport.write(b"0\r\n" + trailers + b"\r\n")

    def inform(self, head: ResponseHead) -> None:
        """Pass a 1xx on; HTTP/1.0 knows none (RFC 9110 §15.2)."""
        if self._minor:
            if head.status == 100 and self._awaits_continue:
                self._awaits_continue = False
                self._watch_body()  # from now on it is the client who is waited for
            self.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (head.status, head.reason, head.block))

    def finished(self) -> None:
        """The exchange is over: on to the next request, or close."""
        exchange, self.exchange = self.exchange, None
        state = self.state
        if exchange is None or state == CLOSED:
            return
        # An exchange and its attempt know each other: cut here, they go without waiting for the garbage collector.
        exchange.attempt = None
        if state == BODY:
            self._drain()
            return
        if not self._keep:
            self._close_politely()
            return
        self.state = HEAD
        if not self._write_paused:
            wheel = self.plane.wheel
            deadline = self.deadline = wheel.now + self.listener.limits.keep_alive
            if deadline < self.scheduled:
                wheel.watch(self, deadline)
        if not self._pumping and (self._buffer or self._paused or self._half_closed):
            self._go_on()

    def pause(self) -> None:
        """Take nothing more from the client for now."""
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Go on reading."""
        if self._paused and not self.transport.is_closing():
            self._paused = False
            if self.state == BODY:
                self._watch_body()
            self.transport.resume_reading()

    def can_drain(self) -> bool:
        """Is what is missing of the body little enough to be read and thrown away?"""
        if self._awaits_continue:
            return False  # it may never come
        return self._decoder is not None or self._remaining <= DRAIN_LIMIT

    def break_off(self) -> None:
        """The response cannot be completed: the connection ends in the middle of it.

        Where the end of the connection would be the end of the body, with a reset: nothing else tells the client.
        """
        if self._until_close and self.state != CLOSED:
            _reset_on_close(self.transport)
        self.exchange = None  # which knows
        self.abort()

    def join(self, upstream: "Upstream", head: ResponseHead, early: bytes) -> None:
        """Answer 101, and let bytes pass both ways."""
        exchange, self.exchange = self.exchange, None
        attempt = None if exchange is None else exchange.attempt
        if attempt is None:
            return
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%b\r\n%b"
            % (head.block, early)
        )
        held, self._buffer = self._buffer, b""
        client, self.state = self.transport, CLOSED
        self.plane.wheel.drop(self)
        far = upstream.detach()
        tunnel = self.plane.open_tunnel(attempt, client, far, lambda: self.listener.closed(self))
        if held:
            far.write(held)
        if self._half_closed:
            tunnel.client_finished()

    # -- closing

    def close_if_idle(self) -> None:
        """Close unless a request is under way."""
        if self.state == HEAD and not self._buffer.strip(b"\r\n") and not self._write_paused:
            self.close()

    def close(self) -> None:
        """Close after what has been written."""
        if self.state != CLOSED:
            self._forget()
            if self._write_paused:
                self.transport.abort()  # what it has not taken, it never will
            else:
                self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self.state != CLOSED:
            self._forget()
            self.transport.abort()

    def _forget(self) -> None:
        if self.state == CLOSED:
            return
        self.state = CLOSED
        self._buffer = b""
        self.plane.wheel.drop(self)
        self.listener.closed(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.abandon()

    def _close_politely(self) -> None:
        """Close after a response; bytes still unread would make it a reset that could overtake the response."""
        if self._buffer or self._write_paused or self._paused:
            self._linger()
        else:
            self.close()

    def _linger(self) -> None:
        self.state = LINGER
        self._buffer = b""
        self._decoder = None
        now = self.plane.wheel.now
        self._until = now + LINGER_MOST
        if not self._write_paused:
            self._watch(now + LINGER_IDLE)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.resume()

    # -- requests

    def _pump(self, data: bytes) -> None:
        """Take requests as long as there are whole heads and nothing is under way."""
        self._pumping = True
        while data and self.state == HEAD and not self._write_paused:
            data = self._take_head(data)
        self._pumping = False
        if data and self.state <= WAIT:
            self._hold_back(data)
        if self._half_closed:
            self._no_more_comes()

    def _go_on(self) -> None:
        """The connection is free: take what was held back, unless the client does not even take what it was sent."""
        if self._write_paused:
            return
        if self._paused:
            self.resume()
        data, self._buffer = self._buffer, b""
        if data or self._half_closed:
            self._pump(data)

    def _no_more_comes(self) -> None:
        """The client has closed its side: what it asked is answered, unless it has left; then the connection ends."""
        if self.state == HEAD:
            self._close_politely()
        elif self.state == WAIT:
            self._watch(self.plane.wheel.now + LEFT_GRACE)

    def _take_head(self, data: bytes) -> bytes:
        """Take one head, if it is whole, and begin its exchange; what is left over comes back."""
        listener = self.listener
        head = ordinary_request_head(data, listener.head_limits)
        if head is None:
            head = self._read_head(data)
            if head is None:
                return b""
        self._buffer = b""
        self._minor = minor = head.minor
        flags = head.flags
        self._keep = not flags & CLOSE if minor else bool(flags & KEEP_ALIVE)
        length = head.length
        if length > 0:
            limit = listener.limits.body
            if limit is not None and length > limit:
                self._refuse(*_own("body_too_large"))
                return b""
        plane = self.plane
        origin = self._origin or self._meet()
        exchange = self.exchange = Exchange(plane, self, head, origin.describe(head), plane.clock())
        if length == NO_BODY or length == 0:  # noqa: PLR1714 - a tuple costs more
            self.state = WAIT
            self.deadline = inf
            try:  # as in _guarded_begin; a call less on the ordinary way
                exchange.begin(b"", True)
            except Exception:
                log.exception(_CRASHED, exchange)
                self._crashed(exchange)
            return data[head.size :]
        return self._begin_with_body(exchange, head, data[head.size :])

    def _read_head(self, data: bytes) -> RequestHead | None:
        """What is no ordinary head: an unusual one, or the beginning of one, or wrong and refused."""
        try:
            head = parse_request_head(data, self.listener.head_limits)
        except MessageError as error:
            self._refuse(error.status, error.reason, str(error))
            return None
        if head is None:
            if not self._buffer:
                # For the whole of it, not for a byte.
                self._watch(self.plane.wheel.now + self.listener.limits.head_timeout)
            self._buffer = data
        elif head.method == b"CONNECT":
            self._refuse(*_own("connect_unsupported"))
            return None
        return head

    def _meet(self) -> Origin:
        """Who the client is: worked out at its first request, since many connections never make one."""
        origin = self._origin = Origin(self.client, self.listener.trusted, self.plane.bits)
        return origin

    def _guarded_begin(self, exchange: Exchange, body: bytes, done: bool) -> None:
        try:
            exchange.begin(body, done)
        except Exception:
            log.exception(_CRASHED, exchange)
            self._crashed(exchange)

    def _crashed(self, exchange: Exchange) -> None:
        """The outermost guard has caught something: one request's fault must stay its own."""
        self._keep = False
        if exchange.responded:
            self.abort()
        else:
            exchange.spoil("internal_error")

    def _begin_with_body(self, exchange: Exchange, head: RequestHead, rest: bytes) -> bytes:
        self._awaits_continue = not rest and bool(head.flags & EXPECT_CONTINUE and self._minor)
        self._received = len(rest)
        self._mark = self._unwanted = 0
        self.state = BODY
        self._watch_body()
        if head.length == CHUNKED:
            return self._begin_chunked(exchange, head, rest)
        length = head.length
        self._remaining = max(length - len(rest), 0)
        if self._remaining:
            self._guarded_begin(exchange, rest, False)
            return b""
        self.state = WAIT
        self.deadline = inf
        self._guarded_begin(exchange, rest[:length], True)
        return rest[length:]

    def _begin_chunked(self, exchange: Exchange, head: RequestHead, rest: bytes) -> bytes:
        decoder = self._decoder = ChunkedDecoder(self.listener.head_limits)
        try:
            body = decoder.feed(rest)
        except MessageError as error:
            self.exchange = None
            self._refuse(error.status, error.reason, str(error))
            return b""
        self._received = len(body)
        if self._is_too_large():
            self.exchange = None
            self._refuse(*_own("body_too_large"))
            return b""
        if not decoder.done:
            self._guarded_begin(exchange, body, False)
            return b""
        self._decoder = None
        self.state = WAIT
        self.deadline = inf
        if decoder.trailers:
            exchange.request_trailers = decoder.trailers
        else:
            head.length = len(body)  # all of it is here: its length says more than chunks
        self._guarded_begin(exchange, body, True)
        return decoder.rest

    def _take_body(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            return
        self._awaits_continue = False
        if self._decoder is not None:
            self._take_chunks(exchange, self._decoder, data)
            return
        self._received += len(data)
        remaining = self._remaining = self._remaining - len(data)
        if remaining > 0:
            exchange.request_data(data)
            return
        rest = data[remaining:] if remaining else b""
        self._last_piece(exchange, data[:remaining] if remaining else data, b"", rest)

    def _take_chunks(self, exchange: Exchange, decoder: ChunkedDecoder, data: bytes) -> None:
        try:
            body = decoder.feed(data)
        except MessageError as error:
            self._spoil(exchange, error.reason, error.status, str(error))
            return
        self._received += len(body)
        if self._is_too_large():
            self._spoil(exchange, "body_too_large")
            return
        if exchange.response_done:
            self._unwanted += len(data)
            if self._unwanted > DRAIN_LIMIT:
                self._keep = False
                exchange.give_up()
                return
        if decoder.done:
            self._last_piece(exchange, body, decoder.trailers, decoder.rest)
        elif body:
            exchange.request_data(body)

    def _is_too_large(self) -> bool:
        limit = self.listener.limits.body
        return limit is not None and self._received > limit

    def _last_piece(self, exchange: Exchange, piece: bytes, trailers: bytes, rest: bytes) -> None:
        self._decoder = None
        self._buffer = rest
        self.state = WAIT  # before anything is done with the piece: whatever ends the exchange finds the body complete
        self.deadline = inf
        if piece:
            exchange.request_data(piece)
        if self.exchange is exchange:
            exchange.request_end(trailers)

    def _spoil(self, exchange: Exchange, reason: str, status: int = 0, message: str = "") -> None:
        self._keep = False
        exchange.spoil(reason, status, message)

    def _hold_back(self, data: bytes) -> None:
        """The client pipelines: what comes behind the request under way waits, and not much of it."""
        self._buffer = self._buffer + data if self._buffer else data
        if len(self._buffer) > self.listener.limits.head:
            self.pause()

    def _refuse(self, status: int, reason: str, message: str) -> None:
        """Answer a request that never became an exchange, and close."""
        self._keep = False
        head, body = text_reply(status, reason, message)
        self.plane.count_refusal(reason)
        self.respond(head, body, True)
        self._linger()

    # -- bodies nobody wants

    def _drain(self) -> None:
        """The exchange is over before its request is: read the rest if it is little, else close."""
        if not self._keep or not self.can_drain():
            self._linger()
            return
        self.state = DRAIN
        self._received = 0
        self._watch(self.plane.wheel.now + WINDOW)
        self.resume()

    def _throw_away(self, data: bytes) -> None:
        if self.state == DRAIN:
            self._received += len(data)
            self._drain_more(data)
        elif self.state == LINGER and not self._write_paused:
            self._watch(min(self.plane.wheel.now + LINGER_IDLE, self._until))

    def _drain_more(self, data: bytes) -> None:
        decoder = self._decoder
        if decoder is not None:
            try:
                decoder.feed(data)
            except MessageError:
                self._linger()
                return
            done, rest = decoder.done, decoder.rest
        else:
            rest = data[self._remaining :]
            self._remaining = max(self._remaining - len(data), 0)
            done = not self._remaining
        if done:
            self._decoder = None
            self.state = HEAD
            self._watch(self.plane.wheel.now + self.listener.limits.keep_alive)
            self._pump(rest)
        elif self._received > DRAIN_LIMIT:
            self._linger()

    # -- deadlines

    def _watch(self, deadline: float) -> None:
        self.deadline = deadline
        if deadline < self.scheduled:
            self.plane.wheel.watch(self, deadline)

    def _watch_body(self) -> None:
        self._mark = self._received
        self._watch(self.plane.wheel.now + WINDOW)

    def _head_expired(self) -> None:
        if not self._buffer.strip(b"\r\n"):
            self.close()  # nothing was asked, so nothing is answered
        else:
            self._refuse(*_own("head_timeout"))

    def _check_sender(self) -> None:
        """Does the body come fast enough? Only while it is us who wait for it."""
        rate = self.listener.limits.min_rate
        waits_for_client = not (self._paused or self._awaits_continue)
        too_slow = rate is not None and self._received - self._mark < rate * WINDOW
        if waits_for_client and too_slow and self.exchange is not None:
            self._spoil(self.exchange, "body_timeout")
        else:
            self._watch_body()

    def _check_reader(self, now: float) -> None:
        """Does the client take what was written fast enough?"""
        rate = self.listener.limits.min_rate
        left = self.transport.get_write_buffer_size()
        if rate is not None and self._mark - left < rate * WINDOW:
            self.abort()
            return
        self._mark = left
        self._watch(now + WINDOW)


def _reset_on_close(transport: asyncio.Transport) -> None:
    # The option belongs to the socket, whichever descriptor it is set by; uvloop's own gives no access to it.
    try:
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError as error:
        log.warning("a response that broke ends like a whole one: %s", error)


def _own(reason: str) -> tuple[int, str, str]:
    status, message = REPLIES[reason]
    return status, reason, message
