"""The verbs: every change of a running proxy goes through here, one after the other, and by one road.

A verb makes a new state, the state and the file make a desired document, the fleet brings it into force everywhere,
and then it is stored, written into the journal, and answered.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from proxy.control import flag_overrides, flag_ramps
from proxy.control.desired import all_shares, desired, reconciled, shares_of, with_tables
from proxy.control.flag_board import FlagBoards
from proxy.control.flag_overrides import KeptOverride
from proxy.control.fleet import BindError, Change, Fleet, Outcome
from proxy.control.journal import Journal
from proxy.control.refusal import Refusal, unknown
from proxy.control.state import Course, Drain, EndpointOverride, HeldFlag, Past, Shares, State, same_shares
from proxy.control.views import per_cent
from proxy.flags.spec import FlagOverride
from proxy.snapshot.document import Document, Endpoint, Pool, Service
from proxy.snapshot.parts import hashes, parts, service_part

log = logging.getLogger("sluice")

DRAIN_DEADLINE: Final = 30.0
_START: Final = "start"


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks for a change, and on what terms. `etag`: only if the service is still as this says."""

    name: str
    reason: str | None = None
    force: bool = False
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Steering:
    """What a rollout wants of its service: what it has set up, if anything, and the split, if that is to change.

    `overrules`: where it lets go, its split stands whatever became of the file's meanwhile. `flags` are to be given
    back then.
    """

    course: Course | None
    shares: Shares | None = None
    move: bool = False
    overrules: bool = False
    flags: Mapping[str, HeldFlag] = field(default_factory=dict)


