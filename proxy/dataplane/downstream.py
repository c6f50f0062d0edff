"""One client connection over HTTP/1.1: requests in, one after the other; responses out, in the same order.

It knows framing, limits and deadlines, and nothing of routing or endpoints. A request's head makes an `Exchange`; the
connection feeds it the body and writes what comes back. At most one request is under way; what a client pipelines
behind it waits unparsed, in at most one head's worth of memory plus one read.

Over 400 lines: loop, wheel and exchange each call it, and all of them find one state. How requests are read is in
`request_reading`, how a connection ends in `closing`.
"""

import asyncio
from math import inf
from typing import TYPE_CHECKING, Final, cast

from proxy.dataplane.closing import Lingering, reset_on_close
from proxy.dataplane.ending import tell_refused
from proxy.dataplane.exchange import Exchange
from proxy.dataplane.forwarding import Origin
from proxy.dataplane.pace import WINDOW, is_too_slow
from proxy.dataplane.pieces import write_pieces
from proxy.dataplane.replies import own, text_reply
from proxy.dataplane.request_body import RequestBody
from proxy.dataplane.request_reading import BODY, CLOSED, DRAIN, HEAD, WAIT, take_body, take_head, throw_away
from proxy.http1.message import RequestHead, ResponseHead
from proxy.http1.writing import End, chunk, last_chunk, response_framing

if TYPE_CHECKING:
    from proxy.dataplane.listener import Listener
    from proxy.dataplane.streaming import Streaming
    from proxy.dataplane.upstream import Upstream

_JOIN: Final = 4096  # a body piece up to this size is copied behind the head: one buffer is cheaper than two
_KNOWN: Final = End.KNOWN
LEFT_GRACE: Final = 2.0  # a client that closed its side may still be reading: how long without a byte for it


