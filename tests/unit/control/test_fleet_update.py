"""What a wave does to an endpoint: when it is taken out, whose drains are left alone, what a host name is."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from proxy.config.load import load_text
from proxy.control.cohorts import counts_by_users, sides_down
from proxy.control.control import Steering, Who
from proxy.control.fleet_update import FleetUpdate
from proxy.control.state import Course
from proxy.control.webhooks import Webhooks
from proxy.rollouts.plan import Plan
from proxy.rollouts.steps.wave import Update, Wave
from proxy.snapshot.document import Document
from proxy.telemetry.evidence import Watch
from tests.unit.control.stage import WHO, Theatre

A, B, C, NAME = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "shop.internal:80"
PLAN = Plan(name="r", service="shop", stable="blue", candidate="blue", steps=())
US = "rollout r"
TRUE = ("sh", "-c", "true")


@dataclass
class Stand:
    """A pool of endpoints, of which those in `ill` are not usable; `names` has what host names resolve to."""

    theatre: Theatre
    ill: set[str] = field(default_factory=set)
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    is_told: bool = True

    def __post_init__(self) -> None:
        control = self.theatre.control
        control.world = replace(
            control.world,
            resolve=self._resolve,
            is_usable=lambda _service, _pool, address: address not in self.ill,
            is_told=lambda: self.is_told,
        )
        self.update = FleetUpdate(control, self._nothing, Webhooks(lambda _: None))

    async def _resolve(self, _in_force: Document, wanted: Document) -> Document:
        return msgspec.structs.replace(wanted, services=tuple(map(self._resolved, wanted.services)))

    def _resolved(self, service: Any) -> Any:
        put = msgspec.structs.replace
        pools = []
        for pool in service.pools:
            endpoints = []
            for each in pool.endpoints:
                found = self.names.get(each.address)
                endpoints += [each] if found is None else [put(each, address=at, name=each.address) for at in found]
            pools.append(put(pool, endpoints=tuple(endpoints)))
        return put(service, pools=tuple(pools))

    async def _nothing(self) -> list[Any]:
        return []

    @property
    def out(self) -> dict[str, str]:
        """What is drained, and by whom."""
        return {each.address or "": each.by for each in self.theatre.control.state.drains}

    @property
    def drained(self) -> list[str]:
        """The addresses that workers are told to drain."""
        pool = self.theatre.control.service("shop").pools[0]
        return [each.address for each in pool.endpoints if each.drain]

    @property
    def updated(self) -> tuple[str, ...] | None:
        """What workers are told is updated."""
        return self.theatre.control.service("shop").pools[0].updated

    async def drain(self, address: str) -> None:
        """By somebody."""
        await self.theatre.control.drain("shop", "blue", address, WHO, deadline=5.0, cut=False)

    async def watched(self) -> None:
        """A rolling update is under way."""
        watch = Watch("r#1", 1, 0, "blue", "blue")
        await self.theatre.control.steer("shop", Steering(Course("r", "blue", "blue", watch)), Who(US))

    def job(self, address: str, **wave: Any) -> dict[str, Any]:
        """The options of a job."""
        options = {"update": Update(command=TRUE), "allow_commands": True, "max_unavailable": "1", **wave}
        return {"address": address, "wave": msgspec.to_builtins(Wave(endpoints=(address,), **options))}


Make = Callable[..., Any]


@pytest.fixture
def stand() -> Make:
    """A factory: await stand(endpoints, …) is a pool in force."""

    async def make(*endpoints: str, balance: str = "", **what: Any) -> Stand:
        listed = ", ".join(f"'{each}'" for each in endpoints)
        text = (
            "listeners: [{bind: 127.0.0.1:1}]\nroutes: [{service: shop}]\n"
            f"services:\n  shop:\n    pools: {{blue: {{endpoints: [{listed}]}}}}\n{balance}"
        )
        loaded = load_text(text, "sluice.yaml", {})
        assert loaded.document is not None, loaded.problems
        made = Stand(Theatre(loaded.document), **what)
        await made.theatre.control.take_file(loaded.document, by="start")
        return made

    return make


TAKEN = [
    ((A, B, C), set(), [], True),
    ((A, B, C), {C}, [], False),  # one is out already
    ((A, B, C), {A}, [], True),  # it is the one
    ((A, B, C), {B, C}, [], False),  # the last that works
    ((A, B, C), set(), [B], False),
    ((A, B), set(), [], True),
]


@pytest.mark.parametrize(("endpoints", "ill", "drained", "goes"), TAKEN)
async def test_endpoint_is_taken_out_when_enough_others_are_in(
    stand: Make, endpoints: tuple[str, ...], ill: set[str], drained: list[str], goes: bool
) -> None:
    found = await stand(*endpoints)
    for each in drained:
        await found.drain(each)
    found.ill |= ill
    wave = msgspec.convert(found.job(A)["wave"], Wave)
    assert await found.update._drained_now(PLAN, wave, A) is goes
    assert (A in found.out) is goes


async def test_nobody_goes_before_it_is_known_who_is_well(stand: Make) -> None:
    found = await stand(A, B, C, ill={A, B, C}, is_told=False)
    wave = msgspec.convert(found.job(A)["wave"], Wave)
    assert await found.update._drained_now(PLAN, wave, A) is False
    assert found.out == {}


async def test_two_of_a_wave_go_one_after_the_other(stand: Make) -> None:
    found = await stand(A, B, C)
    wave = msgspec.convert(found.job(A)["wave"], Wave)
    gone = await asyncio.gather(*(found.update._drained_now(PLAN, wave, each) for each in (A, B)))
    assert (sorted(gone), len(found.out)) == ([False, True], 1)


async def test_what_somebody_else_has_drained_is_neither_updated_nor_restored(stand: Make) -> None:
    found = await stand(A, B)
    await found.drain(A)
    for job in (found.update.update, found.update.back):
        result = await job(found.job(A), PLAN)
        assert (result.ok, result.text) == (False, f"{A}: somebody else has drained it; restore it first")
    assert found.out == {A: WHO.name}


@pytest.mark.parametrize("kind", ["update", "back"])
async def test_endpoint_that_is_gone_needs_nothing(stand: Make, kind: str) -> None:
    found = await stand(A, B)
    result = await getattr(found.update, kind)(found.job(C), PLAN)
    assert (result.ok, result.text) == (True, f"{C} is in the pool no more")


async def test_never_enough_others_is_said_in_the_end(stand: Make) -> None:
    found = await stand(A, B, C, ill={B})
    update = Update(command=TRUE, timeout=0.01)
    result = await found.update.update(found.job(A, update=update, deadline=0.01, proven_within=0.01), PLAN)
    assert (result.ok, found.out) == (False, {})
    assert result.text.endswith("to take it out: 2 of 3 are usable")


COMMANDS = [
    (("sh", "-c", "exit 3"), "the command ends with 3: "),
    (("no/such/command",), "the command cannot be run: "),
    (("sh", "-c", "sleep 9"), "the command has not ended within 0.2 s"),
]


@pytest.mark.parametrize(("command", "said"), COMMANDS)
async def test_command_that_fails_is_told(stand: Make, command: tuple[str, ...], said: str) -> None:
    found = await stand(A, B)
    result = await found.update.update(found.job(A, update=Update(command=command, timeout=0.2)), PLAN)
    assert (result.ok, result.text.startswith(f"{A}: {said}")) == (False, True), result
    assert found.out == {A: US}
    assert found.updated is None


async def test_host_name_is_one_endpoint_with_all_its_addresses(stand: Make) -> None:
    found = await stand(NAME, C, names={NAME: (A, B)})
    wave = msgspec.convert(found.job(NAME)["wave"], Wave)
    await found.watched()
    assert await found.update._drained_now(PLAN, wave, NAME)
    assert (found.out, found.drained) == ({NAME: US}, [A, B])
    await found.theatre.control.updated("shop", NAME, WHO)
    assert found.updated == (NAME,)
    assert [each.address for each in found.update._endpoints(PLAN, NAME)] == [A, B]
    assert found.update._usable(PLAN) == {C}
    await found.update.back(found.job(NAME), PLAN)
    assert (found.out, found.update._usable(PLAN)) == ({}, {C, NAME})


async def test_deadline_of_a_host_name_cuts_at_each_of_its_addresses(stand: Make) -> None:
    found = await stand(NAME, C, names={NAME: (A, B)})
    cut = []

    async def cut_at(_service: str, _pool: str, address: str | None, *, exchanges: bool) -> tuple[int, int]:
        assert not exchanges
        cut.append(address)
        return 1, 0

    found.theatre.workers.cut = cut_at
    outcome = await found.theatre.control.drain("shop", "blue", NAME, WHO, deadline=0.0, cut=False)
    assert (cut, outcome.cut) == ([A, B], (2, 0))


async def test_name_whose_addresses_are_gone_is_not_well(stand: Make) -> None:
    found = await stand(NAME, C, names={NAME: ()})
    assert await found.update._wrong(PLAN, NAME, None) == "it has no address"


async def test_what_is_updated_stays_so_while_the_split_is_set_again(stand: Make) -> None:
    found = await stand(A, B)
    await found.watched()
    assert found.updated == ()
    await found.theatre.control.updated("shop", A, WHO)
    await found.theatre.control.updated("shop", A, WHO)
    await found.watched()
    assert found.updated == (A,)
    await found.theatre.control.steer("shop", Steering(None), WHO)
    assert found.updated is None
    await found.theatre.control.updated("shop", B, WHO)
    assert found.updated is None


DOWN = [
    (set(), (), set(), (False, False)),
    ({A}, (A,), set(), (False, True)),
    ({B, C}, (A,), set(), (True, False)),
    ({A, B, C}, (A,), set(), (True, True)),
    ({A}, (A, B), set(), (False, False)),
    (set(), (A,), {A}, (False, False)),  # on its way out, or back
    ({B}, (A,), {C}, (True, False)),
    (set(), (A, B, C), set(), (False, False)),
]


@pytest.mark.parametrize(("ill", "updated", "drained", "down"), DOWN)
async def test_cohort_is_down_when_nobody_at_work_in_it_is_usable(
    stand: Make, ill: set[str], updated: tuple[str, ...], drained: set[str], down: tuple[bool, bool]
) -> None:
    found = await stand(A, B, C)
    await found.watched()
    control = found.theatre.control
    for each in updated:
        await control.updated("shop", each, WHO)
    for each in drained:
        await found.drain(each)
    found.ill |= ill
    assert sides_down(control, PLAN, control.service("shop")) == down


CANARY = replace(PLAN, candidate="canary")
STICKY = "    sticky: {key: {header: x-user}%s}\n"
BY_USERS = [
    ("", False, False),
    (STICKY % "", False, True),  # a pool for each user, but any endpoint of it
    (STICKY % ", endpoint: true", True, True),
    ("    balance: {hash: {header: x-user}}\n", True, False),
    ("    balance: round_robin\n", False, False),
]


@pytest.mark.parametrize(("balance", "rolling", "canary"), BY_USERS)
async def test_users_count_once_where_they_choose(stand: Make, balance: str, rolling: bool, canary: bool) -> None:
    service = (await stand(A, B, balance=balance)).theatre.control.service("shop")
    assert counts_by_users(service, PLAN) is rolling
    assert counts_by_users(service, CANARY) is canary
