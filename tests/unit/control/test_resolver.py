"""The resolver: what it makes of answers, what it keeps, what it tells. The system's resolver is a table here."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from proxy.config.addresses import parse_bind
from proxy.control import resolver as module
from proxy.control.resolver import Name, Problem, Resolver, Rows, fault, name_of, sorted_out

DEADLINE = 5.0
SHOP: Name = ("shop.internal", 80)
BLOG: Name = ("blog.internal", 81)
UNKNOWN = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@dataclass(slots=True)
class Clock:
    """A clock that stands still until it is set."""

    now: float = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


def rows(*addresses: str) -> list[tuple[Any, ...]]:
    """What getaddrinfo says of these addresses."""
    return [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, 80, 0, 0))
        if ":" in address
        else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))
        for address in addresses
    ]


@dataclass(slots=True)
class Bench:
    """A resolver whose every lookup waits until the test answers it. `told` is what it called back."""

    clock: Clock = field(default_factory=Clock)
    told: list[tuple[Name, tuple[str, ...]]] = field(default_factory=list)
    asked: asyncio.Queue[tuple[Name, asyncio.Future[Rows]]] = field(default_factory=asyncio.Queue)
    resolver: Resolver = field(init=False)

    def __post_init__(self) -> None:
        self.resolver = Resolver(self.clock, 0.0, lambda *news: self.told.append(news), self._lookup)

    async def _lookup(self, host: str, port: int) -> Rows:
        answer: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()
        self.asked.put_nowait(((host, port), answer))
        return await answer

    async def next(self) -> tuple[Name, asyncio.Future[Rows]]:
        """The next lookup."""
        return await asyncio.wait_for(self.asked.get(), DEADLINE)

    async def answer(self, *answers: list[tuple[Any, ...]] | Exception) -> None:
        """Answer as many lookups in turn, and return once the last one was taken in: the next has begun."""
        for answer in answers:
            _, future = await self.next()
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        await self.asked_again()

    async def asked_again(self) -> None:
        """Wait for a lookup, and leave it for later."""
        self.asked.put_nowait(await self.next())


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.resolver.close()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("shop.internal:80", SHOP),
        ("localhost:9001", ("localhost", 9001)),
        ("10.0.0.1:80", None),
        ("[::1]:80", None),
        ("[fe80::1%eth0]:80", None),
        ("unix:/run/shop.sock", None),
    ],
)
def test_name_is_what_is_no_address(address: str, name: Name | None) -> None:
    assert name_of(address) == name


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ((), []),
        (("10.0.0.2", "10.0.0.1"), ["10.0.0.1", "10.0.0.2"]),
        (("10.0.0.10", "10.0.0.9"), ["10.0.0.9", "10.0.0.10"]),
        (("10.0.0.1", "10.0.0.1"), ["10.0.0.1"]),
        (("2001:db8::1", "10.0.0.1"), ["10.0.0.1", "2001:db8::1"]),
        (("2001:DB8:0::1", "2001:db8::1"), ["2001:db8::1"]),
        (("::ffff:10.0.0.1", "10.0.0.1"), ["10.0.0.1"]),
        (("::1", "127.0.0.1"), ["127.0.0.1", "::1"]),
    ],
)
def test_addresses_are_sorted_and_had_once(answer: tuple[str, ...], kept: list[str]) -> None:
    for each in (answer, answer[::-1]):
        assert sorted_out(rows(*each), partial(fault, link_local=False)) == (
            [module.ip_address(address) for address in kept],
            [],
        )


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
    ],
)
def test_address_of_a_kind_that_is_not_meant_is_left_out(address: str, kind: str) -> None:
    kept, refused = sorted_out(rows(address, "10.0.0.1"), partial(fault, link_local=False))
    assert [str(ip) for ip in kept] == ["10.0.0.1"]
    assert refused == [f"{address.removeprefix('::ffff:')} ({kind})"]
    allowed, _ = sorted_out(rows(address), partial(fault, link_local=True))
    assert bool(allowed) is (kind == "link-local")


async def test_resolver_tells_of_changes_only(bench: Bench) -> None:
    bench.resolver.watch([SHOP])
    await bench.answer(rows("10.0.0.1", "::1"), rows("::1", "10.0.0.1"), rows("10.0.0.2"), rows("10.0.0.2"))
    assert bench.told == [(SHOP, ("10.0.0.1:80", "[::1]:80")), (SHOP, ("10.0.0.2:80",))]
    assert bench.resolver.addresses(SHOP) == ("10.0.0.2:80",)
    assert bench.resolver.problems() == {}


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (UNKNOWN, "does not resolve (Name or service not known)"),
        (OSError("odd"), "does not resolve (odd)"),
        (UnicodeError("label too long"), "does not resolve (label too long)"),
        ([], "has no address"),
        (rows("0.0.0.0"), "has addresses that are left out: 0.0.0.0 (unspecified)"),
        (rows("not an address"), "could not be taken in (ValueError)"),
    ],
)
async def test_answer_of_no_use_keeps_the_last_one(
    bench: Bench, answer: list[tuple[Any, ...]] | Exception, what: str
) -> None:
    bench.resolver.watch([SHOP])
    await bench.answer(rows("10.0.0.1"))
    bench.clock.now = 1_010.0
    await bench.answer(answer)
    bench.clock.now = 1_020.0
    await bench.answer(answer)
    assert bench.resolver.addresses(SHOP) == ("10.0.0.1:80",)
    assert bench.resolver.problems() == {SHOP: Problem(f"shop.internal {what}", 1_010.0)}
    assert len(bench.told) == 1
    await bench.answer(rows("10.0.0.1"))
    assert bench.resolver.problems() == {}
    assert len(bench.told) == 1


async def test_name_that_never_resolved_has_no_addresses_and_a_problem(bench: Bench) -> None:
    bench.resolver.watch([SHOP])
    assert not bench.resolver.is_settled
    await bench.answer(UNKNOWN)
    assert bench.resolver.is_settled
    assert (bench.resolver.addresses(SHOP), bench.told) == ((), [])
    assert list(bench.resolver.problems()) == [SHOP]
    assert repr(bench.resolver) == "<Resolver of 1, 1 with a problem>"


async def test_problem_that_turns_into_another_is_as_old(bench: Bench) -> None:
    bench.resolver.watch([SHOP])
    await bench.answer(UNKNOWN)
    bench.clock.now = 2_000.0
    await bench.answer([])
    assert bench.resolver.problems() == {SHOP: Problem("shop.internal has no address", 1_000.0)}


async def test_addresses_beside_those_left_out_are_used(bench: Bench) -> None:
    bench.resolver.watch([SHOP])
    await bench.answer(rows("169.254.1.1", "10.0.0.1"))
    assert bench.resolver.addresses(SHOP) == ("10.0.0.1:80",)
    told = bench.resolver.problems()[SHOP].sentence
    assert told == "shop.internal has addresses that are left out: 169.254.1.1 (link-local)"


async def test_link_local_addresses_are_used_where_they_are_allowed(bench: Bench) -> None:
    bench.resolver.watch([SHOP], link_local=[SHOP])
    await bench.answer(rows("169.254.1.1"))
    assert bench.told == [(SHOP, ("169.254.1.1:80",))]
    assert bench.resolver.problems() == {}
    bench.resolver.watch([SHOP])
    await bench.answer(rows("169.254.1.1"))
    assert list(bench.resolver.problems()) == [SHOP]


@pytest.mark.parametrize(
    ("ours", "kept"),
    [
        (["10.0.0.1:80"], ("[::1]:80",)),
        (["[::1]:80"], ("10.0.0.1:80",)),
        (["[::]:80"], ("10.0.0.1:80",)),
        (["10.0.0.1:81", "unix:/run/a"], ("10.0.0.1:80", "[::1]:80")),
    ],
)
async def test_name_never_leads_back_to_us(bench: Bench, ours: list[str], kept: tuple[str, ...]) -> None:
    bench.resolver.watch([SHOP], ours=[parse_bind(bind, Path("/")) for bind in ours])
    await bench.answer(rows("10.0.0.1", "::1"))
    assert bench.resolver.addresses(SHOP) == kept
    assert bool(bench.resolver.problems()) is (len(kept) == 1)


async def test_watch_adds_and_removes_and_leaves_the_others(bench: Bench) -> None:
    bench.resolver.watch([SHOP])
    await bench.answer(rows("10.0.0.1"))
    bench.resolver.watch([SHOP, BLOG])
    waiting = dict([await bench.next(), await bench.next()])
    assert waiting.keys() == {SHOP, BLOG}
    assert bench.resolver.addresses(SHOP) == ("10.0.0.1:80",)
    bench.resolver.watch([BLOG])
    waiting[SHOP].cancel()
    waiting[BLOG].set_result(rows("10.0.0.7"))
    assert (await bench.next())[0] == BLOG
    assert bench.resolver.addresses(SHOP) == ()
    assert bench.told[1:] == [(BLOG, ("10.0.0.7:81",))]


async def test_removed_name_is_not_told_of(bench: Bench) -> None:
    bench.resolver.watch([SHOP])
    _, answer = await bench.next()
    answer.set_result(rows("10.0.0.1"))
    bench.resolver.watch([])
    await bench.resolver.close()
    assert bench.told == []


async def test_name_without_an_answer_is_told_of_and_still_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_DEADLINE", 0.0)
    bench.resolver.watch([SHOP])
    _, answer = await bench.next()
    async with asyncio.timeout(DEADLINE):
        while not bench.resolver.problems():
            await asyncio.sleep(0)
    assert bench.resolver.problems()[SHOP].sentence == "shop.internal has had no answer for 0 s"
    assert bench.resolver.is_settled
    answer.set_result(rows("10.0.0.1"))
    await bench.asked_again()
    assert bench.told == [(SHOP, ("10.0.0.1:80",))]


async def test_answer_in_time_is_not_told_of_as_late(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, timers = asyncio.get_running_loop(), list[tuple[float, asyncio.TimerHandle]]()
    call_later = loop.call_later
    monkeypatch.setattr(module, "_DEADLINE", 77.0)
    monkeypatch.setattr(loop, "call_later", lambda *args: timers.append((args[0], call_later(*args))) or timers[-1][1])
    bench.resolver.watch([SHOP])
    await bench.answer(rows("10.0.0.1"))
    late = [timer for delay, timer in timers if delay == 77.0]
    assert [timer.cancelled() for timer in late] == [True, False]  # the second lookup is under way


async def test_callback_that_fails_does_not_end_the_resolving() -> None:
    asked = asyncio.Queue[None]()

    async def lookup(*_: object) -> Rows:
        asked.put_nowait(None)
        return rows("10.0.0.1")

    def changed(*_: object) -> None:
        raise RuntimeError("not today")

    resolver = Resolver(Clock(), 0.0, changed, lookup)
    resolver.watch([SHOP])
    for _ in range(3):
        await asyncio.wait_for(asked.get(), DEADLINE)
    await resolver.close()


async def test_system_is_asked_where_nothing_else_is_given() -> None:
    told: asyncio.Queue[tuple[str, ...]] = asyncio.Queue()
    resolver = Resolver(Clock(), 60.0, lambda _, addresses: told.put_nowait(addresses))
    resolver.watch([("127.0.0.1", 9001)])
    assert await asyncio.wait_for(told.get(), DEADLINE) == ("127.0.0.1:9001",)
    await resolver.close()


async def test_close_ends_every_task(bench: Bench) -> None:
    bench.resolver.watch([SHOP, BLOG])
    await bench.next()
    before = len(asyncio.all_tasks())
    await bench.resolver.close()
    assert len(asyncio.all_tasks()) == before - 2
    assert bench.resolver.is_settled
