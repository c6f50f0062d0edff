"""Exchanges that a filter holds back: how a wait ends, what comes meanwhile, and that each end is told once."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from proxy.dataplane.exchange import Exchange
from proxy.dataplane.workshop import MOST_WAITING, THREADS
from proxy.filters import FILTERS, Hooks, RequestFilter
from proxy.filters.effects import ChoosePool, Compute, Effect, LimitBody, Reply, Run, Wait, Wake, refusal
from proxy.filters.site import Site
from proxy.http1.facts import Facts
from proxy.snapshot.document import Endpoint, Plugin, Pool, Sticky, StickyKey, Timeouts
from proxy.telemetry.record import Record

A, B = "127.0.0.1:1", "127.0.0.1:2"
BLUE, GREEN = Pool("blue", (Endpoint(A),)), Pool("green", (Endpoint(B),))
NO = refusal(403, "no", "no")
HELD = {"filters": (Plugin("held", {}),)}
TWO = {"pools": (BLUE, GREEN), "split": {"blue": 1.0, "green": 0.0}}
TURNED = {"split": {"blue": 0.0, "green": 1.0}}


@dataclass
class Probe:
    """What the filter `held` asks for, and what it hears."""

    effect: Effect | None = None
    sees_all: bool = False
    ended: list[int] = field(default_factory=list)
    left: int = 0
    wake: Wake = lambda _effect: None

    def wait(self, seconds: float = 60.0, otherwise: Effect | None = None) -> None:
        def join(wake: Wake) -> Callable[[], None]:
            self.wake = wake
            return self.leave

        self.effect = Wait(seconds, otherwise, join)

    def leave(self) -> None:
        self.left += 1

    def on_end(self, _facts: Facts, record: Callable[[], Record]) -> None:
        self.ended.append(record().status)


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Probe:
    probe = Probe()

    @dataclass(frozen=True, slots=True)
    class Held:
        def compile(self, _site: Site) -> Hooks:
            return Hooks(RequestFilter(lambda _: probe.effect, probe.on_end, probe.sees_all))

    monkeypatch.setitem(FILTERS._kinds, "held", Held)
    return probe


@pytest.fixture
def until(loop: asyncio.AbstractEventLoop) -> Callable[[Callable[[], object]], None]:
    """Runs the loop until something holds."""

    async def watch(holds: Callable[[], object]) -> None:
        async with asyncio.timeout(15):
            while not holds():
                await asyncio.sleep(0)

    return lambda holds: loop.run_until_complete(watch(holds))


@pytest.fixture
def stage(make: Any, probe: Probe) -> Iterator[Any]:  # noqa: ARG001 - without it there is no such filter
    """A service that holds its requests back."""
    stage = make(2, **HELD)
    yield stage
    stage.plane.workshop.close()


def answer(stage: Any, exchange: Exchange) -> None:
    exchange.response(stage.head(), b"ok", True)


def is_clean(stage: Any) -> bool:
    """Is nothing left behind of it?"""
    return {places for pair in stage.places for places in pair} == {0}


# -- Wait


def test_woken_exchange_goes_on_and_ends_once(stage: Any, probe: Probe) -> None:
    probe.wait()
    exchange = stage.begin()
    assert (stage.client.status, is_clean(stage)) == (0, True)
    probe.wake(None)
    assert stage.busy.sent
    probe.wake(NO)  # only the first word counts
    answer(stage, exchange)
    assert (stage.client.status, stage.client.events) == (200, ["done", "finished"])
    assert (probe.ended, probe.left, is_clean(stage)) == ([200], 0, True)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(("sees_all", "ended"), [(True, [403]), (False, [])])
def test_word_may_be_an_answer(make: Any, probe: Probe, at_once: bool, sees_all: bool, ended: list[int]) -> None:
    probe.sees_all = sees_all
    stage = make(**HELD)

    def join(wake: Wake) -> Callable[[], None]:
        probe.wake = wake
        if at_once:
            wake(NO)
        return probe.leave

    probe.effect = Wait(60.0, None, join)
    exchange = stage.begin()
    probe.wake(NO)
    assert (stage.client.status, stage.client.reason, exchange.reason) == (403, "no", "no")
    assert (probe.ended, probe.left, is_clean(stage)) == (ended, 0, True)


def test_word_may_name_a_pool(make: Any, probe: Probe) -> None:
    stage = make(**HELD, **TWO)
    probe.wait()
    exchange = stage.begin()
    probe.wake(ChoosePool("green"))
    assert stage.busy is stage.servers[B]
    answer(stage, exchange)
    assert probe.ended == [200]


@pytest.mark.parametrize(("otherwise", "status"), [(None, 200), (NO, 403)])
def test_wait_that_is_over_does_otherwise(
    stage: Any, probe: Probe, until: Any, otherwise: Effect | None, status: int
) -> None:
    probe.wait(0.0, otherwise)
    exchange = stage.begin()
    until(lambda: probe.left)
    probe.wake(NO)  # too late
    if otherwise is None:
        answer(stage, exchange)
    assert stage.client.status == status
    assert (probe.ended, probe.left, is_clean(stage)) == ([200] if otherwise is None else [], 1, True)


@pytest.mark.parametrize(("sees_all", "ended"), [(True, [499]), (False, [])])
def test_client_that_leaves_ends_the_wait(make: Any, probe: Probe, sees_all: bool, ended: list[int]) -> None:
    probe.sees_all = sees_all
    stage = make(**HELD)
    probe.wait()
    exchange = stage.begin()
    exchange.abandon()
    probe.wake(None)
    assert (exchange.status, exchange.attempt, stage.client.events) == (499, None, [])
    assert (probe.ended, probe.left, is_clean(stage)) == (ended, 1, True)


def test_total_time_includes_the_wait(make: Any, probe: Probe) -> None:
    stage = make(**HELD, timeouts=Timeouts(total=1.0))
    probe.wait()
    exchange = stage.begin()
    assert exchange.deadline == exchange.started + 1.0
    exchange.expire(exchange.deadline)
    assert (stage.client.status, stage.client.reason) == (504, "total_timeout")
    assert (probe.left, is_clean(stage)) == (1, True)


def test_wait_for_another_wait_is_our_fault_alone(stage: Any, probe: Probe) -> None:
    probe.wait()
    stage.begin()
    probe.wake(Wait(1.0))
    assert (stage.client.status, stage.client.reason, is_clean(stage)) == (500, "internal_error", True)


# -- Run


async def nothing() -> None:
    await asyncio.sleep(0)


async def no() -> Reply:
    await asyncio.sleep(0)
    return NO


async def raising() -> None:
    await asyncio.sleep(0)
    raise ValueError("broken")


async def cancelling() -> None:
    await asyncio.sleep(0)
    raise asyncio.CancelledError


async def stuck() -> None:
    await asyncio.Event().wait()


def failed(error: Exception) -> Reply:
    return refusal(502, type(error).__name__, "failed")


@pytest.mark.parametrize(
    ("work", "status", "reason"),
    [
        (nothing, 200, None),
        (no, 403, "no"),
        (raising, 502, "ValueError"),
        (cancelling, 502, "RuntimeError"),
        (stuck, 502, "TimeoutError"),
    ],
)
def test_exchange_waits_for_a_coroutine(
    stage: Any, probe: Probe, until: Any, work: Any, status: int, reason: str | None
) -> None:
    probe.effect = Run(work(), 0.0 if work is stuck else 60.0, failed)
    exchange = stage.begin()
    until(lambda: exchange.attempt or stage.client.status)
    if exchange.attempt:
        answer(stage, exchange)
    assert (stage.client.status, stage.client.reason) == (status, reason)
    assert (probe.ended, is_clean(stage)) == ([200] if status == 200 else [], True)


def test_failure_that_cannot_be_dealt_with_is_an_internal_error(stage: Any, probe: Probe, until: Any) -> None:
    probe.effect = Run(raising(), 60.0, lambda error: [][len(str(error))])
    stage.begin()
    until(lambda: stage.client.status)
    assert (stage.client.status, stage.client.reason, is_clean(stage)) == (500, "internal_error", True)


@pytest.mark.parametrize("has_begun", [True, False])
def test_client_that_leaves_cancels_the_coroutine(stage: Any, probe: Probe, until: Any, has_begun: bool) -> None:
    seen = []

    async def work() -> None:
        try:
            seen.append("begun")
            await asyncio.Event().wait()
        finally:
            seen.append("ended")

    probe.effect = Run(work(), 60.0, failed)
    exchange = stage.begin()
    task = exchange.aside.waiting._task
    if has_begun:
        until(lambda: seen)
    exchange.abandon()
    until(task.done)
    assert seen == (["begun", "ended"] if has_begun else [])
    assert (exchange.status, stage.client.events, is_clean(stage)) == (499, [], True)
    probe.effect = task = exchange = None
    gc.collect()  # a coroutine that was never awaited would warn now


# -- Compute


def test_exchange_waits_for_a_thread(stage: Any, probe: Probe, until: Any) -> None:
    threads: list[int] = []
    probe.effect = Compute(lambda: threads.append(threading.get_ident()), NO)
    exchange = stage.begin()
    until(lambda: exchange.attempt)
    answer(stage, exchange)
    assert (stage.client.status, probe.ended) == (200, [200])
    assert threads != [threading.get_ident()]


def test_thread_that_fails_is_an_internal_error(stage: Any, probe: Probe, until: Any) -> None:
    probe.effect = Compute(lambda: FILTERS.get("none"), NO)  # type: ignore[arg-type, return-value]
    stage.begin()
    until(lambda: stage.client.status)
    assert (stage.client.status, stage.client.reason, is_clean(stage)) == (500, "internal_error", True)


def test_full_workshop_is_told_at_once(stage: Any, probe: Probe, until: Any) -> None:
    gate = threading.Event()
    probe.effect = Compute(lambda: NO if gate.wait() else None, NO)
    waiting = [(stage.next_client(), stage.begin()) for _ in range(THREADS + MOST_WAITING)]
    refused = stage.next_client()
    stage.begin()
    assert (refused.status, refused.reason) == (403, "no")
    for _, exchange in waiting[1:]:
        exchange.abandon()
    gate.set()
    until(lambda: waiting[0][0].status)
    assert [exchange.status for _, exchange in waiting[1:]] == [499] * len(waiting[1:])


# -- what comes meanwhile


def test_body_that_comes_meanwhile_is_held_and_the_client_paused(stage: Any, probe: Probe) -> None:
    probe.wait()
    exchange = stage.begin(b"POST", 6, b"ab", False)
    assert not stage.client.is_paused
    exchange.request_data(b"cd")
    assert stage.client.is_paused
    probe.wake(None)
    assert not stage.client.is_paused
    exchange.request_data(b"ef")
    exchange.request_end(b"")
    server = stage.busy
    answer(stage, exchange)
    assert (server.bodies, stage.client.status, probe.ended) == ([b"abcdef"], 200, [200])


def test_body_that_ends_meanwhile_is_sent_whole(stage: Any, probe: Probe) -> None:
    probe.wait()
    exchange = stage.begin(b"POST", 4, b"ab", False)
    exchange.request_data(b"cd")
    exchange.request_end(b"")
    probe.wake(None)
    server = stage.busy
    assert (server.bodies, server.events) == ([b"abcd"], ["done"])
    answer(stage, exchange)
    assert (stage.client.events, is_clean(stage)) == (["done", "finished"], True)


def test_body_that_turned_out_bad_meanwhile_ends_the_wait(stage: Any, probe: Probe) -> None:
    probe.wait()
    exchange = stage.begin(b"POST", 4, b"ab", False)
    exchange.spoil("body_timeout")
    probe.wake(None)
    assert (stage.client.status, stage.client.reason) == (408, "body_timeout")
    assert (probe.left, exchange.attempt, is_clean(stage)) == (1, None, True)


@pytest.mark.parametrize(("most", "status"), [(4, 200), (3, 413)])
def test_limit_that_is_set_after_a_wait_counts_what_came_meanwhile(
    stage: Any, probe: Probe, most: int, status: int
) -> None:
    probe.wait()
    exchange = stage.begin(b"POST", 4, b"ab", False)
    exchange.request_data(b"cd")
    exchange.request_end(b"")
    probe.wake(LimitBody(most))
    if exchange.attempt:
        answer(stage, exchange)
    assert (stage.client.status, is_clean(stage)) == (status, True)


def test_later_filters_wait_in_their_turn(make: Any, probe: Probe) -> None:
    stage = make(filters=(Plugin("held", {}), Plugin("held", {})))
    probe.wait()
    exchange = stage.begin()
    first = probe.wake
    first(None)
    assert exchange.attempt is None
    assert probe.wake is not first
    probe.wake(None)
    answer(stage, exchange)
    assert (stage.client.status, probe.ended) == (200, [200, 200])


# -- reloads


def test_reload_meanwhile_counts_for_the_split(make: Any, probe: Probe) -> None:
    stage = make(**HELD, **TWO)
    probe.wait()
    exchange = stage.begin()
    stage.reload(**TURNED)
    probe.wake(None)
    assert stage.busy is stage.servers[B]
    answer(stage, exchange)
    assert (stage.client.status, probe.ended, is_clean(stage)) == (200, [200], True)


def test_reload_meanwhile_counts_for_what_waits_before_routing(make: Any, probe: Probe) -> None:
    stage = make(first=HELD["filters"], **TWO)
    probe.wait()
    exchange = stage.begin()
    stage.reload(**TURNED)
    probe.wake(None)
    assert stage.busy is stage.servers[B]
    answer(stage, exchange)
    assert probe.ended == [200]


@pytest.mark.parametrize(
    "sticky", [Sticky(cookie="s"), Sticky(key=StickyKey("cookie", "u")), Sticky(key=StickyKey("header", "accept"))]
)
def test_session_keeps_who_it_is_through_a_reload(make: Any, probe: Probe, sticky: Sticky) -> None:
    drops = Plugin("request_headers", {"remove": ["cookie", "accept"]})
    stage = make(filters=(drops, *HELD["filters"]), sticky=sticky, **TWO)
    shop = stage.plane.snapshot.services["shop"]
    probe.wait()
    _, line, _ = shop.stick(stage.begin(cookie=b"u=7"), 0.0)
    cookie = line.partition(b";")[0] if line else b"u=7"
    stage.next_client()
    exchange = stage.begin(cookie=cookie)
    before = exchange.identity
    stage.reload(**TURNED)
    probe.wake(None)
    assert before is not None
    assert (exchange.identity, exchange.set_cookie) == (before, None)
    assert stage.busy is stage.servers[B]
    assert stage.busy.sent == [b"X-Forwarded-For: 127.0.0.1\r\n"]  # what was taken away stays away


def test_session_that_is_none_any_more_after_a_reload_gets_no_cookie(make: Any, probe: Probe) -> None:
    stage = make(**HELD, **TWO, sticky=Sticky(cookie="s"))
    probe.wait()
    exchange = stage.begin()
    assert exchange.set_cookie is not None
    stage.reload(**TURNED, sticky=None)
    probe.wake(None)
    assert (exchange.set_cookie, exchange.identity) == (None, None)
    assert stage.busy is stage.servers[B]


def test_reload_that_takes_the_pool_away_leaves_the_others(make: Any, probe: Probe) -> None:
    stage = make(**HELD, **TWO)
    probe.wait()
    exchange = stage.begin()
    stage.reload(pools=(GREEN,), split={"green": 1.0})
    probe.wake(None)
    assert stage.busy is stage.servers[B]
    answer(stage, exchange)
    assert is_clean(stage)


# -- when the pool is known


@pytest.mark.parametrize("place", ["first", "filters"])
def test_chosen_hooks_know_the_pool_and_change_what_is_sent(
    make: Any, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def chosen(facts: Facts) -> None:
        facts.head.block += f"x-pool: {facts.pool_name}\r\n".encode()

    @dataclass(frozen=True, slots=True)
    class Tells:
        def compile(self, _site: Site) -> Hooks:
            return Hooks(chosen=chosen)

    monkeypatch.setitem(FILTERS._kinds, "tells", Tells)
    stage = make(**{place: (Plugin("tells", {}),)}, **TWO)
    stage.begin()
    assert stage.busy.sent == [b"Accept: */*\r\nx-pool: blue\r\nCookie: a=b\r\nX-Forwarded-For: 127.0.0.1\r\n"]
    stage.reload(**TURNED)
    stage.next_client()
    stage.begin()
    assert stage.servers[B].sent == [b"Accept: */*\r\nx-pool: green\r\nCookie: a=b\r\nX-Forwarded-For: 127.0.0.1\r\n"]
