"""The operations on the proxy as a whole: is it well, what is in force, reload, restart."""

from typing import Any

from aiohttp import web

from proxy.admin.operation import Call, Nothing
from proxy.control.control import Control
from proxy.control.shown import overrides, traffic
from proxy.control.views import CheckView, DiffView, OverrideView, ReloadView, StatusView, WorkerStatus
from proxy.core.version import version
from proxy.http1.parser import BUILD


async def healthz(_call: Call) -> web.Response:
    """The process answers."""
    return web.Response(text="ok\n")


async def readyz(call: Call) -> web.Response:
    """Every worker serves what is in force."""
    ready = call.proxy.is_ready()
    return web.Response(text="ready\n" if ready else "not ready\n", status=200 if ready else 503)


async def status(call: Call) -> StatusView:
    """The whole proxy at a glance."""
    proxy, control = call.proxy, call.control
    reports = await proxy.fleet.ask()
    workers = proxy.fleet.workers
    return StatusView(
        version=version(),
        build=BUILD,
        generation=control.generation,
        workers=tuple(WorkerStatus(each.pid, each.state, each.generation, each.slot) for each in workers),
        uptime=proxy.uptime,
        reloads=proxy.reloads,
        problems=proxy.problems(),
        overrides=_overrides(call),
        config=proxy.config,
        traffic=traffic(reports),
    )


async def config(call: Call) -> dict[str, Any]:
    """What is in force."""
    return call.proxy.effective()


async def diff(call: Call) -> DiffView:
    """How that differs from the file."""
    return DiffView(_overrides(call))


def _overrides(call: Call) -> tuple[OverrideView, ...]:
    written = {service.name: service.split for service in call.control.file.services}
    return tuple(overrides(call.control.state, written, call.proxy.conceal))


async def check(call: Call) -> CheckView:
    """What a reload would find; or what is to be said of a text."""
    return await call.proxy.check(call.body.yaml)


async def reload(call: Call) -> ReloadView:
    """Read the configuration again."""
    done = await call.proxy.reload(by=call.who.name, reason=call.who.reason)
    silent: Control = call.control
    warnings = tuple(f"worker {pid} did not answer in time, and is being replaced" for pid in silent.silent)
    return ReloadView(done.generation, done.changed, (*done.warnings, *warnings)) if done.changed else done


async def restart(call: Call) -> Nothing:
    """Restart everything with the code on disk; it is answered before that is done."""
    call.proxy.restart(call.who)
    return Nothing()
