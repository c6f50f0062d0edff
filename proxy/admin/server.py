"""The admin's HTTP server: aiohttp on listening sockets that the master owns."""

import json
import socket
from typing import Any, Protocol

import msgspec
from aiohttp import web

from proxy.control.control import Control, Who
from proxy.control.fleet import WorkerView
from proxy.control.refusal import Refusal
from proxy.control.views import (
    CheckView,
    EndpointView,
    PoolView,
    ReloadCounts,
    ReloadView,
    ServiceView,
    StatusView,
    WorkerStatus,
    per_cent,
)
from proxy.core.version import version
from proxy.http1.parser import BUILD
from proxy.telemetry.report import WorkerReport


class Fleet(Protocol):
    @property
    def workers(self) -> tuple[WorkerView, ...]: ...
    async def ask(self) -> list[WorkerReport]: ...
    def restart(self) -> None: ...


class Proxy(Protocol):
    """What the admin needs of the controller."""

    control: Control
    reloads: ReloadCounts

    @property
    def fleet(self) -> Any: ...
    @property
    def uptime(self) -> float: ...
    @property
    def config(self) -> str: ...
    def is_ready(self) -> bool: ...
    def problems(self) -> tuple[str, ...]: ...
    def check(self) -> CheckView: ...
    async def reload(self, *, by: str) -> ReloadView: ...


class AdminServer:
    """Answers on every socket it was given."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._runner: web.AppRunner | None = None
        self._sites: dict[str, web.SockSite] = {}

    async def listen(self, address: str, sock: socket.socket) -> None:
        if self._runner is None:
            self._runner = web.AppRunner(self._app(), access_log=None, handle_signals=False)
            await self._runner.setup()
        site = web.SockSite(self._runner, sock)
        await site.start()
        self._sites[address] = site

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        get, post = app.router.add_get, app.router.add_post
        get("/healthz", self._healthz)
        get("/readyz", self._readyz)
        get("/v1/status", self._status)
        get("/v1/services", self._services)
        get("/v1/services/{service}", self._service)
        app.router.add_put("/v1/services/{service}/split", self._split)
        app.router.add_delete("/v1/services/{service}/split", self._reset)
        post("/v1/services/{service}/flip", self._flip)
        post("/v1/services/{service}/undo", self._undo)
        post("/v1/reload", self._reload)
        post("/v1/restart", self._restart)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handler(request)
        except Refusal as refusal:
            body = {
                "title": "refused",
                "status": refusal.status,
                "detail": refusal.detail,
                "problems": refusal.problems,
            }
            return web.json_response(body, status=refusal.status, content_type="application/problem+json")
        return response

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ready\n") if self._proxy.is_ready() else web.Response(text="not ready\n", status=503)

    async def _status(self, _request: web.Request) -> web.Response:
        proxy = self._proxy
        workers = tuple(WorkerStatus(w.pid, w.state, w.generation, w.slot) for w in proxy.fleet.workers)
        view = StatusView(
            version(),
            BUILD,
            proxy.control.generation,
            workers,
            proxy.uptime,
            proxy.reloads,
            proxy.problems(),
            (),
            proxy.config,
        )
        return _json(view)

    async def _services(self, _request: web.Request) -> web.Response:
        return _json([await self._view(service.name) for service in self._proxy.control.file.services])

    async def _service(self, request: web.Request) -> web.Response:
        return await self._shown(request)

    async def _split(self, request: web.Request) -> web.Response:
        await self._proxy.control.split(_name(request), await _body(request), _who(request))
        return await self._shown(request)

    async def _reset(self, request: web.Request) -> web.Response:
        await self._proxy.control.reset(_name(request), _who(request))
        return await self._shown(request)

    async def _flip(self, request: web.Request) -> web.Response:
        body = await _body(request)
        await self._proxy.control.flip(_name(request), body["to"], _who(request), move=body.get("sessions") == "move")
        return await self._shown(request)

    async def _undo(self, request: web.Request) -> web.Response:
        await self._proxy.control.undo(_name(request), _who(request))
        return await self._shown(request)

    async def _reload(self, _request: web.Request) -> web.Response:
        return _json(await self._proxy.reload(by="admin"))

    async def _restart(self, _request: web.Request) -> web.Response:
        self._proxy.fleet.restart()
        return _json({})

    async def _shown(self, request: web.Request) -> web.Response:
        name = _name(request)
        return _json(await self._view(name), {"ETag": self._proxy.control.etag(name)})

    async def _view(self, name: str) -> ServiceView:
        control = self._proxy.control
        split = per_cent(control.split_of(name))
        service = next(each for each in control.document.services if each.name == name)
        pools = {
            pool.name: PoolView(
                split[pool.name],
                "active",
                tuple(EndpointView(e.address, "up", e.weight, 0, 0) for e in pool.endpoints),
            )
            for pool in service.pools
        }
        return ServiceView(
            name, split, "override" if name in control.state.splits else "file", pools, control.generation
        )


def _name(request: web.Request) -> str:
    return request.match_info["service"]


def _who(_request: web.Request) -> Who:
    return Who("admin")


async def _body(request: web.Request) -> Any:
    return json.loads(await request.text() or "{}")


def _json(value: Any, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", headers=headers)