class Keeper(Protocol):
    """Where the state is kept."""

    def save(self, state: State) -> None:
        """Keep it."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """What the control needs of the process around it.

    `resolve` puts addresses for host names into the second document, while the first is in force. `look_after` is told
    what is wanted and what of it is in force, `is_usable` tells whether an endpoint (service, pool, address) takes
    requests, and `is_told` whether that is known yet: not before the first round of probes. `later` calls back after
    so many seconds, `spawn` runs a task, `wall` is the time of day.
    """

    fleet: Fleet
    journal: Journal
    keeper: Keeper
    cookie_key: str
    resolve: Callable[[Document, Document], Awaitable[Document]]
    look_after: Callable[[Document, Document], None]
    is_usable: Callable[[str, str, str], bool]
    later: Callable[[float, Callable[[], None]], Any]
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    wall: Callable[[], float]
    is_told: Callable[[], bool] = lambda: True


class Control:
    """The proxy's one writer. `file` is the last valid file, `wanted` is that with all overrides, and
    `document`, in `parts`, the same with addresses in the place of names: in force as `generation`.
    """

    def __init__(
        self, world: World, file: Document, state: State, generation: int, in_force: Mapping[str, bytes]
    ) -> None:
        self.world = world
        self.file = file
        self.state = state
        self.generation = generation
        self.wanted = file
        self.document = file
        self.parts: Mapping[str, bytes] = in_force
        self.flag_board = FlagBoards()
        self._lock = asyncio.Lock()
        self._published = bool(in_force)
        self.silent: tuple[int, ...] = ()
        """Pids of workers that did not follow the last change, and are being replaced."""

    # -- the file

    async def take_file(self, file: Document, *, by: str = "file", reason: str | None = None) -> bool:
        """A new valid file: bring what it makes of the overrides into force. Was anything changed?"""
        async with self._lock:
            if by != _START:
                self._refuse_loss(file)
            before = {service.name: all_shares(service, self.state) for service in self.file.services}
            tables = self.state.tables
            state, ended = reconciled(file, self.state)
            # The first time, the stored tables may be of a split that the file had before.
            state = with_tables(state, file, before if self._published else {})
            for service in file.services:
                old = before.get(service.name)
                if old is not None and _differ(old, all_shares(service, state)):
                    state = state.with_past(service.name, Past(old, tables.get(service.name)))
            changed = await self._publish(file, state, is_small=False)
            for each in ended:
                self._note("override_ended", by, service=each.service, text=each.what)
            if changed:
                self._note("config_applied", by, text=f"generation {self.generation}", reason=reason)
            return changed

    def _refuse_loss(self, file: Document) -> None:
        """422 where a rollout under way would lose a pool."""
        pools = {service.name: {pool.name for pool in service.pools} for service in file.services}
        problems = tuple(
            f"services.{name}: pool {pool} is gone, but rollout {course.rollout} needs it; abort that first"
            for name, course in self.state.courses.items()
            for pool in (course.stable, course.candidate)
            if pool not in pools.get(name, ())
        )
        problems += tuple(self._flags_lost(file))
        if problems:
            raise Refusal(
                422, "a rollout under way needs what the file no longer has, and nothing was changed", problems
            )

    def _flags_lost(self, file: Document) -> Iterator[str]:
        known = flag_overrides.definitions(file.flags)
        for course in self.state.courses.values():
            for key, held in course.flags.items():
                why = "it is gone" if key not in known else self.flag_board.refuses(file, key, held.value)
                if why is not None:
                    yield f"flag {key}: {why}, but rollout {course.rollout} needs it; abort that first"

    async def refresh(self, why: str) -> None:
        """The same file and state again, because something around them has changed (an address of a host name)."""
        async with self._lock:
            if await self._publish(self.file, self.state, is_small=True):
                self._note("refreshed", "sluice", text=why)

    # -- splits

    async def split(self, name: str, shares: Shares, who: Who, *, move: bool = False) -> Outcome:
        """Set a service's split; shares are relative."""
        async with self._lock:
            service = self._service(name, who)
            for pool in shares:
                if pool not in {each.name for each in service.pools}:
                    raise unknown("pool", pool, [each.name for each in service.pools])
            total = sum(shares.values())
            value = {pool: share / total for pool, share in shares.items()}
            self._refuse_nowhere(service, value, self.state, who)
            return await self._set_split(service, value, who, "split", move=move)

    async def flip(self, name: str, to: str, who: Who, *, move: bool = False) -> Outcome:
        """Give one pool everything, at once."""
        async with self._lock:
            service = self._service(name, who)
            pool = self._pool(service, to)
            if not who.force and not self._has_usable(service.name, pool, self.state):
                raise Refusal(409, f"pool {to} has no usable endpoint; with force it is done all the same")
            return await self._set_split(service, {to: 1.0}, who, "flip", move=move)

    async def undo(self, name: str, who: Who) -> Outcome:
        """Back to the split, and the bucket table, before the last change, whoever made it."""
        async with self._lock:
            service = self._service(name, who)
            past = self.state.past.get(name)
            if past is None:
                raise Refusal(409, f"there is nothing to undo: the split of {name} was not changed")
            gone = {pool for pool, share in past.shares.items() if share} - {pool.name for pool in service.pools}
            if gone:
                raise Refusal(409, f"pool {min(gone)} is gone; set the split instead")
            self._refuse_nowhere(service, past.shares, self.state, who)
            return await self._set_split(service, past.shares, who, "undo", table=past.table)

    async def reset(self, name: str, who: Who) -> Outcome:
        """Back to the file's split."""
        async with self._lock:
            service = self._service(name, who)
            return await self._set_split(service, service.split, who, "reset")

    # -- rollouts

    async def steer(self, name: str, way: Steering, who: Who, kind: str = "rollout_split") -> Outcome:
        """What a rollout wants in force, in one change; without a course it lets go of the service."""
        async with self._lock:
            service = self._service(name, who)
            state = self.state.with_course(name, _taking(service, way.course, self.state))
            is_small = _set_up(state.courses.get(name)) == _set_up(self.state.courses.get(name))
            before = all_shares(service, state)
            if way.shares is not None:
                if not same_shares(way.shares, before):  # what stays as it is leaves nothing anywhere
                    self._refuse_nowhere(service, way.shares, state, who)
                state = self._with_split(service, way.shares, state, move=way.move)
            if way.course is None:
                state = state if way.overrules else state.with_edits_of(name, self.state)
                state = flag_ramps.given_back(state, way.flags)
                stands = all_shares(service, state)
                state, ended = reconciled(self.file, state)  # an edit that has waited for this takes effect
                state = with_tables(state, self.file, self._splits_but(name, stands))
                for each in ended:
                    self._note("override_ended", who.name, service=each.service, text=each.what)
            flags = {key: flag_ramps.described(self.state, key) for key in way.flags}
            outcome = await self._publish_outcome(self.file, state, is_small=is_small)
            for key, was in flags.items():
                self._note_flag(name, key, was, who)
            after = all_shares(service, state)
            if before != after:
                changes = {"before": per_cent(before), "after": per_cent(after)}
                self._note(kind, who.name, service=name, reason=who.reason, **changes)
            return outcome

    async def ramp_flag(self, name: str, key: str, override: FlagOverride, who: Who) -> Outcome:
        """A rollout's word on a flag, which an abort takes back; Refusal where the flag is killed or another's."""
        async with self._lock:
            self._service(name, who)
            known = flag_overrides.definitions(self.file.flags)
            if key not in known:
                raise unknown("flag", key, list(known))
            why = flag_ramps.problem(self.state, name, key)
            if why is not None:
                raise Refusal(409, why)
            self._refuse_unfit(key, override)
            kept = self._kept(known[key], override, who)
            was = flag_ramps.described(self.state, key)
            state = flag_ramps.taken(self.state, name, key, kept)
            outcome = await self._publish_outcome(self.file, state, is_small=True)
            self._note_flag(name, key, was, who)
            return outcome

    def _note_flag(self, service: str, key: str, was: str, who: Who) -> None:
        now = flag_ramps.described(self.state, key)
        if now != was:
            what = {"text": f"flag {key}", "before": was, "after": now}
            self._note("rollout_flag", who.name, service=service, reason=who.reason, **what)

    async def updated(self, name: str, address: str, who: Who) -> None:
        """A rolling update has updated this endpoint: its requests are told apart from the others' from now on."""
        async with self._lock:
            self._service(name, who)
            await self._publish_outcome(self.file, self.state.with_updated(name, address), is_small=True)

    # -- flags

    async def override_flag(self, key: str, override: FlagOverride | None, who: Who, kind: str) -> Outcome:
        """What somebody wants of a flag whatever its definition says; None: what that says again."""
        async with self._lock:
            known, before = flag_overrides.definitions(self.file.flags), self.state.flags.get(key)
            if key not in known:
                raise unknown("flag", key, list(known))
            if override is not None:
                self._refuse_override(key, override, before, who)
            kept = None if override is None else self._kept(known[key], override, who)
            outcome = await self._publish_outcome(self.file, self.state.with_flag(key, kept), is_small=True)
            told = [flag_overrides.said(each) for each in (before.value if before else None, override)]
            self._note(kind, who.name, text=f"flag {key}", before=told[0], after=told[1], reason=who.reason)
            return outcome

    def _kept(self, definition: Any, override: FlagOverride, who: Who) -> KeptOverride:
        return KeptOverride(flag_overrides.digest(definition), override, who.name, self.world.wall())

    def _refuse_override(self, key: str, override: FlagOverride, before: KeptOverride | None, who: Who) -> None:
        """409 for what does not fit the flag, and for what would bring a killed one back unasked."""
        self._refuse_unfit(key, override)
        if before is not None and before.value.killed and not (override.killed or who.force):
            raise Refusal(409, f"flag {key} is killed; clear it first, or do it with force")

    def _refuse_unfit(self, key: str, override: FlagOverride) -> None:
        why = self.flag_board.refuses(self.document, key, override)
        if why is not None:
            raise Refusal(409, f"flag {key}: {why}")

    # -- drains

    async def drain(
        self, name: str, pool_name: str, address: str | None, who: Who, *, deadline: float | None, cut: bool
    ) -> Outcome:
        """Take a pool or an endpoint out: nothing new; what runs goes on until it ends or the deadline."""
        async with self._lock:
            service = self._service(name, who)
            pool = self._pool(service, pool_name)
            if address is not None:
                self._endpoint(name, pool, address)
            patience = DRAIN_DEADLINE if deadline is None else deadline
            drain = Drain(name, pool_name, address, self.world.wall() + patience, cut, False, patience, who.name)
            state = self.state.with_drain(drain)
            self._refuse_nowhere(service, shares_of(service, state), state, who)
            outcome = await self._small(state, who, "drain", name, after=_where(pool_name, address))
            if patience > 0:
                self.world.later(patience, lambda: self._deadline(drain))
                return outcome
        return replace(outcome, cut=await self._cut(drain))

    async def restore(self, name: str, pool_name: str, address: str | None, who: Who) -> Outcome:
        """Back in; proven again first."""
        async with self._lock:
            service = self._service(name, who)
            pool = self._pool(service, pool_name)
            if address is not None:
                self._endpoint(name, pool, address)
            if address is not None and self._drain_of(name, pool_name, None) is not None:
                raise Refusal(409, f"the whole pool {pool_name} is drained; restore the pool")
            state = self.state.without_drain(name, pool_name, address)
            return await self._small(state, who, "restore", name, after=_where(pool_name, address))

    def _drain_of(self, service: str, pool: str, address: str | None) -> Drain | None:
        key = (service, pool, address)
        return next((each for each in self.state.drains if (each.service, each.pool, each.address) == key), None)

    def go_on(self) -> None:
        """Wait for the deadlines of drains that an earlier controller began."""
        for drain in self.state.drains:
            if not drain.is_over:
                patience = min(max(0.0, drain.deadline - self.world.wall()), drain.patience)
                self.world.later(patience, partial(self._deadline, drain))

    def _deadline(self, drain: Drain) -> None:
        if self._drain_of(drain.service, drain.pool, drain.address) != drain:
            return  # it was restored, or drained anew
        self.world.spawn(self._cut_later(drain))

    async def _cut_later(self, drain: Drain) -> None:
        await self._cut(drain)

    async def _cut(self, drain: Drain) -> tuple[int, int]:
        """The deadline: held sessions move, tunnels are closed, and exchanges where that was asked for; how many."""
        async with self._lock:
            if self._drain_of(drain.service, drain.pool, drain.address) != drain:
                return 0, 0
            state = self.state.with_drain(msgspec.structs.replace(drain, is_over=True))
            if drain.address is None:
                state = state.with_epoch(drain.service, drain.pool)
            await self._publish(self.file, state, is_small=True)
        tunnels, exchanges = await self._cut_at(drain)
        where = _where(drain.pool, drain.address)
        text = f"deadline of the drain of {where}: {tunnels} tunnels and {exchanges} exchanges cut"
        self._note("drain_deadline", "sluice", service=drain.service, text=text)
        return tunnels, exchanges

    async def _cut_at(self, drain: Drain) -> tuple[int, int]:
        """At every address of what is drained: workers know no host names."""
        services = (each for each in self.document.services if each.name == drain.service)
        pools = (pool for service in services for pool in service.pools if pool.name == drain.pool)
        found = [each.address for pool in pools for each in pool.endpoints if each.name == drain.address]
        where = found if drain.address is not None and found else [drain.address]
        cut = [await self.world.fleet.cut(drain.service, drain.pool, each, exchanges=drain.cut) for each in where]
        return sum(tunnels for tunnels, _ in cut), sum(exchanges for _, exchanges in cut)

    # -- endpoints

    async def add_endpoint(self, name: str, pool_name: str, new: Endpoint, backup: bool | None, who: Who) -> Outcome:
        """An endpoint more, or another weight for one that is there; without `backup` that stays as it is."""
        async with self._lock:
            service = self._service(name, who)
            self._pool(service, pool_name)
            if backup is None:
                there = _endpoint_in(self.wanted_service(name), pool_name, new.address)
                backup = there is not None and there.backup
            override = _override(service, pool_name, new.address, msgspec.structs.replace(new, backup=backup))
            state = self.state.with_endpoint(override)
            self._refuse_backups_alone(name, pool_name, state)
            after = {"pool": pool_name, "address": new.address, "weight": new.weight}
            return await self._small(
                state, who, "endpoint_added", name, after={**after, "backup": True} if backup else after
            )

    async def remove_endpoint(self, name: str, pool_name: str, address: str, who: Who) -> Outcome:
        """An endpoint less; what runs on it ends in peace."""
        async with self._lock:
            service = self._service(name, who)
            pool = self._pool(service, pool_name)
            self._endpoint(name, pool, address)
            override = _override(service, pool_name, address, None)
            state = self.state.with_endpoint(override).without_drain(name, pool_name, address)
            if not self._endpoints_in(name, pool_name, state):
                raise Refusal(409, f"{address} is the only endpoint of pool {pool_name}; add another one first")
            self._refuse_backups_alone(name, pool_name, state)
            self._refuse_nowhere(service, shares_of(service, state), state, who)
            return await self._small(
                state, who, "endpoint_removed", name, after={"pool": pool_name, "address": address}
            )

    def _endpoints_in(self, service: str, pool: str, state: State) -> tuple[Endpoint, ...]:
        """What a pool has by this state."""
        services = desired(self.file, state, "").services
        return next(each.endpoints for of in services if of.name == service for each in of.pools if each.name == pool)

    def _refuse_backups_alone(self, service: str, pool: str, state: State) -> None:
        """409 for what would leave a pool without anything that its backups stand behind."""
        if all(each.backup for each in self._endpoints_in(service, pool, state)):
            raise Refusal(409, f"that would leave only backups in pool {pool}; add another endpoint first")

    # -- what others ask

    def etag(self, name: str) -> str:
        """What changes whenever the service does."""
        part = self.parts.get(service_part(name), b"")
        return f'"{hashes({name: part})[name].hex()}"'

    def service(self, name: str, who: Who = Who("")) -> Service:
        """The service as it is in force; Refusal where there is none, or it is not as `who` has seen it."""
        self._service(name, who)
        return next(each for each in self.document.services if each.name == name)

    def wanted_service(self, name: str) -> Service:
        """The same with host names in the place of addresses; there must be one."""
        return next(each for each in self.wanted.services if each.name == name)

    def split_of(self, name: str) -> Shares:
        """The split in force."""
        return all_shares(self._service(name, Who("")), self.state)

    def usable_pools(self, service: Service) -> list[str]:
        """Pools that have at least one usable endpoint."""
        return [pool.name for pool in service.pools if self._has_usable(service.name, pool, self.state)]

    def note(self, kind: str, who: Who, **fields: Any) -> None:
        """Write down what was done beside the document."""
        self._note(kind, who.name, reason=who.reason, **fields)

    # -- inside

    def _service(self, name: str, who: Who) -> Service:
        service = next((each for each in self.file.services if each.name == name), None)
        if service is None:
            raise unknown("service", name, [each.name for each in self.file.services])
        if who.etag is not None and not _matches(who.etag, self.etag(name)):
            raise Refusal(412, f"service {name} was changed by someone else meanwhile")
        return service

    def _pool(self, service: Service, name: str) -> Pool:
        """The pool as it is in force, endpoints added and removed included."""
        in_force = next((each for each in self.document.services if each.name == service.name), service)
        pool = next((each for each in in_force.pools if each.name == name), None)
        if pool is None:
            raise unknown("pool", name, [each.name for each in service.pools])
        return pool

    def _endpoint(self, service: str, pool: Pool, address: str) -> None:
        """404 where the pool has no such endpoint, by address or by name; a name need not have an address."""
        wanted = next(each for each in self.wanted_service(service).pools if each.name == pool.name)
        there = [*wanted.endpoints, *pool.endpoints]
        if all(address not in (each.address, each.name) for each in there):
            raise unknown("endpoint", address, list(dict.fromkeys(each.name or each.address for each in there)))

    def _has_usable(self, service: str, pool: Pool, state: State) -> bool:
        drained = {each.address for each in state.drains if (each.service, each.pool) == (service, pool.name)}
        if None in drained:
            return False
        gone = {
            each.address
            for each in state.endpoints
            if (each.service, each.pool, each.value) == (service, pool.name, None)
        }
        out = drained | gone
        return any(
            endpoint.address not in out
            and endpoint.name not in out
            and self.world.is_usable(service, pool.name, endpoint.address)
            for endpoint in pool.endpoints
            if endpoint.weight
        )

    def _refuse_nowhere(self, service: Service, shares: Shares, state: State, who: Who) -> None:
        """409 for what would leave the service's weight nowhere usable, where it is somewhere now."""
        if who.force:
            return
        pools = [self._pool(service, name) for name, share in shares.items() if share]
        if any(self._has_usable(service.name, pool, state) for pool in pools):
            return
        names = ", ".join(pool.name for pool in pools)
        where = f"{service.name} with weight only on {names}, where no endpoint is usable"
        raise Refusal(409, f"that would leave {where}; with force it is done all the same")

    async def _set_split(
        self, service: Service, value: Shares, who: Who, kind: str, *, move: bool = False, table: bytes | None = None
    ) -> Outcome:
        before = all_shares(service, self.state)
        state = self._with_split(service, value, self.state, move=move, table=table)
        state = state.with_split_by_hand(service.name, service.split)
        after = all_shares(service, state)
        return await self._small(state, who, kind, service.name, before=per_cent(before), after=per_cent(after))

    def _with_split(
        self, service: Service, value: Shares, state: State, *, move: bool, table: bytes | None = None
    ) -> State:
        """The state with another split; what it was before is what undo brings back."""
        before = all_shares(service, state)
        state = state.with_split(service.name, service.split, value)
        after = all_shares(service, state)
        if not same_shares(before, after):
            state = state.with_past(service.name, Past(before, state.tables.get(service.name)))
        if move:
            for pool in service.pools:
                if after[pool.name] < before[pool.name]:
                    state = state.with_epoch(service.name, pool.name)
        if table is not None:
            return state.with_table(service.name, table)
        return with_tables(state, self.file, self._splits_but(service.name, before))

    def _splits_but(self, name: str, before: Shares) -> dict[str, Shares]:
        splits = {each.name: all_shares(each, self.state) for each in self.file.services}
        return {**splits, name: before}

    async def _small(
        self, state: State, who: Who, kind: str, service: str, *, before: Any = None, after: Any = None
    ) -> Outcome:
        try:
            outcome = await self._publish_outcome(self.file, state, is_small=True)
        except BindError as error:  # the proxy is ending
            raise Refusal(503, f"nothing was changed: {error}") from error
        self._note(kind, who.name, service=service, before=before, after=after, reason=who.reason)
        return outcome

    async def _publish(self, file: Document, state: State, *, is_small: bool) -> bool:
        generation = self.generation
        await self._publish_outcome(file, state, is_small=is_small)
        return self.generation != generation

    async def _publish_outcome(self, file: Document, state: State, *, is_small: bool) -> Outcome:
        """The one road: desired, in parts, into force everywhere, then remembered."""
        wanted = desired(file, state, self.world.cookie_key)
        document = await self.world.resolve(self.wanted, wanted)
        found = parts(document)
        changed = {name: data for name, data in found.items() if self.parts.get(name) != data}
        dropped = tuple(name for name in self.parts if name not in found)
        outcome = Outcome()
        if changed or dropped or not self._published:
            change = Change(self.generation + 1, document, found, changed, dropped, is_small)
            outcome = await self.world.fleet.apply(change)
            if outcome.problems:
                raise Refusal(422, "the workers refuse it, and nothing was changed", outcome.problems)
            self.generation += 1
            self._published = True
        self.silent = outcome.silent
        self.file, self.state, self.wanted, self.document, self.parts = file, state, wanted, document, found
        self.world.keeper.save(state)
        self.world.look_after(wanted, document)
        return outcome

    def _note(self, kind: str, by: str, **fields: Any) -> None:
        event = self.world.journal.write(kind, by=by, generation=self.generation, **fields)
        log.info(
            "%s%s by %s%s",
            kind,
            f" {event.service}" if event.service else "",
            by,
            f": {event.text or event.after}" if event.text or event.after else "",
        )


