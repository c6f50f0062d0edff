"""A request of our own to a service of the configuration: what a plug-in asks before it decides."""

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from proxy.dataplane.attempt import begin_attempt
from proxy.dataplane.exchange import Exchange
from proxy.dataplane.forwarding import VIA
from proxy.dataplane.held import HeldBody
from proxy.http1.errors import MessageError
from proxy.http1.message import RequestHead, ResponseHead
from proxy.http1.target import canonical_path
from proxy.routing.route import Route

if TYPE_CHECKING:
    from proxy.dataplane.plane import Plane
    from proxy.dataplane.streaming import Streaming
    from proxy.dataplane.upstream import Upstream

MOST: Final = 1024 * 1024  # bytes of an answer
LONGEST: Final = 30.0  # seconds, where the service has no total timeout

Answered = tuple[ResponseHead, bytes]


class _Asker:
    """A client in memory: keeps the answer for whoever waits for it."""

    def __init__(self, answer: "asyncio.Future[Answered]") -> None:
        self._answer = answer
        self._head: ResponseHead | None = None
        self._body: list[bytes] = []
        self._size = 0
        self.exchange: Exchange | None = None

    def respond(self, head: ResponseHead, body: bytes, done: bool) -> None:
        self._head = head
        self.send_data(body)
        if done:
            self.send_end(b"")

    def send_data(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MOST:
            self._fail("its answer is larger than 1 MiB")  # who asked wakes, and ends the rest of it
        else:
            self._body.append(data)

    def send_end(self, _trailers: bytes) -> None:
        if self._head is not None and not self._answer.done():
            self._answer.set_result((self._head, b"".join(self._body)))

    def inform(self, head: ResponseHead) -> None:
        pass

    def finished(self) -> None:
        self.exchange = None

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def can_drain(self) -> bool:
        return False

    def break_off(self) -> None:
        self.exchange = None  # which knows
        self._fail("its answer ended before it was whole")

    def join(self, upstream: "Upstream", _head: ResponseHead, _early: bytes) -> None:
        upstream.close()
        self._fail("it switched protocols")

    def stream(self, _head: ResponseHead, _opening: bytes, _streaming: "Streaming") -> None:
        self._fail("its answer goes on without an end")

    def _fail(self, why: str) -> None:
        if not self._answer.done():
            self._answer.set_exception(ConnectionError(why))


async def ask(plane: "Plane", service_name: str, head: RequestHead, body: bytes, request_id: bytes) -> Answered:
    """The service's answer. LookupError where there is none of that name, ConnectionError where it gives no answer."""
    service = plane.snapshot.services.get(service_name)
    if service is None:
        raise LookupError(f"there is no service {service_name!r}")
    answer: asyncio.Future[Answered] = plane.loop.create_future()
    asker = _Asker(answer)
    block = b"%bX-Request-Id: %b\r\n" % (VIA, request_id)
    exchange = asker.exchange = Exchange(plane, asker, head, ("", b"http", block), plane.clock())
    path, mark, exchange.query = head.target.partition(b"?")
    try:
        exchange.path = canonical_path(path)
    except MessageError as error:
        raise ValueError(f"{path!r} is not a path: {error}") from None
    head.target = exchange.path + mark + exchange.query
    exchange.route = Route(service=service, timeouts=service.timeouts, retry=service.retry)
    exchange.timeouts = replace(service.timeouts, total=service.timeouts.total or LONGEST)
    exchange.retry = service.retry
    exchange.request_done = True
    if body:
        exchange.held = HeldBody()
        exchange.held.add(body)
    exchange.pool = service.draw()
    exchange.block = head.block + exchange.block
    plane.wheel.watch(exchange, exchange.total_deadline())
    begin_attempt(exchange)
    try:
        found, content = await answer
    finally:
        if asker.exchange is not None:
            asker.exchange.abandon()
    reason = found.get(b"x-sluice-reason") if exchange.reason is not None else None
    if reason is not None:
        raise ConnectionError(f"service {service_name} gave no answer: {reason.decode()}")
    return found, content
