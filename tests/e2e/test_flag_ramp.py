"""Flags in rollouts on real processes: a ramp that goes up and back, a kill that holds, cohorts by flag."""

import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.e2e.test_rollouts import GET, Colour, Shop

Factory = Callable[..., Awaitable[Any]]

RAMP = (
    "[{flag: {key: checkout, percent: 30%}}, approve, {flag: {key: checkout, percent: 60%}}, approve,"
    " {flag: {key: checkout, percent: 100%}}, approve]"
)
USERS = 200


@pytest.fixture
def shop(sluice: Factory, origin: Factory) -> Factory:
    """A factory: await shop(keys of the rollout). Who has the flag `checkout` is answered 204 under /flag."""

    async def start(rollout: str) -> Shop:
        blue, canary = Colour("blue"), Colour("canary")
        one, other = await origin(answer=blue), await origin(answer=canary)
        text = (
            "workers: 2\nservices:\n  shop:\n    pools:\n"
            f"      blue: {{endpoints: ['{one.address}']}}\n      canary: {{endpoints: ['{other.address}']}}\n"
            "    split: {blue: 100, canary: 0}\nroutes:\n"
            "  - {match: {path: /flag, flags: {checkout: on}}, respond: {status: 204}}\n  - {service: shop}\n"
            "flag_rules:\n  checkout: {on_for: {users: [ann], percent: 0}, otherwise: off}\n"
            "flag_settings: {key_from: [{header: x-user}]}\n"
            f"rollouts:\n  r: {{service: shop, candidate: canary, {rollout}}}\n"
        )
        return Shop(await sluice(text), blue, canary)

    return start


async def users(found: Shop) -> frozenset[int]:
    """Who of the users has the flag, asked over several connections."""
    who = set()
    for first in range(0, USERS, 25):
        client = await found.proxy.connect()
        for user in range(first, first + 25):
            answer = await client.ask(b"GET /flag HTTP/1.1\r\nHost: a\r\nX-User: u%d\r\n\r\n" % user)
            who |= {user} if answer.status == 204 else set()
        await client.close()
    return frozenset(who)


async def override(found: Shop) -> Any:
    return (await found.live.call("GET", "/v1/flags/checkout"))[1]["override"]


async def test_flag_goes_up_in_three_steps_and_an_abort_takes_it_back(shop: Factory) -> None:
    found = await shop(f"steps: {RAMP}")
    seen = [await users(found)]
    assert (await found.verb("start"))[0] == 200
    for step in (1, 3, 5):
        await found.until(lambda view, step=step: view["step"] == step)
        seen.append(await users(found))  # in force in both workers
        if step < 5:
            assert (await found.verb("promote"))[0] == 200
    assert seen[0] == frozenset()
    assert seen[0] < seen[1] < seen[2] < seen[3] == frozenset(range(USERS))
    assert (await found.verb("abort"))[0] == 200
    assert (await users(found), await override(found)) == (frozenset(), None)
    assert any(line["text"] == "flag checkout: as defined" for line in (await found.rollout())["log"])
    assert await found.split() == {"blue": 100}


async def test_killed_flag_pauses_its_ramp_and_stays_killed_over_controllers(shop: Factory) -> None:
    found = await shop(f"steps: {RAMP}")
    assert (await found.verb("start"))[0] == 200
    await found.until(lambda view: view["step"] == 1)
    assert (await found.live.call("POST", "/v1/flags/checkout/kill"))[0] == 200
    assert (await found.state("paused"))["reason"] == "flag checkout was killed"
    before = found.live.controller()
    assert before is not None
    os.kill(before, signal.SIGKILL)
    await found.live.until(lambda: found.live.controller() not in (None, before))
    await found.state("paused")
    assert (await found.verb("resume"))[0] == 200
    view = await found.until(lambda view: "no rollout lifts" in view["reason"])
    assert view["state"] == "paused"
    assert (await found.verb("abort"))[0] == 200
    assert await override(found) == {"killed": True}


async def test_ab_by_flag_sends_who_has_it_to_the_candidate(shop: Factory) -> None:
    found = await shop("strategy: {ab: {flags: {checkout: on}}}")
    assert (await found.verb("start"))[0] == 200
    await found.until(lambda view: view["step"] == 1)
    ann = GET.replace(b"\r\n\r\n", b"\r\nX-User: ann\r\n\r\n")
    assert ((await found.proxy.ask(ann)).body, (await found.proxy.ask(GET)).body) == (b"canary", b"blue")
    assert (await found.verb("abort"))[0] == 200
    assert (await found.proxy.ask(ann)).body == b"blue"
