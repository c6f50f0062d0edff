"""The journal: as a list, or as a stream of server-sent events (WHATWG HTML 9.2) until somebody leaves."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

import msgspec
from aiohttp import web

from proxy.admin.operation import Call
from proxy.admin.problem import ProblemError
from proxy.control.journal import Event, Journal, LaggingError

HEARTBEAT: Final = 15.0  # seconds without an event after which a comment shows that the stream is alive
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


class Streams:
    """All streams that are followed; `close` ends them."""

    def __init__(self) -> None:
        self._count = 0
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End every stream, in the middle of nothing: who comes again with Last-Event-ID misses none."""
        self._closing.set()

    async def follow(self, call: Call, headers: Mapping[str, str]) -> web.StreamResponse:
        """Answer with the stream, and these fields."""
        if self._count >= MOST_STREAMS:
            raise ProblemError(503, f"{MOST_STREAMS} clients follow the events already")
        after = _after(call)
        response = web.StreamResponse(headers={**headers, "Content-Type": _STREAM})
        self._count += 1
        try:
            await response.prepare(call.request)
            with suppress(ConnectionError):  # the client has gone
                await self.feed(call.proxy.journal, after, response.write, HEARTBEAT)
                await response.write_eof()
        finally:
            self._count -= 1
        return response

    async def feed(self, journal: Journal, after: int, write: Write, heartbeat: float) -> None:
        """Write every event after this one, until the end; also until the client is too far behind."""
        await write(b": events follow\n\n")
        events = journal.follow(after)
        closing = asyncio.ensure_future(self._closing.wait())
        coming: asyncio.Future[Event] = asyncio.ensure_future(anext(events))
        try:
            while not closing.done():
                await asyncio.wait((coming, closing), timeout=heartbeat, return_when=asyncio.FIRST_COMPLETED)
                if coming.done():
                    await write(encoded(coming.result()))
                    coming = asyncio.ensure_future(anext(events))
                elif not closing.done():
                    await write(b": still here\n\n")
        except LaggingError:
            await write(b": too far behind\n\n")
        finally:
            for each in (coming, closing):
                each.cancel()
            await asyncio.gather(coming, closing, return_exceptions=True)
            await events.aclose()


def _after(call: Call) -> int:
    """Where to begin: after the last event that the client has seen, or with what comes from now on."""
    last = call.request.headers.get("Last-Event-ID", "")
    if last.isascii() and last.isdecimal() and len(last) <= 15:
        return int(last)
    after: int = call.query.get("after", call.proxy.journal.last)
    return after
