"""What a rolling update has done to an endpoint: taken out, updated by a hook or a command, well again, back in.

An endpoint is one as it is written: a host name with all of its addresses. Each job can be begun again where the
controller died in the middle: what is drained already is not drained anew. What somebody else has drained is theirs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from proxy.control.cohorts import written
from proxy.control.control import Control, Who
from proxy.control.endpoint_update import FailedError, run, unreachable, wrong_version
from proxy.control.probes import Target, ask
from proxy.control.refusal import Refusal
from proxy.control.state import Drain
from proxy.control.webhooks import Webhooks
from proxy.pools.endpoint import Signal
from proxy.rollouts.plan import Plan
from proxy.rollouts.step import Result
from proxy.rollouts.steps.wave import Version, Wave, read_amount
from proxy.rollouts.waves import may_go
from proxy.snapshot.document import Endpoint, Pool
from proxy.telemetry.report import WorkerReport

_POLL: Final = 0.1  # seconds between looks
_CUTTING: Final = 5.0  # seconds that workers may take to close what is left at the deadline of a drain


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
            # Before anybody gets it: what it does is the updated ones' from its first request on.
            await asyncio.shield(self._control.updated(plan.service, address, _who(plan)))
        except (FailedError, Refusal) as error:
            return self._failed(plan, address, error)
        return Result(ok=True, text=f"{address}: {text}")

    async def back(self, options: Mapping[str, Any], plan: Plan) -> Result:
        """Restore one endpoint, and wait until it is proven."""
        wave, address = msgspec.convert(options["wave"], Wave), options["address"]
        try:
            await self._restore(plan, address)
            async with asyncio.timeout(wave.proven_within):
                while True:
                    await asyncio.sleep(_POLL)  # what probes showed before the drain is forgotten meanwhile
                    if address in self._usable(plan):
                        return Result(ok=True, text=f"{address} is back")
                    if not self._endpoints(plan, address):
                        return self._failed(plan, address, FailedError("it is gone"))
        except (FailedError, Refusal) as error:
            return self._failed(plan, address, error)
        except TimeoutError:
            return self._failed(plan, address, FailedError(f"not proven again within {wave.proven_within:g} s"))

    async def rollback(self, options: Mapping[str, Any], plan: Plan) -> Result:
        """Take the update back: those first that are out already, the others as `max_unavailable` lets them go."""
        wave, addresses = msgspec.convert(options["wave"], Wave), tuple(options["addresses"])
        first = sorted(addresses, key=lambda each: self._drain_of(plan, each) is None)
        said = await asyncio.gather(*(self._rolled_back(plan, wave, each, addresses) for each in first))
        problems = [problem for each in said for problem in each]
        text = "; ".join(problems) or f"{len(addresses)} endpoints are as they were"
        return Result(ok=not problems, text=text)

    async def _rolled_back(self, plan: Plan, wave: Wave, address: str, addresses: Sequence[str]) -> list[str]:
        problems = []
        try:
            await self._take_out(plan, wave, address)
            await self._updated(plan, wave, address, addresses, rollback=True)
            await self._well(plan, wave, address, None)
        except (FailedError, Refusal) as error:
            failed = self._failed(plan, address, error)
            problems += [] if failed.ok else [failed.text]
        back = await self.back({"wave": msgspec.to_builtins(wave), "address": address}, plan)
        return problems if back.ok else [*problems, back.text]

    def _failed(self, plan: Plan, address: str, error: FailedError | Refusal) -> Result:
        """What came of an endpoint that cannot be updated: nothing bad where it is in the pool no more."""
        if not self._endpoints(plan, address):
            return Result(ok=True, text=f"{address} is in the pool no more")
        detail = "; ".join((error.detail, *error.problems)) if isinstance(error, Refusal) else str(error)
        return Result(ok=False, text=f"{address}: {detail}")

    # -- out

    async def _take_out(self, plan: Plan, wave: Wave, address: str) -> None:
        await self._drain(plan, wave, address)
        try:
            async with asyncio.timeout(wave.deadline + _CUTTING):
                while await self._running_on(plan, address):  # noqa: ASYNC110 - only asking tells
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise FailedError(f"requests still run there after {wave.deadline:g} s") from None

    async def _drain(self, plan: Plan, wave: Wave, address: str) -> None:
        """Drain it as soon as enough others are in; one after the other, so that each sees the last one's."""
        patience = wave.at_most_seconds()
        try:
            async with asyncio.timeout(patience):
                while not await self._drained_now(plan, wave, address):  # noqa: ASYNC110 - only asking tells
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            few = f"{len(self._usable(plan))} of {len(written(self._pool(plan)))} are usable"
            raise FailedError(f"there were never enough others within {patience:g} s to take it out: {few}") from None

    async def _drained_now(self, plan: Plan, wave: Wave, address: str) -> bool:
        async with self._leaving:
            found = self._drain_of(plan, address)
            if found is not None:
                if found.by != _who(plan).name:
                    raise FailedError("somebody else has drained it; restore it first")
                return True
            if not self._control.world.is_told():
                return False  # nobody is known to be well yet, which is no reason to take all out
            everyone = written(self._pool(plan))
            if not may_go((address,), self._usable(plan), everyone, read_amount(wave.max_unavailable)):
                return False
            verb = self._control.drain(
                plan.service, plan.stable, address, _who(plan), deadline=wave.deadline, cut=False
            )
            await asyncio.shield(verb)  # an abort does not leave it half done
            return True

    async def _running_on(self, plan: Plan, address: str) -> int:
        keys = {(plan.service, plan.stable, each.address) for each in self._endpoints(plan, address)}
        found = (each for report in await self._reports() for each in report.endpoints)
        return sum(each.in_flight + each.tunnels for each in found if (each.service, each.pool, each.address) in keys)

    # -- updated

    async def _updated(self, plan: Plan, wave: Wave, address: str, addresses: Sequence[str], *, rollback: bool) -> str:
        if wave.update.command:
            return await run(wave, address, rollback=rollback)
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
        try:
            async with asyncio.timeout(wave.proven_within):
                while wrong := await self._wrong(plan, address, version):  # noqa: ASYNC110 - only asking tells
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise FailedError(f"not well within {wave.proven_within:g} s: {wrong}") from None

    async def _wrong(self, plan: Plan, address: str, version: Version | None) -> str:
        """What is wrong with the first of its addresses that is not well; empty where all are."""
        found = self._endpoints(plan, address)
        for endpoint in found:
            wrong = await self._wrong_at(plan, endpoint, version)
            if wrong:
                return wrong if len(found) == 1 else f"{endpoint.address}: {wrong}"
        return "" if found else "it has no address"

    async def _wrong_at(self, plan: Plan, endpoint: Endpoint, version: Version | None) -> str:
        health = self._control.service(plan.service).health
        if health is not None:
            outcome = await ask(Target(endpoint.address, endpoint.name or endpoint.address, health))
            if outcome.signal is not Signal.PASS:
                return outcome.sentence
        if version is not None:
            return await wrong_version(endpoint, version)
        return "" if health is not None else await unreachable(endpoint.address)

    # -- what there is

    async def _restore(self, plan: Plan, address: str) -> None:
        found = self._drain_of(plan, address)
        if found is None:
            return
        if found.by != _who(plan).name:
            raise FailedError("somebody else has drained it; restore it first")
        await asyncio.shield(self._control.restore(plan.service, plan.stable, address, _who(plan)))

    def _drain_of(self, plan: Plan, address: str) -> Drain | None:
        key = (plan.service, plan.stable, address)
        drains = self._control.state.drains
        return next((each for each in drains if (each.service, each.pool, each.address) == key), None)

    def _pool(self, plan: Plan) -> Pool:
        return next(each for each in self._control.service(plan.service).pools if each.name == plan.stable)

    def _endpoints(self, plan: Plan, address: str) -> tuple[Endpoint, ...]:
        """Every address of one endpoint as it is written."""
        return tuple(each for each in self._pool(plan).endpoints if (each.name or each.address) == address)

    def _usable(self, plan: Plan) -> set[str]:
        """Those that take requests now, at one of their addresses at least."""
        is_usable = self._control.world.is_usable
        return {
            each.name or each.address
            for each in self._pool(plan).endpoints
            if not each.drain and is_usable(plan.service, plan.stable, each.address)
        }


def _who(plan: Plan) -> Who:
    return Who(f"rollout {plan.name}")
