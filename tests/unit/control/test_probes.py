"""The prober without its I/O: who is asked when, what it calls back, and what a reload leaves of it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace

import pytest
import pytest_asyncio

from proxy.control import probes as module
from proxy.control.probes import MOST_AT_ONCE, Last, Outcome, Prober, Target
from proxy.control.rota import place
from proxy.pools.endpoint import Signal, State
from proxy.pools.registry import EndpointKey
from proxy.snapshot.document import Health

WELL, ILL = Outcome(Signal.PASS, "GET /healthz: 200"), Outcome(Signal.FAIL, "GET /healthz: 503")
A, B, C = (("shop", "blue", f"10.0.0.{number}:80") for number in (1, 2, 3))


def target(key: EndpointKey, **settings: float) -> Target:
    return Target(key[2], key[2], Health("/healthz", **settings))  # type: ignore[arg-type]


def targets(*keys: EndpointKey, **settings: float) -> dict[EndpointKey, Target]:
    return {key: target(key, **settings) for key in keys}


@dataclass(slots=True)
class Clock:
    """A clock that stands still until it is set."""

    now: float = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + 1_000_000.0


@dataclass(slots=True)
class Bench:
    """A prober whose every probe waits until the test answers it. `told` is what it called back."""

    clock: Clock = field(default_factory=Clock)
    told: list[EndpointKey | str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    waiting: dict[str, asyncio.Future[Outcome]] = field(default_factory=dict)
    prober: Prober = field(init=False)

    def __post_init__(self) -> None:
        self.prober = Prober(self.clock, self.told.append, lambda: self.told.append("settled"))

    async def ask(self, asked: Target) -> Outcome:
        """In place of a real probe."""
        assert asked.address not in self.waiting, "two probes of one endpoint at once"
        self.asked.append(asked.address)
        self.waiting[asked.address] = asyncio.get_running_loop().create_future()
        try:
            return await self.waiting[asked.address]
        finally:
            del self.waiting[asked.address]

    async def settle_down(self) -> None:
        """Let everything that can go on, go on."""
        for _ in range(5):
            await asyncio.sleep(0)

    async def answer(self, outcome: Outcome, *keys: EndpointKey) -> None:
        """Answer the probes under way, of these or of all."""
        await self.settle_down()
        for address in [key[2] for key in keys] or list(self.waiting):
            self.waiting[address].set_result(outcome)
        await self.settle_down()

    async def at(self, now: float) -> None:
        """Let it be that time."""
        self.clock.now = now
        self.prober._turn()
        await self.settle_down()

    async def row(self, key: EndpointKey, outcomes: Iterable[Outcome]) -> None:
        """Answer probe after probe, each on its turn, the first of which is under way or due at once."""
        for outcome in outcomes:
            await self.answer(outcome, key)
            await self.at(self.clock.now + self.interval(key))

    def interval(self, key: EndpointKey) -> float:
        return self.prober._watched[key].target.health.interval


@pytest_asyncio.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    made = Bench()
    monkeypatch.setattr(module, "ask", made.ask)
    yield made
    await made.prober.close()


async def test_new_endpoint_is_unproven_and_asked_at_once(bench: Bench) -> None:
    bench.prober.watch(targets(A, B))
    await bench.settle_down()
    assert bench.asked == [A[2], B[2]]
    assert bench.prober.states == {A: State.UNPROVEN, B: State.UNPROVEN}
    assert bench.prober.last(A) == Last(State.UNPROVEN, "not probed yet", None)
    assert bench.prober.last(C) is None
    assert bench.told == []
    assert repr(bench.prober) == "<Prober of 2, 2 being probed>"


async def test_first_pass_proves_and_is_told(bench: Bench) -> None:
    bench.prober.watch(targets(A, B))
    await bench.answer(WELL, A)
    assert bench.told == [A]
    assert not bench.prober.is_settled
    assert bench.prober.last(A) == Last(State.UP, "GET /healthz: 200", 1_000_100.0)
    await bench.answer(ILL, B)
    assert bench.told == [A, "settled"]
    assert bench.prober.is_settled
    assert bench.prober.last(B) == Last(State.UNPROVEN, "GET /healthz: 503", 1_000_100.0)


async def test_rows_take_out_and_bring_back_and_only_that_is_told(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sluice")
    bench.prober.watch(targets(A, fails=3, passes=2))
    await bench.row(A, [WELL, ILL, ILL])
    assert bench.told == [A, "settled"]
    await bench.row(A, [ILL])
    assert (bench.told[2:], bench.prober.states) == ([A], {A: State.DOWN})
    await bench.row(A, [WELL])
    assert (bench.told[3:], bench.prober.states) == ([], {A: State.DOWN})
    await bench.row(A, [WELL])
    assert (bench.told[3:], bench.prober.states) == ([A], {A: State.UP})
    assert [record.getMessage().partition(" is ")[2] for record in caplog.records] == [
        "up: GET /healthz: 200",
        "down: GET /healthz: 503",
        "up: GET /healthz: 200",
    ]


async def test_second_probe_comes_in_the_endpoints_own_place_and_then_every_interval(bench: Bench) -> None:
    bench.prober.watch(targets(A, interval=10.0))
    await bench.answer(WELL)
    turn = 100.0 + place(A) * 10.0
    for number in range(4):
        await bench.at(turn + number * 10.0 - 0.01)
        assert len(bench.asked) == number + 1
        await bench.at(turn + number * 10.0 + 0.01)
        assert len(bench.asked) == number + 2
        await bench.answer(WELL)


async def test_probe_that_outlasts_its_interval_keeps_its_place(bench: Bench) -> None:
    bench.prober.watch(targets(A, interval=10.0))
    await bench.at(175.0)
    assert bench.asked == [A[2]]
    await bench.answer(ILL)
    turn = 170.0 + place(A) * 10.0
    expected = turn if turn > 175.0 else turn + 10.0
    await bench.at(expected - 0.01)
    assert len(bench.asked) == 1
    await bench.at(expected + 0.01)
    assert len(bench.asked) == 2


async def test_no_more_than_64_are_asked_at_once(bench: Bench) -> None:
    keys = [("shop", "blue", f"10.0.0.{number}:80") for number in range(MOST_AT_ONCE + 2)]
    bench.prober.watch(targets(*keys))
    await bench.settle_down()
    assert len(bench.waiting) == MOST_AT_ONCE == 64
    assert keys[64][2] not in bench.asked
    await bench.answer(WELL, keys[5])
    assert bench.asked[64:] == [keys[64][2]]
    bench.prober.watch(targets(*keys[6:]))
    await bench.settle_down()
    assert bench.asked[65:] == [keys[65][2]]
    await bench.answer(WELL)
    assert bench.prober.is_settled


async def test_watching_the_same_again_changes_nothing(bench: Bench) -> None:
    bench.prober.watch(targets(A, interval=10.0))
    await bench.answer(WELL)
    bench.prober.watch(targets(A, interval=10.0))
    await bench.settle_down()
    assert (len(bench.asked), bench.told) == (1, [A, "settled"])
    assert bench.prober.is_settled
    await bench.at(100.0 + place(A) * 10.0 + 0.01)
    bench.prober.watch(targets(A, interval=10.0))
    await bench.answer(WELL)
    assert len(bench.asked) == 2
    assert bench.prober.states == {A: State.UP}


async def test_new_endpoint_unsettles_until_it_was_asked(bench: Bench) -> None:
    bench.prober.watch(targets(A))
    await bench.answer(WELL)
    bench.prober.watch(targets(A, B))
    assert not bench.prober.is_settled
    await bench.answer(ILL, B)
    assert bench.prober.is_settled
    assert bench.told == [A, "settled", "settled"]


async def test_removed_endpoint_is_asked_and_told_of_no_more(bench: Bench) -> None:
    bench.prober.watch(targets(A, B))
    await bench.settle_down()
    bench.waiting[A[2]].set_result(WELL)  # its answer is there, but not taken in yet
    bench.prober.watch(targets(B))
    await bench.settle_down()
    assert bench.told == []
    assert (bench.prober.last(A), list(bench.prober.states)) == (None, [B])
    await bench.answer(WELL, B)
    await bench.at(1_000.0)
    assert bench.asked == [A[2], B[2], B[2]]


async def test_endpoint_removed_between_its_turns_is_asked_no_more(bench: Bench) -> None:
    bench.prober.watch(targets(A, B))
    await bench.answer(WELL)
    bench.prober.watch(targets(B))
    await bench.at(1_000.0)
    assert bench.asked == [A[2], B[2], B[2]]


async def test_prober_has_one_timer_at_most(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, timers = asyncio.get_running_loop(), list[asyncio.TimerHandle]()
    call_later = loop.call_later
    monkeypatch.setattr(loop, "call_later", lambda *args: timers.append(call_later(*args)) or timers[-1])
    bench.prober.watch(targets(A, B))
    for number in range(4):
        await bench.answer(WELL)
        await bench.at(200.0 + number * 10.0)
    assert len(timers) > 1
    assert sum(not timer.cancelled() for timer in timers) <= 1


async def test_removing_the_last_that_was_not_asked_settles(bench: Bench) -> None:
    bench.prober.watch(targets(A, B))
    await bench.answer(WELL, A)
    bench.prober.watch(targets(A))
    assert bench.told == [A, "settled"]
    assert bench.prober.is_settled


async def test_endpoint_that_comes_back_begins_anew(bench: Bench) -> None:
    bench.prober.watch(targets(A))
    await bench.answer(WELL)
    bench.prober.watch({})
    bench.prober.watch(targets(A))
    await bench.settle_down()
    assert bench.prober.states == {A: State.UNPROVEN}
    assert bench.asked == [A[2], A[2]]


async def test_nothing_to_watch_is_settled_at_once(bench: Bench) -> None:
    assert not bench.prober.is_settled
    bench.prober.watch({})
    assert bench.prober.is_settled
    bench.prober.watch({})
    assert bench.told == ["settled"]


async def test_endpoint_asked_in_another_way_keeps_its_state_and_is_asked_at_once(bench: Bench) -> None:
    bench.prober.watch(targets(A, interval=10.0, fails=2))
    await bench.answer(WELL)
    await bench.at(110.01)
    await bench.answer(ILL)
    other = replace(target(A, interval=10.0, fails=2), host="shop.example")
    bench.prober.watch({A: other})
    await bench.settle_down()
    assert len(bench.asked) == 3
    assert bench.prober.is_settled
    await bench.answer(ILL)
    assert bench.prober.states == {A: State.UP}  # the row began anew
    await bench.at(130.0)
    await bench.answer(ILL)
    assert bench.prober.states == {A: State.DOWN}


async def test_endpoint_with_another_interval_has_its_place_in_that(bench: Bench) -> None:
    bench.prober.watch(targets(A, interval=1_000.0))
    await bench.answer(WELL)
    bench.prober.watch(targets(A, interval=10.0))
    await bench.answer(WELL)
    await bench.at(100.0 + place(A) * 10.0 + 0.01)
    assert len(bench.asked) == 3


async def test_answer_to_the_old_question_does_not_count(bench: Bench) -> None:
    bench.prober.watch(targets(A, interval=10.0))
    await bench.settle_down()
    bench.waiting[A[2]].set_result(WELL)
    bench.prober.watch(targets(A, interval=20.0))
    await bench.settle_down()
    assert (bench.asked, bench.told) == ([A[2], A[2]], [])
    assert not bench.prober.is_settled


async def test_unforeseen_error_counts_as_failed_and_is_logged_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    odd = Outcome(Signal.FAIL, "KeyError: 'x'", is_unforeseen=True)
    bench.prober.watch(targets(A, fails=3))
    await bench.row(A, [WELL, odd, odd])
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        "the probe of shop/blue/10.0.0.1:80 fails by itself: KeyError: 'x'"
    ]
    await bench.row(A, [odd])
    assert bench.prober.states == {A: State.DOWN}


async def test_callback_that_fails_is_logged_and_probing_goes_on(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def changed(_: EndpointKey) -> None:
        raise RuntimeError("not today")

    bench.prober._changed = changed
    bench.prober.watch(targets(A))
    await bench.row(A, [WELL, WELL])
    assert len(bench.asked) == 3
    assert bench.prober.is_settled
    assert "what a probe showed was not taken in" in caplog.text


async def test_close_ends_everything(bench: Bench) -> None:
    bench.prober.watch(targets(A, B))
    await bench.answer(WELL, A)
    before = len(asyncio.all_tasks())
    await bench.prober.close()
    assert len(asyncio.all_tasks()) == before - 1
    assert bench.waiting == {}
    await bench.at(1_000.0)
    assert bench.asked == [A[2], B[2]]
    assert bench.told == [A]
