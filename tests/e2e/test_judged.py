"""Rollouts judged on about 200 real requests per second: what is bad goes back soon, what is good goes on."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

import pytest

from tests.e2e.judged import SOAK, Colour, Rollout, Shops, document

Factory = Callable[..., Awaitable[Any]]

RUNS = 20 if SOAK else 3
AT_ONCE = 3
MOST = 1_500  # requests to a canary's service, at 10 %, until 10 % instead of 1 % are found out; the median
OVER = ("aborted", "succeeded", "paused")


@pytest.fixture
def shops(sluice: Factory, origin: Factory) -> Factory:
    """A factory: await shops(rollouts, blue, canary) -> Shops."""

    async def start(rollouts: list[Rollout], blue: Colour, canary: Colour, workers: int = 1) -> Shops:
        one, other = await origin(serve=blue.serve), await origin(serve=canary.serve)
        return Shops(await sluice(document(rollouts, one.address, other.address, workers)))

    return start


async def _spent(found: Shops, name: str, gate: asyncio.Semaphore) -> tuple[int, Any]:
    """How many requests a run's service answers from its start until it is over; stable takes all from then on."""
    async with gate, found.traffic(name) as asked:
        assert (await found.verb(name, "start"))[0] == 200
        before = asked.answered
        view = await found.state(name, *OVER)
        spent = asked.answered - before
        assert await found.split(name) == {"blue": 100}
        assert await found.colours(name) == {"blue"}
    return spent, view


BAD = [
    (Colour("blue", errors=0.01), Colour("canary", errors=0.1), "{}", "canary fails "),
    (Colour("blue", slow=0.01), Colour("canary", slow=0.1), "{slower_than: [250ms]}", "canary is slower than 250ms "),
]


@pytest.mark.parametrize(("blue", "canary", "judge", "reason"), BAD, ids=["errors", "slow"])
async def test_bad_canary_is_found_out_and_stable_serves_everything(
    shops: Factory, blue: Colour, canary: Colour, judge: str, reason: str
) -> None:
    names = [f"shop{number}" for number in range(RUNS)]
    found = await shops([Rollout(name, judge=judge) for name in names], blue, canary)
    gate = asyncio.Semaphore(AT_ONCE)
    runs = await asyncio.gather(*(_spent(found, name, gate) for name in names))
    print(f"requests until {reason}: {sorted(spent for spent, _ in runs)}")  # for `make soak`
    assert {view["state"] for _, view in runs} == {"aborted"}
    assert {view["verdict"]["kind"] for _, view in runs} == {"harm"}
    assert all(view["reason"].startswith(reason) for _, view in runs)
    assert all("by chance at any time so far less often than 1 in " in view["reason"] for _, view in runs)
    assert median(spent for spent, _ in runs) <= MOST
    asked = canary.asked.total()
    for name in names:
        status, refused = await found.verb(name, "promote")
        assert status == 409
        assert refused["detail"].endswith("it is aborted, so it cannot promote: retry begins it again")
        assert await found.colours(name, 10) == {"blue"}
    assert canary.asked.total() == asked


CALM = "{min_requests: 50, errors: {alpha: 0.01%}}"


async def test_equal_canary_is_promoted_to_all_of_the_traffic(shops: Factory) -> None:
    safe = "{bake: {until: safe, at_most: 10m}}"
    steps = f"[{{split: 10%}}, {{bake: 500ms}}, {{split: 50%}}, {safe}, {{split: 100%}}, {{bake: 500ms}}]"
    judge = "{min_requests: 50, errors: {alpha: 0.01%}, safe: {or_below: 8%}}"
    found = await shops([Rollout("shop", steps, judge)], Colour("blue", errors=0.01), Colour("canary", errors=0.01))
    async with found.traffic("shop") as asked:
        assert (await found.verb("shop", "start"))[0] == 200
        view = await found.state("shop", *OVER)
        assert (view["state"], view["reason"]) == ("succeeded", "")
        assert await found.split("shop") == {"canary": 100}
    assert asked.colours["blue"] > 100 < asked.colours["canary"]
    assert [line["text"][:6] for line in view["log"] if "done" in line["text"]] == [f"step {n}" for n in range(6)]
    assert await found.colours("shop") == {"canary"}
    assert (await found.verb("shop", "undo"))[0] == 200
    assert await found.colours("shop") == {"blue"}


async def test_canary_that_breaks_with_all_of_the_traffic_is_taken_back_by_holdback(shops: Factory) -> None:
    steps = "[{split: 50%}, {bake: 500ms}, {holdback: {time: 1h, share: 2%}}]"
    canary = Colour("canary")
    found = await shops([Rollout("shop", steps, "{min_requests: 20}")], Colour("blue"), canary)
    async with found.traffic("shop"):
        assert (await found.verb("shop", "start"))[0] == 200
        await found.until("shop", lambda view: view["step"] == 2)
        assert await found.split("shop") == {"blue": 2, "canary": 98}
        canary.errors = 1.0
        view = await found.state("shop", *OVER)
    assert (view["state"], view["verdict"]["kind"], view["step"]) == ("aborted", "harm", 2)
    assert await found.split("shop") == {"blue": 100}
    assert await found.colours("shop") == {"blue"}