class Downstream:  # an asyncio.Protocol by what it does: compiled classes have no Python base
    """A client connection; `exchange` is what is under way on it, and `state` where that stands.

    `keep`: another request may follow. `minor` is the client's HTTP/1.x. `body` is that of the request under way, until
    it is complete, `buffer` what came before it could be taken. `origin` is who the client is, once it has asked.
    """

    __slots__ = (
        "_end", "_half_closed", "_mark", "_paused", "_pumping", "_write_paused", "body", "buffer", "client",
        "deadline", "exchange", "keep", "listener", "minor", "origin", "plane", "scheduled", "state", "transport",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, listener: "Listener", client: str) -> None:
        self.listener = listener
        self.plane = listener.plane
        self.client = client
        self.exchange: Exchange | None = None
        self.state = HEAD
        self.deadline = self.scheduled = inf
        self.keep = True
        self.minor = 1
        self.body: RequestBody | None = None
        self.buffer = b""
        self.origin: Origin | None = None
        self._end = _KNOWN
        self._half_closed = False
        self._mark = 0
        self._paused = False
        self._pumping = False
        self._write_paused = False

    def __repr__(self) -> str:
        return f"<Downstream {self.client} state={self.state} {self.exchange!r}>"

    # -- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast("asyncio.Transport", transport)  # uvloop's are not of asyncio's classes
        # Nothing is buffered beyond what one read brought: 256 KiB a direction at most.
        transport.set_write_buffer_limits(high=0)
        self.listener.opened(self)
        self.watch(self.plane.wheel.now + self.listener.limits.head_timeout)

    def data_received(self, data: bytes) -> None:
        state = self.state
        if state == HEAD and not self._write_paused:
            self._pumping = True  # the first turn of `pump`, which is nearly always the only one
            rest = take_head(self, self.buffer + data if self.buffer else data)
            self._pumping = False
            if rest or self._half_closed:
                self.pump(rest)
        elif state == BODY:
            take_body(self, data)
        elif state <= WAIT:
            self._hold_back(data)
        elif state == DRAIN:
            throw_away(self, data)

    def eof_received(self) -> bool:
        """The client has closed its side. It may have left, or have said all it wanted and be reading still."""
        self._half_closed = True
        if self.state == WAIT:
            self.watch(self.plane.wheel.now + LEFT_GRACE)
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
        self.watch(self.plane.wheel.now + WINDOW)

    def resume_writing(self) -> None:
        self._write_paused = False
        if self.state == BODY:
            self.watch_body()
        elif self.state == WAIT:
            self.watch(self.plane.wheel.now + LEFT_GRACE if self._half_closed else inf)
        elif self.state == HEAD:
            self.watch(self.plane.wheel.now + self.listener.limits.keep_alive)
            self._go_on()
        if self.exchange is not None:
            self.exchange.resume_response()

    # -- what the wheel calls

    def expire(self, now: float) -> None:
        state = self.state
        if self._write_paused:
            self._check_reader(now)
        elif state == HEAD:
            self._head_expired()
        elif state == BODY:
            self._check_sender()
        elif (state == WAIT and self._half_closed) or state == DRAIN:
            self.abort()

    # -- what the exchange calls

    def respond(self, head: ResponseHead, body: bytes, done: bool) -> None:
        """Send a response's head, framed for this client, and the first of its body."""
        self._end = _KNOWN
        length = head.length
        stays = self.keep and self.minor and self.state == WAIT and not self.plane.draining
        if length >= 0 and stays and len(body) <= _JOIN:  # the ordinary response, in one format call
            self.transport.write(
                b"HTTP/1.1 %d %b\r\n%bContent-Length: %d\r\n\r\n%b"
                % (head.status, head.reason, head.block, length, body)
            )
        else:
            self._respond_in_full(head, body, done)

    def _respond_in_full(self, head: ResponseHead, body: bytes, done: bool) -> None:
        """As `respond`, whatever the framing."""
        framing, end = response_framing(head.length, self.minor, done)
        self._end = end
        if end is End.CLOSE or self.plane.draining or self._stops_reading(done):
            self.keep = False
        if not self.keep:
            framing += b"Connection: close\r\n"
        elif not self.minor:
            framing += b"Connection: keep-alive\r\n"
        start = b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (head.status, head.reason, head.block, framing)
        if end is End.CHUNKED and body:
            body = b"".join(chunk(body))
        if len(body) <= _JOIN:
            self.transport.write(start + body)
        else:
            write_pieces(self.transport, (start, body))

    def _stops_reading(self, done: bool) -> bool:
        """Won't what is missing of the request's body be waited for?"""
        body = self.body
        return self.state == BODY and body is not None and (body.awaits_continue or (done and not body.can_drain()))

    def send_data(self, data: bytes) -> None:
        """Send another piece of the response's body."""
        if self._half_closed:
            self.watch(self.plane.wheel.now + LEFT_GRACE)
        if self._end is End.CHUNKED:
            write_pieces(self.transport, chunk(data))
        else:
            self.transport.write(data)

    def send_end(self, trailers: bytes) -> None:
        """The response is complete; trailers go where chunks allow them."""
        if self._end is End.CHUNKED:
            self.transport.write(last_chunk(trailers))

    def inform(self, head: ResponseHead) -> None:
        """Pass a 1xx on; HTTP/1.0 knows none (RFC 9110 §15.2)."""
        if self.minor:
            body = self.body
            if head.status == 100 and body is not None and body.awaits_continue:
                body.awaits_continue = False
                self.watch_body()  # from now on it is the client who is waited for
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
        if not self.keep:
            self._close_politely()
            return
        self.state = HEAD
        if not self._write_paused:
            wheel = self.plane.wheel
            deadline = self.deadline = wheel.now + self.listener.limits.keep_alive
            if deadline < self.scheduled:
                wheel.watch(self, deadline)
        if not self._pumping and (self.buffer or self._paused or self._half_closed):
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
                self.watch_body()
            self.transport.resume_reading()

    def can_drain(self) -> bool:
        """Is what is missing of the body little enough to be read and thrown away?"""
        return self.body is None or self.body.can_drain()

    def break_off(self) -> None:
        """The response cannot be completed: the connection ends in the middle of it.

        Where the end of the connection would be the end of the body, with a reset: nothing else tells the client.
        """
        if self._end is End.CLOSE and self.state != CLOSED:
            reset_on_close(self.transport)
        self.exchange = None  # which knows
        self.abort()

    def join(self, upstream: "Upstream", head: ResponseHead, early: bytes) -> None:
        """Answer 101, and let bytes pass both ways."""
        exchange, self.exchange = self.exchange, None
        attempt = None if exchange is None else exchange.attempt
        if exchange is None or attempt is None:
            return
        exchange.attempt = None  # as in `finished`
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%b\r\n%b"
            % (head.block, early)
        )
        held, self.buffer = self.buffer, b""
        client, self.state = self.transport, CLOSED
        self.plane.wheel.drop(self)
        far = upstream.detach()
        tunnel = self.plane.open_tunnel(attempt, client, far, lambda: self.listener.closed(self))
        tunnel.count(len(held), len(early))
        if held:
            far.write(held)
        if self._half_closed:
            tunnel.client_finished()

    def stream(self, head: ResponseHead, opening: bytes, streaming: "Streaming") -> None:
        """Begin a response that goes on by itself. The connection is not used again, so nothing is kept of it."""
        self.keep = False
        self.respond(head, opening, False)
        self.state = CLOSED
        self.buffer = b""
        self.exchange = self.body = None
        self.resume()
        self.plane.wheel.drop(self)
        streaming.take_over(self.transport, lambda: self.listener.closed(self), is_chunked=self._end is End.CHUNKED)

    # -- closing

    def close_if_idle(self) -> None:
        """Close unless a request is under way."""
        if self.state == HEAD and not self.buffer.strip(b"\r\n") and not self._write_paused:
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
        self.buffer = b""
        self.plane.wheel.drop(self)
        self.listener.closed(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.abandon()

    def _close_politely(self) -> None:
        """Close after a response; bytes still unread would make it a reset that could overtake the response."""
        if self.buffer or self._write_paused or self._paused:
            self.linger()
        else:
            self.close()

    def linger(self) -> None:
        """Close for writing, and let the client read what it was told."""
        self.state = CLOSED
        self.buffer = b""
        self.body = None
        self.resume()
        wheel = self.plane.wheel
        wheel.drop(self)
        lingering = Lingering(wheel, self.listener.limits.min_rate, lambda: self.listener.closed(self))
        lingering.take_over(self.transport, self._write_paused)

    # -- requests

    def pump(self, data: bytes) -> None:
        """Take requests as long as there are whole heads and nothing is under way."""
        self._pumping = True
        while data and self.state == HEAD and not self._write_paused:
            data = take_head(self, data)
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
        data, self.buffer = self.buffer, b""
        if data or self._half_closed:
            self.pump(data)

    def _no_more_comes(self) -> None:
        """The client has closed its side: what it asked is answered, unless it has left; then the connection ends."""
        if self.state == HEAD:
            self._close_politely()
        elif self.state == WAIT:
            self.watch(self.plane.wheel.now + LEFT_GRACE)

    def _hold_back(self, data: bytes) -> None:
        """The client pipelines: what comes behind the request under way waits, and not much of it."""
        self.buffer = self.buffer + data if self.buffer else data
        if len(self.buffer) > self.listener.limits.head:
            self.pause()

    def spoil(self, exchange: Exchange, reason: str, status: int = 0, message: str = "") -> None:
        """The request turned out bad after its exchange had begun: nothing more of it is read."""
        self.keep = False
        exchange.spoil(reason, status, message)

    def refuse(self, status: int, reason: str, message: str, asked: RequestHead | None = None) -> None:
        """Answer a request that never became an exchange, and close. `asked` is its head, where it had one."""
        self.keep = False
        head, body = text_reply(status, reason, message)
        self.plane.count_refusal(reason)
        tell_refused(self, asked, status, reason, len(body))
        self.respond(head, body, True)
        self.linger()

    def _drain(self) -> None:
        """The exchange is over before its request is: read the rest if it is little, else close."""
        body = self.body
        if body is None or not self.keep or not body.can_drain():
            self.linger()
            return
        self.state = DRAIN
        self.watch(self.plane.wheel.now + WINDOW)
        self.resume()

    # -- deadlines

    def watch(self, deadline: float) -> None:
        """Wait no longer than this for what is due."""
        self.deadline = deadline
        if deadline < self.scheduled:
            self.plane.wheel.watch(self, deadline)

    def watch_body(self) -> None:
        """From now on the client's pace is judged anew."""
        if self.body is not None:
            self.body.begin_window()
        self.watch(self.plane.wheel.now + WINDOW)

    def _head_expired(self) -> None:
        if not self.buffer.strip(b"\r\n"):
            self.close()  # nothing was asked, so nothing is answered
        else:
            self.refuse(*own("head_timeout"))

    def _check_sender(self) -> None:
        """Does the body come fast enough? Only while it is us who wait for it."""
        exchange, body = self.exchange, self.body
        waits_for_client = exchange is not None and body is not None and not (self._paused or body.awaits_continue)
        if exchange and body and waits_for_client and body.is_too_slow(self.listener.limits.min_rate):
            self.spoil(exchange, "body_timeout")
        else:
            self.watch_body()

    def _check_reader(self, now: float) -> None:
        """Does the client take what was written fast enough?"""
        left = self.transport.get_write_buffer_size()
        if is_too_slow(self._mark - left, self.listener.limits.min_rate):
            self.abort()
            return
        self._mark = left
        self.watch(now + WINDOW)
