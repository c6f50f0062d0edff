"""The admin's HTTP server: aiohttp on listening sockets that the master owns, and the road of a request through it.

shape -> operation -> site -> token -> query and body -> verb -> JSON. Errors of every step are problem details.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, cast

import msgspec
from aiohttp import HttpVersion10, HttpVersion11, web

from proxy.admin import guard, ofrep, openapi, problem
from proxy.admin.body import read_body, read_query
from proxy.admin.events import Streams, journal_of, wants_stream
from proxy.admin.operation import Answer, Call, Operation, Proxy
from proxy.admin.operations import EVENTS, FLAG_EVENTS, METRICS, OPENAPI, OPERATIONS, STATUS_TABLE, TABLE
from proxy.admin.problem import ProblemError
from proxy.control.control import Who
from proxy.control.refusal import Refusal
from proxy.core.version import version

log = logging.getLogger("sluice")

_GRACE: Final = 2.0  # seconds that a running call may take when the server closes
_HEAD_PATIENCE: Final = 15.0  # seconds for the first request of a connection
_LAST_PATIENCE: Final = 0.8  # and when the server closes: who was let in a moment ago may still ask
_ACCEPTING: Final = 3  # turns of the loop from accept(2) to a connection: a task that makes it, which is then told
MOST_CONNECTIONS: Final = 256  # of one address
_ALWAYS: Final = {"Cache-Control": "no-store", "Server": "sluice", "X-Content-Type-Options": "nosniff"}
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"

Metrics = Callable[[], Awaitable[str]]


class AdminServer:
    """Answers on every socket it was given. `metrics` makes the text of /metrics."""

    def __init__(self, proxy: Proxy, metrics: Metrics) -> None:
        self._proxy = proxy
        self._metrics = metrics
        self._streams = Streams()
        self._flag_streams = Streams()
        self._runners: dict[str, tuple[web.ServerRunner, socket.socket]] = {}
        self._openapi = msgspec.json.encode(openapi.document(OPERATIONS, version()))

    async def listen(self, address: str, sock: socket.socket) -> None:
        """Answer there: as the admin where the document in force has the admin there, else as its status listener."""
        server = _Server(partial(self._answer, address), request_factory=_make_request, access_log=None)
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=_GRACE)
        await runner.setup()
        await web.SockSite(runner, sock).start()
        self._runners[address] = runner, sock

    async def leave(self, address: str) -> None:
        """Listen there no longer; what runs may end.

        asyncio loses a connection that it has accepted but not made yet when its server closes: nobody is accepted
        any more, and only when all who were have their connection, the server is closed.
        """
        runner, sock = self._runners.pop(address, (None, None))
        if runner is None or sock is None:
            return
        asyncio.get_running_loop().remove_reader(sock)
        for _ in range(_ACCEPTING):
            await asyncio.sleep(0)
        for site in tuple(runner.sites):
            await site.stop()

    async def close(self) -> None:
        """End what runs, and listen nowhere."""
        runners = [runner for runner, _ in self._runners.values()]
        for address in tuple(self._runners):
            await self.leave(address)
        self._streams.close()
        self._flag_streams.close()
        connections = [each for runner in runners if runner.server is not None for each in runner.server.connections]
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_PATIENCE):
                for each in connections:
                    await cast("_Protocol", each).heard.wait()
        for runner in runners:
            await runner.cleanup()

    # -- one request

    async def _answer(self, address: str, request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await self._found(address, request)
        except ProblemError as error:
            told = ofrep.refusal if ofrep.is_meant(request.path) else problem.response
            response = told(error.status, error.detail, headers=error.headers)
        except Refusal as refusal:
            response = problem.response(refusal.status, refusal.detail, refusal.problems)
        except Exception:
            # The outermost guard: whatever failed, who asked gets an answer and the log gets the place.
            log.exception("%s %s failed", request.method, request.path)
            response = problem.response(500, "an error of ours; the log of the proxy tells more")
        if not response.prepared:
            response.headers.update(_ALWAYS)
        if guard.must_close(request):
            response.force_close()
        return response

    async def _found(self, address: str, request: web.BaseRequest) -> web.StreamResponse:
        guard.check_shape(request)
        document = self._proxy.control.document
        path, _, query = request.raw_path.partition("?")
        if address != document.admin.bind:
            return await self._status(request, path)
        methods, names = TABLE.find(path)
        operation = _chosen(methods, request.method)
        needs = "read" if operation is None else operation.needs
        who = guard.UNNAMED
        if needs != "nothing":
            guard.check_site(request, document.admin)
            who = guard.authorised(request, document.admin, operation, self._proxy.control.world.wall())
        if operation is None:
            raise _not_there(methods, request.method)
        asked = read_query(query, operation.query) if needs != "nothing" else {}
        body = await read_body(request, operation)
        etag = ", ".join(request.headers.getall("If-Match", ())) or None
        terms = Who(who, asked.get("reason"), force=asked.get("force", False), etag=etag)
        return await self._done(operation, Call(self._proxy, request, names, asked, body, terms))

    async def _done(self, operation: Operation, call: Call) -> web.StreamResponse:
        if operation is EVENTS and wants_stream(call.request):
            return await self._streams.follow(call, _ALWAYS, journal_of(call))
        if operation is FLAG_EVENTS:
            return await self._flag_streams.follow(call, _ALWAYS, ofrep.changes(call))
        if operation is OPENAPI:
            return web.Response(body=self._openapi, content_type="application/json")
        if operation is METRICS:
            return web.Response(body=(await self._metrics()).encode(), headers={"Content-Type": _PROMETHEUS})
        done = await operation.do(call)
        if isinstance(done, web.StreamResponse):
            return done
        answer = done if isinstance(done, Answer) else Answer(done, {})
        body = msgspec.json.encode(answer.body)
        return web.Response(body=body, content_type="application/json", headers=answer.headers)

    async def _status(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """The status listener: three URLs to be read, by anybody, and nothing else."""
        methods, _ = STATUS_TABLE.find(path)
        operation = _chosen(methods, request.method)
        if operation is None:
            raise ProblemError(404, "this address has only GET /healthz, /readyz and /metrics")
        call = Call(self._proxy, request, {}, {}, None, Who(guard.UNNAMED))
        return await self._done(operation, call)


def _chosen(methods: Mapping[str, Operation], method: str) -> Operation | None:
    """HEAD is GET without the body, which aiohttp leaves out."""
    return methods.get("GET" if method == "HEAD" else method)


def _not_there(methods: Mapping[str, Operation], method: str) -> ProblemError:
    if not methods:
        return ProblemError(404, "there is nothing at this URL; GET /openapi.json tells what there is")
    allowed = ", ".join(sorted({*methods, *({"HEAD"} if "GET" in methods else ())}))
    return ProblemError(405, f"{method[:32]} does not exist here, but {allowed}", {"Allow": allowed})


class _Protocol(web.RequestHandler):
    """aiohttp's connection, with its own errors told as ours are, and an end for who sends nothing.

    The status listener may be open to everybody: connections must not be had for nothing. `heard` while no request is
    missing: the last one is here with its body, or the client has gone.
    """

    __slots__ = ("_of", "has_asked", "heard")

    def __init__(self, of: "_Server", **settings: Any) -> None:
        super().__init__(of, **settings)
        self._of = of
        self.has_asked = False
        self.heard = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it, unless there are too many."""
        super().connection_made(transport)
        if len(self._of.connections) > MOST_CONNECTIONS:
            cast("asyncio.Transport", transport).abort()
        else:
            asyncio.get_running_loop().call_later(_HEAD_PATIENCE, self._expire)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It has gone."""
        self.heard.set()
        super().connection_lost(exc)

    def _expire(self) -> None:
        if not self.has_asked and self.transport is not None:
            self.transport.close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What could not even be read, in one line without what the client sent."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        log.debug("the admin was sent what is no HTTP: %s", message, exc_info=exc)
        response = problem.response(status, "the request is not HTTP/1.1 as it should be", headers=_ALWAYS)
        response.force_close()
        return response


class _Server(web.Server):
    """Makes such connections."""

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


def _make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """A request; one of a version that we do not speak is marked, and answered in the one that we do."""
    protocol.has_asked = True
    protocol.heard.clear()
    payload.on_eof(protocol.heard.set)  # at once where there is no body
    strange = message.version not in (HttpVersion10, HttpVersion11)
    if strange:
        message = message._replace(version=HttpVersion11, should_close=True)
    request = web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop())
    request[guard.STRANGE] = strange
    return request
