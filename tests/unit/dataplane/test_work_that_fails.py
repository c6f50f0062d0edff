"""What a request waits for may fail: then it does not go on, and the client hears of it."""

import asyncio
from typing import Any

import pytest

from proxy.dataplane.waiting import wait
from proxy.filters.effects import Compute, Effect, Reply, Run


def broken(*_arguments: object) -> Effect | None:
    raise RuntimeError("broken")


async def broken_coroutine() -> Effect | None:
    return broken()


@pytest.mark.parametrize(
    "effect",
    [lambda: Compute(broken, Reply(503)), lambda: Run(broken_coroutine(), 5.0, broken)],
    ids=["in a thread", "a coroutine whose failure fails"],
)
def test_request_whose_work_raises_is_500(make: Any, loop: asyncio.AbstractEventLoop, effect: Any) -> None:
    stage = make()
    stage.begin().response(stage.head(), b"ok", True)
    client = stage.next_client()
    exchange = stage.begin()
    exchange._drop_attempt()
    went_on: list[Effect | None] = []

    async def waits() -> None:
        wait(exchange, effect(), went_on.append)
        async with asyncio.timeout(10):
            while not client.events:
                await asyncio.sleep(0.001)

    loop.run_until_complete(waits())
    assert (client.status, client.reason, client.events) == (500, "internal_error", ["done", "finished"])
    assert went_on == []
    stage.plane.workshop.close()