def _differ(one: Shares, other: Shares) -> bool:
    """Has a file changed the split? A third that was persisted comes back rounded, which is nothing to undo."""
    return any(abs(share - other.get(name, 0.0)) > 1e-9 for name, share in one.items()) or one.keys() != other.keys()


def _set_up(course: Course | None) -> object:
    """What of a course workers may refuse: its routes and its mirror."""
    return None if course is None else (course.candidate, course.routes, course.mirror)


def _taking(service: Service, course: Course | None, state: State) -> Course | None:
    """A course that begins remembers what the file says of the split."""
    is_new = course is not None and service.name not in state.courses
    return msgspec.structs.replace(course, file=service.split) if course is not None and is_new else course


def _matches(wanted: str, etag: str) -> bool:
    """If-Match, RFC 9110 §13.1.1: `*` or a list; what is weak (W/) never matches."""
    return wanted.strip() == "*" or etag in (each.strip() for each in wanted.split(","))


def _endpoint_in(service: Service, pool: str, address: str) -> Endpoint | None:
    """An endpoint of a service; None where it does not have it."""
    endpoints = (each for of in service.pools if of.name == pool for each in of.endpoints)
    return next((each for each in endpoints if address in (each.address, each.name)), None)


def _override(service: Service, pool: str, address: str, value: Endpoint | None) -> EndpointOverride:
    """What is set instead of what the service has in the file; `value` None: it is to be gone."""
    file = _endpoint_in(service, pool, address)
    return EndpointOverride(
        service.name,
        pool,
        address,
        file=None if file is None else file.weight,
        value=None if value is None else value.weight,
        backup=value is not None and value.backup,
        file_backup=file is not None and file.backup,
    )


def _where(pool: str, address: str | None) -> str:
    return pool if address is None else f"{pool} {address}"