async def test_nothing_is_promoted_without_its_own_traffic_or_by_a_failing_smoke_test(shops: Factory) -> None:
    rollouts = [
        Rollout("quiet", "[{split: 10%}, {bake: 100ms}, {split: 100%}]"),
        Rollout("green", keys=", strategy: {blue_green: {smoke: {path: /, status: 204, count: 3}, approve: false}}"),
        Rollout("beside", "[{split: 10%}, {bake: 500ms}, {split: 20%}, {bake: 1h}]", CALM),
    ]
    canary = Colour("canary")
    found = await shops(rollouts, Colour("blue"), canary)
    async with found.traffic("green") as green, found.traffic("beside"):
        for each in rollouts:
            assert (await found.verb(each.name, "start"))[0] == 200
        view = await found.state("green", *OVER)
        assert view["state"] == "aborted"
        assert view["reason"].endswith("GET /: 200, not 204")
        assert await found.split("green") == {"blue": 100}
        await found.until("beside", lambda view: view["step"] == 3)  # so long it is after the bake of the quiet one
    assert green.colours.keys() == {"blue"}
    view = await found.until("quiet", lambda view: "0 of 100 requests" in view["doing"])
    assert (view["state"], view["step"]) == ("running", 1)
    assert await found.split("quiet") == {"blue": 90, "canary": 10}


AT_EASE = "timeouts: {connect: 30s}\n    health: {path: /, interval: 500ms, timeout: 10s}"


@pytest.mark.parametrize("workers", [2, 4] if SOAK else [2])
async def test_equal_canary_has_no_bad_event_whatever_happens_to_the_proxy(shops: Factory, workers: int) -> None:
    rollout = Rollout("a", "[{split: 20%}, {bake: 1h}]", "{slower_than: [10s]}", AT_EASE)
    found = await shops([rollout], Colour("blue"), Colour("canary"), workers)
    live = found.live
    async with live.load(2) as load:
        assert (await found.verb("a", "start"))[0] == 200
        await found.until("a", lambda view: view["step"] == 1)
        for name in ("b", "c", "d"):
            reply = f"  - {{match: {{host: {name}}}, respond: {{status: 204}}}}\n"
            live.write(live.text().replace("rollouts:\n", f"{reply}rollouts:\n"))
            assert (await live.call("POST", "/v1/reload"))[0] == 200
            await load.more(50)
        controller, (victim, *_) = live.controller(), live.workers()
        os.kill(controller, signal.SIGKILL)
        await live.until(lambda: live.controller() not in (None, controller))
        await found.state("a", "running")
        os.kill(victim, signal.SIGKILL)
        await live.until_workers(workers, [victim])
        old = live.workers()
        live.process.send_signal(signal.SIGUSR2)
        await live.until_workers(workers, old)
        counted = (await found.view("a"))["verdict"]["numbers"]["stable_requests"]
        await load.more(50)
        view = await found.until("a", lambda view: view["verdict"]["numbers"]["stable_requests"] > counted)
    numbers = view["verdict"]["numbers"]
    assert (view["state"], view["alarm"], numbers["candidate_bad"], numbers["stable_bad"]) == ("running", None, 0, 0)
    assert numbers["candidate_requests"] > 0


async def test_after_all_of_the_traffic_doubt_pauses_and_only_a_broken_guard_takes_it_back(shops: Factory) -> None:
    steps = "[{split: 50%}, {wait_traffic: 50}, {bake: 500ms}, {split: 100%}, {bake: 1h}]"
    judge = "{min_requests: 20, window: 1s, error_rate: 60%, connect_failures: 1000}"
    canary = Colour("canary")
    found = await shops([Rollout("shop", steps, judge)], Colour("blue"), canary)
    async with found.traffic("shop"):
        assert (await found.verb("shop", "start"))[0] == 200
        await found.until("shop", lambda view: view["step"] == 4)
        canary.errors = 0.2
        view = await found.state("shop", *OVER)
        assert (view["state"], view["verdict"]["kind"]) == ("paused", "harm")
        assert view["reason"].endswith("; that is no comparison at the same time")
        assert await found.split("shop") == {"canary": 100}
        canary.errors = 1.0
        view = await found.state("shop", "aborted")
        assert view["reason"].endswith(" in 1s, more than 60%")
    assert await found.split("shop") == {"blue": 100}
    assert await found.colours("shop") == {"blue"}


async def test_start_that_waits_tells_a_pipeline_how_it_ended(shops: Factory) -> None:
    names = {"good": 0, "bad": 1, "asks": 2, "slow": 2}
    steps = {"good": "[{split: 50%}]", "bad": "[{smoke: {path: /, status: 204}}]", "asks": "[{approve: {}}]"}
    rollouts = [Rollout(name, steps.get(name, "[{split: 10%}, {bake: 1h}]")) for name in names]
    found = await shops(rollouts, Colour("blue"), Colour("canary"))
    for name, status in names.items():
        command = [sys.executable, "-m", "proxy", "rollout", "start", name, "--wait", "--timeout"]
        environ = {**os.environ, "SLUICE_ADMIN": f"127.0.0.1:{found.proxy.admin_port}"}
        timeout = "2s" if status == 2 else "1m"
        process = await asyncio.create_subprocess_exec(*command, timeout, env=environ)
        assert await process.wait() == status, name
