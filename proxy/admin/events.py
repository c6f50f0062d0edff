"""The journal as a list; and streams of server-sent events (WHATWG HTML 9.2), the journal's and others."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Final

import msgspec
from aiohttp import web

from proxy.admin.operation import Call
from proxy.admin.problem import ProblemError
from proxy.control.journal import Event, Journal, LaggingError

HEARTBEAT: Final = 15.0  # seconds without an event after which a comment shows that the stream is alive
_LOOK: Final = 1.0  # seconds after which a client that has gone leaves its place to others
MOST_STREAMS: Final = 64
_STREAM: Final = "text/event-stream"

Write = Callable[[bytes], Awaitable[None]]


async def history(call: Call) -> list[Event]:
    """What is remembered, oldest first."""
    return call.proxy.journal.since(call.query.get("after", 0))


def wants_stream(request: web.BaseRequest) -> bool:
    """Whether the client asks to follow."""
    return any(
        each.partition(";")[0].strip().lower() == _STREAM
        for field in request.headers.getall("Accept", ())
        for each in field.split(",")
    )


def encoded(event: Event) -> bytes:
    """One event as it goes over the wire. JSON has no line ends in it, so one `data` line is enough."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.id, event.kind.encode(), msgspec.json.encode(event))


Pieces = AsyncGenerator[bytes, None]
"""Events as they go over the wire; LaggingError where the client is too far behind."""


async def followed(journal: Journal, after: int) -> Pieces:
    """Every event of the journal after this one, as they happen."""
    async with aclosing(journal.follow(after)) as events:
        async for event in events:
            yield encoded(event)


class Streams:
    """All streams of one kind that are followed; `close` ends them."""

    def __init__(self) -> None:
        self._count = 0
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End every stream, in the middle of nothing: who comes again with Last-Event-ID misses none."""
        self._closing.set()

    async def follow(self, call: Call, headers: Mapping[str, str], pieces: Pieces) -> web.StreamResponse:
        """Answer with the stream, and these fields."""
        if self._count >= MOST_STREAMS:
            raise ProblemError(503, f"{MOST_STREAMS} clients follow the events already", {"Retry-After": "10"})
        response = web.StreamResponse(headers={**headers, "Content-Type": _STREAM})
        self._count += 1
        try:
            await response.prepare(call.request)
            with suppress(ConnectionError):  # the client has gone
                if call.request.method != "HEAD":
                    await self.feed(pieces, response.write, HEARTBEAT, lambda: _has_gone(call.request))
                await response.write_eof()
        finally:
            self._count -= 1
        return response

    async def feed(self, pieces: Pieces, write: Write, heartbeat: float, has_gone: Callable[[], bool]) -> None:
        """Write every piece, until the end; also until the client is too far behind, or has gone."""
        await write(b": events follow\n\n")
        loop = asyncio.get_running_loop()
        quiet = loop.time()
        closing = asyncio.ensure_future(self._closing.wait())
        coming: asyncio.Future[bytes] = asyncio.ensure_future(anext(pieces))
        try:
            while not closing.done() and not has_gone():
                look = min(_LOOK, heartbeat)
                await asyncio.wait((coming, closing), timeout=look, return_when=asyncio.FIRST_COMPLETED)
                if coming.done():
                    await write(coming.result())
                    coming = asyncio.ensure_future(anext(pieces))
                    quiet = loop.time()
                elif not closing.done() and loop.time() - quiet >= heartbeat:
                    await write(b": still here\n\n")
                    quiet = loop.time()
        except LaggingError:
            await write(b": too far behind\n\n")
        finally:
            for each in (coming, closing):
                each.cancel()
            await asyncio.gather(coming, closing, return_exceptions=True)
            await pieces.aclose()


def _has_gone(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def journal_of(call: Call) -> Pieces:
    """The journal, from where the client wants it."""
    return followed(call.proxy.journal, _after(call))


def _after(call: Call) -> int:
    """Where to begin: after the last event that the client has seen, or with what comes from now on."""
    last = call.request.headers.get("Last-Event-ID", "")
    if last.isascii() and last.isdecimal() and len(last) <= 15:
        return int(last)
    after: int = call.query.get("after", call.proxy.journal.last)
    return after
