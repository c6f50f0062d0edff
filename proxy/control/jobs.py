"""What steps of a rollout have others do: smoke tests, hooks, drains, a look at what was mirrored. One coroutine each.

A job's options are its step's own fields. What goes wrong outside is a Result that is not ok, in a sentence.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from yarl import URL

from proxy.control.control import Control, Who
from proxy.control.fleet_update import FleetUpdate
from proxy.control.webhooks import Webhooks, readable
from proxy.core.address import UnixAddress, parse_address
from proxy.core.regex import compile_regex
from proxy.rollouts.plan import Plan
from proxy.rollouts.step import Job, Result
from proxy.snapshot.document import Endpoint
from proxy.telemetry.report import WorkerReport
from proxy.telemetry.totals import MirrorTotals

_MOST_BODY: Final = 1024 * 1024
_POLL: Final = 0.2  # seconds between looks at whether a drain is over


@dataclass(frozen=True, slots=True)
class Around:
    """What jobs need: the verbs, the workers' reports, and what was mirrored to a pool in all."""

    control: Control
    reports: Callable[[], Awaitable[list[WorkerReport]]]
    mirrored: Callable[[str, str], MirrorTotals | None]


class JobRunner:
    """Does jobs by their kind."""

    def __init__(self, around: Around, webhooks: Webhooks) -> None:
        self._around = around
        self._webhooks = webhooks
        fleet = FleetUpdate(around.control, around.reports, webhooks)
        self._kinds: Mapping[str, Callable[[Mapping[str, Any], Plan], Awaitable[Result]]] = {
            "smoke": self._smoke,
            "hook": self._hook,
            "drain": self._drain,
            "mirrored": self._mirrored,
            "update": fleet.update,
            "back": fleet.back,
            "rollback": fleet.rollback,
        }

    async def do(self, job: Job, plan: Plan) -> Result:
        """Do it."""
        return await self._kinds[job.kind](job.options, plan)

    def tell(self, url: str, event: Mapping[str, Any]) -> None:
        """Tell a webhook, without anybody waiting for it."""
        self._webhooks.tell(url, event)

    async def _hook(self, options: Mapping[str, Any], plan: Plan) -> Result:
        event = {
            "text": f"may rollout {plan.name} of {plan.service} go on?",
            "rollout": plan.name,
            "service": plan.service,
            "stable": plan.stable,
            "candidate": plan.candidate,
        }
        patience, retries = options.get("timeout", 10.0), options.get("retries", 2)
        return await self._webhooks.ask(options["url"], event, patience=patience, retries=retries)

    async def _smoke(self, options: Mapping[str, Any], plan: Plan) -> Result:
        service = self._around.control.service(plan.service)
        endpoints = next(pool.endpoints for pool in service.pools if pool.name == plan.candidate)
        if not endpoints:
            return Result(ok=False, text=f"{plan.candidate} has no endpoint")
        found = await asyncio.gather(*(_smoke_tests(endpoint, options) for endpoint in endpoints))
        wrong = next(filter(None, found), "")
        if wrong:
            return Result(ok=False, text=wrong)
        number = options["count"] * len(endpoints)
        return Result(ok=True, text=f"{number} request{'s' if number > 1 else ''} answered as they should be")

    async def _drain(self, options: Mapping[str, Any], plan: Plan) -> Result:
        control, deadline = self._around.control, options["deadline"]
        who = Who(f"rollout {plan.name}")
        # Not to be stopped half-way by a promote: a change is in force everywhere or nowhere.
        await asyncio.shield(control.drain(plan.service, plan.stable, None, who, deadline=deadline, cut=False))
        try:
            async with asyncio.timeout(deadline + 2 * _POLL):
                while await self._running_on(plan.service, plan.stable):  # noqa: ASYNC110 - only asking tells
                    await asyncio.sleep(_POLL)
            text = f"{plan.stable} is empty"
        except TimeoutError:
            text = f"{plan.stable} still has something running; its tunnels were closed"
        await asyncio.shield(control.restore(plan.service, plan.stable, None, who))
        return Result(ok=True, text=text)

    async def _running_on(self, service: str, pool: str) -> int:
        reports = await self._around.reports()
        found = (
            each for report in reports for each in report.endpoints if (each.service, each.pool) == (service, pool)
        )
        return sum(each.in_flight + each.tunnels for each in found)

    async def _mirrored(self, _options: Mapping[str, Any], plan: Plan) -> Result:
        await self._around.reports()
        totals = self._around.mirrored(plan.service, plan.candidate) or MirrorTotals()
        numbers = {
            "requests": float(sum(totals.real.requests)),
            "bad_requests": float(totals.real.requests[0] + totals.real.requests[5]),
            "copies": float(sum(totals.shadow.requests)),
            "bad_copies": float(totals.shadow.requests[0] + totals.shadow.requests[5]),
        }
        return Result(ok=True, text=f"{numbers['copies']:.0f} copies so far", numbers=numbers)


async def _smoke_tests(endpoint: Endpoint, options: Mapping[str, Any]) -> str:
    """What is wrong with an endpoint, one request after the other; empty where nothing is."""
    for _ in range(options["count"]):
        wrong = await _smoke_test(endpoint, options)
        if wrong:
            return f"{endpoint.address}: {wrong}"
    return ""


async def _smoke_test(endpoint: Endpoint, options: Mapping[str, Any]) -> str:
    """What is wrong with an endpoint's answer; empty where nothing is."""
    address = parse_address(endpoint.address)
    is_unix = isinstance(address, UnixAddress)
    connector = aiohttp.UnixConnector(address.path) if isinstance(address, UnixAddress) else aiohttp.TCPConnector()
    host = "localhost" if is_unix else endpoint.address
    headers = {"Host": endpoint.name or host, "User-Agent": "sluice-smoke", **options["headers"]}
    try:
        async with (
            asyncio.timeout(options["timeout"]),
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout()
            ) as session,
            session.request(
                options["method"],
                URL(f"http://{host}{options['path']}", encoded=True),
                headers=headers,
                allow_redirects=False,
            ) as response,
        ):
            if response.status != options["status"]:
                return f"{options['method']} {options['path']}: {response.status}, not {options['status']}"
            return _wrong_body(await _body(response), options)
    except TimeoutError:
        return f"no answer within {options['timeout']:g} s"
    except (aiohttp.ClientError, OSError) as error:
        return f"cannot be asked: {type(error).__name__}"


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """All of it, up to 1 MiB: one read gives no more than what has come so far."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) >= _MOST_BODY:
            break
    return bytes(body[:_MOST_BODY])


def _wrong_body(body: bytes, options: Mapping[str, Any]) -> str:
    if options["contains"] is not None and options["contains"].encode() not in body:
        return f"the body does not contain {options['contains']!r}"
    if options["body"] is not None and not compile_regex(options["body"])(body):
        return f"the body does not match {options['body']!r}"
    if not options["expect_json"]:
        return ""
    try:
        data = json.loads(body)
    except ValueError:
        return "the body is not JSON"
    for path, wanted in options["expect_json"].items():
        found: Any = data
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        if _as_text(found) != wanted:
            return f"{path} is {readable(_as_text(found)[:80])}, not {wanted}"
    return ""


def _as_text(value: Any) -> str:
    """A JSON value as YAML would write it."""
    return value if isinstance(value, str) else json.dumps(value)
