"""One HTTP/1.1 connection to an endpoint: an exchange's request out, its response in, then back among the idle ones.

It knows framing and nothing of routing, retries or the client: those are the exchange's. It calls the exchange with
`response`, `response_data`, `response_end`, `informational`, `upgrade`, `attempt_failed` and `response_broken`, and
with `pause_request` / `resume_request` when the endpoint reads slowly.
"""

import asyncio
import select
from math import inf
from typing import TYPE_CHECKING, Final, cast

from proxy.dataplane.failures import (
    ResponseTimeout,
    SendTimeout,
    TryTimeout,
    UpstreamFailure,
    UpstreamReset,
)
from proxy.dataplane.pieces import write_pieces
from proxy.dataplane.response_reading import (
    ANSWERED,
    BODY,
    CLOSED,
    HEAD,
    IDLE,
    RESPONSE_LIMITS,
    UNTIL_CLOSE,
    Decoder,
    take_body,
    take_head,
    take_response,
)
from proxy.http1.message import CHUNKED, EXPECT_CONTINUE, NO_BODY, TE_TRAILERS, WEBSOCKET
from proxy.http1.parser import ordinary_response_head
from proxy.http1.writing import chunk, connection_fields, last_chunk

if TYPE_CHECKING:
    from proxy.dataplane.exchange import Exchange
    from proxy.dataplane.wheel import Wheel
    from proxy.pools.endpoint import Endpoint

_CONNECTION: Final = WEBSOCKET | TE_TRAILERS
_JOIN: Final = 4096  # a body piece up to this size is copied behind the head: one buffer is cheaper than two


