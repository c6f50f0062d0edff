"""A store that takes no more while traffic flows: the change is in force, its loss is told, and it is made good."""

import os
import resource
import signal
from collections.abc import Awaitable, Callable
from typing import Any

Factory = Callable[..., Awaitable[Any]]

FLIP = "/v1/services/shop/flip"


def full_disk(pid: int | None, size: int) -> None:
    """From now on no file of that process grows beyond this."""
    assert pid is not None
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def test_full_disk_is_told_while_changes_go_on_and_nothing_is_lost_once_there_is_room(live: Factory) -> None:
    proxy = await live(workers=2)
    assert (await proxy.call("POST", FLIP, {"to": "canary"}))[0] == 200
    wal = proxy.config.with_suffix(".state") / "sluice.db-wal"
    async with proxy.load(4) as load:
        full_disk(proxy.controller(), wal.stat().st_size + 1000)
        assert (await proxy.call("POST", FLIP, {"to": "green"}))[0] == 200
        assert await proxy.colours(10) == {"green"}
        problems = (await proxy.status())["problems"]
        assert any("cannot be written, changes are lost at the next start" in each for each in problems)
        assert any("the journal cannot be written" in each for each in problems)
        _, before = await proxy.call("GET", "/v1/events")
        full_disk(proxy.controller(), resource.RLIM_INFINITY)
        await proxy.until_status(lambda status: not status["problems"])
        await load.more(20)
    assert load.failures == []
    assert await proxy.again() == 0
    assert await proxy.colours(10) == {"green"}
    _, after = await proxy.call("GET", "/v1/events")
    assert after[: len(before)] == before
    assert [event["after"] for event in after if event["kind"] == "flip"] == [
        {"blue": 0, "green": 0, "canary": 100},
        {"blue": 0, "green": 100, "canary": 0},
    ]


async def test_controller_that_starts_on_a_full_disk_knows_the_overrides_and_leaves_the_store_whole(
    live: Factory,
) -> None:
    proxy = await live()
    assert (await proxy.call("POST", FLIP, {"to": "green"}))[0] == 200
    before_that = resource.prlimit(proxy.process.pid, resource.RLIMIT_FSIZE)
    full_disk(proxy.process.pid, 0)  # of its next children
    before = proxy.controller()
    async with proxy.load(2) as load:
        os.kill(before, signal.SIGKILL)
        await proxy.until(lambda: proxy.controller() not in (None, before))
        await proxy.until_status(lambda status: any("store" in each for each in status["problems"]))
        assert await proxy.colours(10) == {"green"}, "the master has kept what the store cannot tell"
        await load.more(20)
    assert load.failures == []
    resource.prlimit(proxy.process.pid, resource.RLIMIT_FSIZE, before_that)
    assert await proxy.again() == 0
    assert (await proxy.status())["problems"] == []
    assert await proxy.colours(10) == {"green"}
