"""What a rolling update has done to an endpoint: taken out, updated by a hook or a command, well again, back in.

Each job can be begun again where the controller died in the middle: what is drained already is not drained anew.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from proxy.control.control import Control, Who
from proxy.control.probes import Target, ask
from proxy.control.refusal import Refusal
from proxy.control.webhooks import Webhooks
from proxy.core.address import UnixAddress, parse_address
from proxy.pools.endpoint import Signal
from proxy.rollouts.plan import Plan
from proxy.rollouts.step import Result
from proxy.rollouts.steps.wave import Version, Wave, read_amount
from proxy.rollouts.waves import may_go
from proxy.snapshot.document import Endpoint
from proxy.telemetry.report import WorkerReport

_POLL: Final = 0.1  # seconds between looks
_MOST_BODY: Final = 64 * 1024
_MOST_OUTPUT: Final = 500  # bytes of a command's output that are shown


class FailedError(Exception):
    """An endpoint cannot be updated, in a sentence."""


class FleetUpdate:
    """The jobs of waves, through the verbs of `control`; `reports` tells what runs where."""

    def __init__(
        self, control: Control, reports: Callable[[], Awaitable[list[WorkerReport]]], webhooks: Webhooks
    ) -> None:
        self._control = control
        self._reports = reports
        self._webhooks = webhooks
        self._leaving = asyncio.Lock()

    async def update(self, options: Mapping[str, Any], plan: Plan) -> Result:
        """Drain one endpoint, update it, and wait until it is well; it stays drained."""
        wave, address = msgspec.convert(options["wave"], Wave), options["address"]
        try:
            await self._take_out(plan, wave, address)
            text = await self._updated(plan, wave, address, (address,), rollback=False)
            await self._well(plan, wave, address, wave.version)
        except FailedError as error:
            return Result(ok=False, text=f"{address}: {error}")
        return Result(ok=True, text=f"{address}: {text}")

    async def back(self, options: Mapping[str, Any], plan: Plan) -> Result:
        """Restore one endpoint, and wait until it is proven."""
        wave, address = msgspec.convert(options["wave"], Wave), options["address"]
        await self._restore(plan, address)
        try:
            async with asyncio.timeout(wave.proven_within):
                while True:
                    await asyncio.sleep(_POLL)  # what probes showed before the drain is forgotten meanwhile
                    if address in self._usable(plan):
                        return Result(ok=True, text=f"{address} is back")
        except TimeoutError:
            return Result(ok=False, text=f"{address}: not proven again within {wave.proven_within:g} s")

    async def rollback(self, options: Mapping[str, Any], plan: Plan) -> Result:
        """Take the update back, endpoint by endpoint, those first that are out already; all are restored at the end."""
        wave, addresses = msgspec.convert(options["wave"], Wave), tuple(options["addresses"])
        problems = []
        for address in sorted(addresses, key=lambda each: not self._is_drained(plan, each)):
            try:
                await self._take_out(plan, wave, address)
                await self._updated(plan, wave, address, addresses, rollback=True)
                await self._well(plan, wave, address, None)
            except (FailedError, Refusal) as error:
                problems.append(f"{address}: {error}")
            back = await self.back({"wave": options["wave"], "address": address}, plan)
            problems += [] if back.ok else [back.text]
        text = "; ".join(problems) or f"{len(addresses)} endpoints are as they were"
        return Result(ok=not problems, text=text)

    # -- out

    async def _take_out(self, plan: Plan, wave: Wave, address: str) -> None:
        await self._drain(plan, wave, address)
        try:
            async with asyncio.timeout(wave.deadline + 2 * _POLL):
                while await self._running_on(plan, address):  # noqa: ASYNC110 - only asking tells
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise FailedError(f"requests still run there after {wave.deadline:g} s") from None

    async def _drain(self, plan: Plan, wave: Wave, address: str) -> None:
        """Drain it as soon as enough others are in; one after the other, so that each sees the last one's."""
        async with self._leaving:
            while not self._is_drained(plan, address):
                usable, all_of_them = self._usable(plan), [each.address for each in self._endpoints(plan)]
                if may_go((address,), usable, all_of_them, read_amount(wave.max_unavailable)):
                    verb = self._control.drain(
                        plan.service, plan.stable, address, _who(plan), deadline=wave.deadline, cut=False
                    )
                    await asyncio.shield(verb)  # an abort does not leave it half done
                    return
                self._leaving.release()
                try:
                    await asyncio.sleep(_POLL)
                finally:
                    await asyncio.shield(self._leaving.acquire())

    async def _running_on(self, plan: Plan, address: str) -> int:
        key = (plan.service, plan.stable, address)
        found = (each for report in await self._reports() for each in report.endpoints)
        return sum(each.in_flight + each.tunnels for each in found if (each.service, each.pool, each.address) == key)

    # -- updated

    async def _updated(self, plan: Plan, wave: Wave, address: str, addresses: Sequence[str], *, rollback: bool) -> str:
        if wave.update.command:
            return await _run(wave, address, rollback=rollback)
        event = {
            "text": f"{'roll back' if rollback else 'update'} {address} of {plan.service}/{plan.stable}",
            "rollout": plan.name,
            "service": plan.service,
            "pool": plan.stable,
            "endpoint": address,
            "endpoints": list(addresses),
            "rollback": rollback,
        }
        result = await self._webhooks.ask(wave.update.hook or "", event, patience=wave.update.timeout, retries=0)
        if not result.ok:
            raise FailedError(result.text)
        return result.text

    async def _well(self, plan: Plan, wave: Wave, address: str, version: Version | None) -> None:
        """Wait until it passes its probe and says the version; asked by ourselves, as what drains is not probed."""
        wrong = "not asked yet"
        endpoint = next((each for each in self._endpoints(plan) if each.address == address), Endpoint(address))
        try:
            async with asyncio.timeout(wave.proven_within):
                while wrong := await self._wrong(plan, endpoint, version):  # noqa: ASYNC110 - only asking tells
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise FailedError(f"not well within {wave.proven_within:g} s: {wrong}") from None

    async def _wrong(self, plan: Plan, endpoint: Endpoint, version: Version | None) -> str:
        health = self._control.service(plan.service).health
        if health is not None:
            outcome = await ask(Target(endpoint.address, endpoint.name or endpoint.address, health))
            if outcome.signal is not Signal.PASS:
                return outcome.sentence
        if version is not None:
            return await _wrong_version(endpoint, version)
        return "" if health is not None else await _unreachable(endpoint.address)

    # -- what there is

    async def _restore(self, plan: Plan, address: str) -> None:
        if self._is_drained(plan, address):
            await asyncio.shield(self._control.restore(plan.service, plan.stable, address, _who(plan)))

    def _is_drained(self, plan: Plan, address: str) -> bool:
        key = (plan.service, plan.stable, address)
        return any((each.service, each.pool, each.address) == key for each in self._control.state.drains)

    def _endpoints(self, plan: Plan) -> tuple[Endpoint, ...]:
        pools = self._control.service(plan.service).pools
        return next(pool.endpoints for pool in pools if pool.name == plan.stable)

    def _usable(self, plan: Plan) -> set[str]:
        is_usable = self._control.world.is_usable
        return {
            each.address
            for each in self._endpoints(plan)
            if not each.drain and is_usable(plan.service, plan.stable, each.address)
        }