class Upstream:  # an asyncio.Protocol by what it does: compiled classes have no Python base
    """A connection; `exchange` is whose request is on it now, and `state` where its response stands.

    `keep`: another request may follow. `buffer` is the beginning of a head, `body` the reader of a response's body,
    `informational` how many 1xx have come.
    """

    __slots__ = (
        "_chunked", "_paused", "_sending", "_try_deadline", "_wheel", "_write_paused", "_writes", "body", "buffer",
        "deadline", "endpoint", "exchange", "informational", "is_closed", "keep", "reused", "scheduled", "state",
        "transport",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, endpoint: "Endpoint", wheel: "Wheel") -> None:
        self.endpoint = endpoint
        self.exchange: Exchange | None = None
        self.state = IDLE
        self.is_closed = False  # of no more use
        self.keep = True
        self.reused = False
        self.deadline = self.scheduled = inf
        self.buffer = b""
        self.body: Decoder | None = None
        self.informational = 0
        self._wheel = wheel
        self._chunked = False
        self._paused = False
        self._sending = False
        self._try_deadline = inf
        self._write_paused = False
        self._writes = 0

    def __repr__(self) -> str:
        return f"<Upstream {self.endpoint.address} state={self.state} reused={self.reused}>"

    # -- what the exchange calls

    def start(self, exchange: "Exchange", body: bytes, done: bool, now: float) -> None:
        """Send the request's head and what there is of its body; `done` if that is all of it."""
        self.exchange = exchange
        self.state = HEAD
        self._sending = not done
        self.informational = 0
        self._writes = 1
        head = exchange.head
        length = head.length
        if length == NO_BODY:
            framing = b"\r\n"
        elif length >= 0:
            framing = b"Content-Length: %d\r\n\r\n" % length
        else:
            framing = b"Transfer-Encoding: chunked\r\n\r\n"
        self._chunked = length == CHUNKED
        if head.flags & _CONNECTION:
            framing = connection_fields(head.flags) + framing
        host = head.host or _host_of(self.endpoint.address)
        start = b"".join(
            (head.method, b" ", head.target, b" HTTP/1.1\r\nHost: ", host, b"\r\n", exchange.block, framing)
        )
        attempt = exchange.attempt
        self._try_deadline = try_deadline = inf if attempt is None else attempt.deadline
        timeouts = exchange.timeouts  # from here on `_watch` without its frame: 0.02 µs less
        wait = timeouts.response if done else timeouts.body_idle
        deadline = inf if wait is None else now + wait
        if try_deadline < deadline:  # noqa: PLR1730 - min() is a call
            deadline = try_deadline
        self.deadline = deadline
        if deadline < self.scheduled:
            self._wheel.watch(self, deadline)
        if body or (done and self._chunked):
            self._start_with(start, body, done)
        else:
            self.transport.write(start)

    def _start_with(self, start: bytes, body: bytes, done: bool) -> None:
        """Send the head and the first piece of the body, in one write."""
        if self._chunked:
            pieces = chunk(body) if body else ()
            self.transport.write(b"".join((start, *pieces, last_chunk(b"") if done else b"")))
        elif len(body) <= _JOIN:
            self.transport.write(start + body)
        else:
            write_pieces(self.transport, (start, body))

    def send_data(self, data: bytes) -> None:
        """Send another piece of the request's body."""
        self._writes += 1
        self.deadline = self._send_deadline()
        if self._chunked:
            write_pieces(self.transport, chunk(data))
        else:
            self.transport.write(data)

    def send_end(self, trailers: bytes) -> None:
        """The request is complete: now the response is awaited."""
        self._sending = False
        if self._chunked:
            self._writes += 1
            self.transport.write(last_chunk(trailers))
        exchange = self.exchange
        if self.state == HEAD and exchange is not None:
            self._watch(True, exchange, self._wheel.now)

    def pause(self) -> None:
        """The client reads slowly: take no more of the response from the endpoint."""
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """The client has caught up."""
        if self._paused and not self.transport.is_closing():
            self._paused = False
            if self.state != HEAD:
                self.refresh()
            self.transport.resume_reading()

    def release(self, now: float) -> None:
        """The exchange is over: back among the idle ones, or closed where HTTP does not allow another request."""
        exchange = self.exchange
        if not self.keep or exchange is None or self._write_paused:
            self.close()  # also where part of the request is still unsent: it would stand before the next one
            return
        self.exchange = None
        self.state = IDLE
        self.reused = True
        if self._paused:
            self.resume()
        deadline = self.deadline = now + exchange.timeouts.upstream_idle
        if deadline < self.scheduled:
            self._wheel.watch(self, deadline)
        self.endpoint.idle.append(self)

    def park(self, deadline: float) -> None:
        """A new connection whose exchange has gone: keep it for the next one."""
        if self.is_closed:
            return
        self._wheel.watch(self, deadline)
        self.endpoint.idle.append(self)

    def is_quiet(self) -> bool:
        """Is there nothing to read? An idle connection with something has been closed, or is out of step."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close at once; nothing is said to anyone."""
        if self.state != CLOSED:
            if self.state == IDLE and self in self.endpoint.idle:
                self.endpoint.idle.remove(self)
            self.state = CLOSED
            self.is_closed = True
            self.exchange = None
            self._wheel.drop(self)
            self.transport.abort()

    def detach(self) -> asyncio.Transport:
        """Give the transport away, to a tunnel."""
        self.state = CLOSED
        self.is_closed = True
        self.exchange = None
        self._wheel.drop(self)
        return self.transport

    # -- what the reading of a response calls

    def refresh(self) -> None:
        """Something came of a response's body: its idle time begins anew."""
        exchange = self.exchange
        wait = None if exchange is None else exchange.timeouts.body_idle
        deadline = self.deadline = inf if wait is None else self._wheel.now + wait
        if deadline < self.scheduled:
            self._wheel.watch(self, deadline)

    def fail(self, failure: UpstreamFailure) -> None:
        """Close: there is no response to this request."""
        exchange = self.exchange
        self.close()
        if exchange is not None:
            exchange.attempt_failed(failure, self.reused)

    def break_off(self, reason: str) -> None:
        """Close: the response that has begun cannot become whole."""
        exchange = self.exchange
        self.close()
        if exchange is not None:
            exchange.response_broken(reason)

    # -- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast("asyncio.Transport", transport)  # uvloop's are not of asyncio's classes
        # Nothing is buffered beyond what one read brought: 256 KiB a direction at most.
        transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        state = self.state
        if state == HEAD:
            if self.buffer:
                data, self.buffer = self.buffer + data, b""
            head = ordinary_response_head(data, RESPONSE_LIMITS)
            if head is None or head.status < 200:
                take_head(self, data)
            else:
                take_response(self, head, data)
        elif state == BODY:
            take_body(self, data)
        elif state == UNTIL_CLOSE:
            self.refresh()
            if self.exchange is not None:
                self.exchange.response_data(data)
        elif state == ANSWERED:
            self.keep = False  # bytes after a complete response
        elif state == IDLE:
            self.close()  # nobody asked

    def eof_received(self) -> None:
        self._ended(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(exc)

    def pause_writing(self) -> None:
        self._write_paused = True
        self._writes += 1  # part of it was sent, whatever comes
        if self.exchange is not None:
            self.exchange.pause_request()

    def resume_writing(self) -> None:
        self._write_paused = False
        if self.exchange is not None:
            self.deadline = max(self.deadline, self._send_deadline()) if self._sending else self.deadline
            self.exchange.resume_request()

    # -- what the wheel calls

    def expire(self, now: float) -> None:
        exchange = self.exchange
        if exchange is None:
            self.close()
        elif self.state == HEAD:
            self._head_expired(exchange, now)
        elif self.state == ANSWERED:
            self.keep = False
            exchange.upstream_gone()
        elif self._paused:
            self.refresh()
        else:
            self.break_off("body_idle")

    # -- inside

    def _watch(self, done: bool, exchange: "Exchange", now: float) -> None:
        """Await the response head, or first that the endpoint takes the body."""
        timeouts = exchange.timeouts
        wait = timeouts.response if done else timeouts.body_idle
        deadline = inf if wait is None else now + wait
        if self._try_deadline < deadline:  # noqa: PLR1730 - min() is a call
            deadline = self._try_deadline
        self.deadline = deadline
        if deadline < self.scheduled:
            self._wheel.watch(self, deadline)

    def _head_expired(self, exchange: "Exchange", now: float) -> None:
        if not self._sending or self._write_paused:
            self.fail(self._late(now))
        elif now >= self._try_deadline:
            exchange.spoil("try_timeout")  # all that came was taken: it is the client who is late
        elif exchange.head.flags & EXPECT_CONTINUE and exchange.held is None:
            exchange.spoil("response_timeout")  # the client waits to be told to go on; not to be blamed on anyone
        else:
            self._watch(False, exchange, now)  # all that came was taken: it is the client who is late, see `min_rate`

    def _late(self, now: float) -> UpstreamFailure:
        if self._try_deadline <= now:
            return TryTimeout()
        return SendTimeout() if self._sending else ResponseTimeout()

    def _send_deadline(self) -> float:
        exchange = self.exchange
        wait = None if exchange is None else exchange.timeouts.body_idle
        if exchange is None or wait is None:
            return inf
        return min(self._wheel.now + wait, self._try_deadline) if self.state == HEAD else self._wheel.now + wait

    def _ended(self, exc: Exception | None) -> None:
        """The endpoint has closed, or the connection broke."""
        state, exchange = self.state, self.exchange
        if state == CLOSED:
            return
        if exchange is None:
            self.close()
        elif state == HEAD:
            unsent = isinstance(exc, BrokenPipeError) and self._writes == 1
            answered = bool(self.buffer) or self.informational > 0
            self.fail(UpstreamReset(unsent=unsent, unanswered=not answered))
        elif state == UNTIL_CLOSE and exc is None:
            self.state = ANSWERED
            exchange.response_end(b"", b"")
        elif state == ANSWERED:
            self.keep = False
            exchange.upstream_gone()
        else:
            self.break_off("upstream_reset")


def _host_of(address: str) -> bytes:
    """The Host of a request that came without one, as HTTP/1.0 allows."""
    return b"localhost" if address.startswith("unix:") else address.encode()