def _who(plan: Plan) -> Who:
    return Who(f"rollout {plan.name}")


async def _run(wave: Wave, address: str, *, rollback: bool) -> str:
    """Run the command, without a shell and with hardly any environment; FailedError unless it ends with 0."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(each.replace("{endpoint}", address) for each in wave.update.command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**kept, "SLUICE_ENDPOINT": address, "SLUICE_ROLLBACK": "true" if rollback else "false"},
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(wave.update.timeout):
            said = await _output(process)
            code = await process.wait()
    except TimeoutError:
        raise FailedError(f"the command has not ended within {wave.update.timeout:g} s") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if code:
        raise FailedError(f"the command ends with {code}: {said}")
    return f"the command ends with 0: {said}".rstrip(": ")


async def _output(process: asyncio.subprocess.Process) -> str:
    """The beginning of what it says; the rest is read and dropped."""
    said = b""
    while process.stdout is not None and (piece := await process.stdout.read(_MOST_BODY)):
        said = (said + piece)[:_MOST_OUTPUT]
    return " ".join(said.decode(errors="replace").split())


async def _wrong_version(endpoint: Endpoint, version: Version) -> str:
    address = parse_address(endpoint.address)
    is_unix = isinstance(address, UnixAddress)
    connector = aiohttp.UnixConnector(address.path) if isinstance(address, UnixAddress) else aiohttp.TCPConnector()
    host = "localhost" if is_unix else endpoint.address
    headers = {"Host": endpoint.name or host, "User-Agent": "sluice-version"}
    try:
        async with (
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(
                URL(f"http://{host}{version.path}", encoded=True), headers=headers, allow_redirects=False
            ) as response,
        ):
            if version.header is not None:
                said = response.headers.get(version.header, "none")
                return "" if said == version.value else f"its {version.header} is {said[:80]}, not {version.value}"
            body = await response.content.read(_MOST_BODY)
            return "" if version.value.encode() in body else f"{version.path} does not say {version.value}"
    except (aiohttp.ClientError, OSError) as error:
        return f"cannot be asked: {type(error).__name__}"


async def _unreachable(text: str) -> str:
    address = parse_address(text)
    try:
        if isinstance(address, UnixAddress):
            _, writer = await asyncio.open_unix_connection(address.path)
        else:
            _, writer = await asyncio.open_connection(address.host, address.port)
    except OSError as error:
        return f"cannot be connected to: {type(error).__name__}"
    writer.close()
    return ""
