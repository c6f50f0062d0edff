"""A controller that is killed: the next one goes on with every rollout where it was, whatever that was doing."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.e2e.judged import Colour, Rollout, Shops, document

Factory = Callable[..., Awaitable[Any]]

BEFORE = "{split: 50%}"
BAKE = f"[{BEFORE}, {{bake: 1h}}]"
FAILING = "{errors: {statuses: 200-299}, error_rate: 50%, min_requests: 10}"  # its every answer is an error
GRADUAL = ", on_abort: {gradual: 1h}"
DONE = ("start", "promote_full")
REQUESTS = 40  # to each service that has traffic


@dataclass(frozen=True, slots=True)
class Case:
    """One rollout. It is at `step` in `state` when the controller dies, goes on by `verb`, and comes to `ends`.

    `first` is said to it before; `judge` and `keys` as in its YAML; `asked`: does it have requests by then?
    """

    steps: str
    step: int = 1
    state: str = "running"
    verb: str | None = "promote"
    ends: str = "succeeded"
    first: tuple[str, ...] = ("start",)
    judge: str = "{connect_failures: 1000}"
    keys: str = ""
    asked: bool = True


CASES = {
    "bake": Case(BAKE),
    "until-safe": Case(f"[{BEFORE}, {{bake: {{until: safe, at_most: 1h}}}}]"),
    "analyze": Case(f"[{BEFORE}, {{analyze: {{at_most: 1h}}}}]"),
    "approve": Case(f"[{BEFORE}, {{approve: {{timeout: 1h, otherwise: abort}}}}]"),
    "wait-traffic": Case(f"[{BEFORE}, {{wait_traffic: 1000}}]"),
    "holdback": Case(f"[{BEFORE}, {{holdback: {{time: 1h, share: 10%}}}}]"),
    "mirror": Case("[{mirror: 1h}]", step=0),
    "header": Case("[{header: {headers: {x-canary: '1'}}}, approve]"),
    "flip": Case("[flip, {bake: 1h}]"),
    "smoke": Case(f"[{BEFORE}, {{smoke: {{path: /hold, timeout: 60s}}}}]", verb=None),
    "hook": Case(f"[{BEFORE}, {{hook: {{url: 'http://CANARY/hold', timeout: 60s}}}}]", verb=None),
    "drain": Case("[flip, {drain: 1h}]", verb=None),
    "pending": Case(BAKE, step=0, state="pending", verb="start", ends="running", first=(), asked=False),
    "paused": Case(BAKE, state="paused", verb="resume", ends="running", first=("start", "pause")),
    "aborting": Case(BAKE, state="aborting", verb="abort", ends="aborted", judge=FAILING, keys=GRADUAL),
    "aborted": Case(BAKE, state="aborted", verb="retry", ends="running", first=("start", "abort"), asked=False),
    "succeeded": Case(BAKE, state="succeeded", verb="undo", ends="aborted", first=DONE, asked=False),
}  # fmt: skip


COUNTED = ("candidate_requests", "candidate_bad", "stable_requests", "stable_bad")
SAME = ("state", "step", "number", "reason", "split", "started")


def _get(name: str, path: str = "/", more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {name}\r\n{more}\r\n".encode()


def _seen(view: Any) -> list[float]:
    return [view["verdict"]["numbers"].get(key, 0.0) for key in COUNTED]


async def _bring(found: Shops, name: str, case: Case) -> Any:
    """To where it is to be when the controller dies; how it stands there."""
    for verb in case.first:
        body = {"full": True} if verb == "promote_full" else None
        assert (await found.verb(name, verb.removesuffix("_full"), body))[0] == 200
        if verb == "start":
            await found.until(name, lambda view: view["step"] == case.step)
    for _ in range(REQUESTS if case.asked else 0):
        await found.proxy.ask(_get(name))
    is_counted = case.asked and case.state != "aborting"  # that looks at nothing any more
    return await found.until(
        name,
        lambda view: view["state"] == case.state and (not is_counted or _seen(view)[0] + _seen(view)[2] == REQUESTS),
    )


async def _kept(found: Shops) -> dict[str, Any]:
    """How all stand, once what they had seen before must have been kept: that is done every second."""
    now = (await found.view("bake"))["in_step"]
    await found.until("bake", lambda view: view["in_step"] > now + 1.5)
    return {name: await found.view(name) for name in CASES}


async def _kill(found: Shops) -> None:
    before = found.live.controller()
    assert before is not None
    os.kill(before, signal.SIGKILL)
    await found.live.until(lambda: found.live.controller() not in (None, before))
    await found.until("bake", lambda view: view["state"] == "running")


async def _go_on(found: Shops, name: str, case: Case) -> Any:
    if case.verb is not None:
        assert (await found.verb(name, case.verb))[0] == 200
    return await found.state(name, case.ends)


async def test_next_controller_goes_on_in_every_state_and_kind_of_step(sluice: Factory, origin: Factory) -> None:
    blue, canary = Colour("blue"), Colour("canary")
    one, other = await origin(serve=blue.serve), await origin(serve=canary.serve)
    rollouts = [
        Rollout(name, case.steps.replace("CANARY", other.address), case.judge, keys=case.keys)
        for name, case in CASES.items()
    ]
    found = Shops(await sluice(document(rollouts, one.address, other.address)))
    held = asyncio.create_task(found.proxy.ask(_get("drain", "/hold")))  # runs on stable until it may end
    await one.until(lambda: blue.asked["/hold"] == 1)
    await asyncio.gather(*(_bring(found, name, case) for name, case in CASES.items()))
    before = await _kept(found)
    asked = canary.asked["/hold"]

    await _kill(found)

    for name in CASES:
        was, now = before[name], await found.until(name, lambda _: True)
        assert [now[key] for key in SAME] == [was[key] for key in SAME], name
        assert _seen(now) == _seen(was), name
        assert now["in_step"] >= was["in_step"] - 1.1, name
    assert (await found.proxy.ask(_get("header", more="X-Canary: 1\r\n"))).body == b"canary"
    await found.proxy.ask(_get("mirror", "/copied"))
    await other.until(lambda: canary.asked["/copied"] == 1)
    assert asked == 2
    await other.until(lambda: canary.asked["/hold"] == 4)  # what was under way outside is begun again

    for colour in (blue, canary):
        colour.released.set()
    views = dict(zip(CASES, await asyncio.gather(*(_go_on(found, *each) for each in CASES.items())), strict=True))
    assert (await held).status == 200
    assert {name: view["state"] for name, view in views.items()} == {name: case.ends for name, case in CASES.items()}
    for name in ("bake", "until-safe", "analyze", "approve", "holdback", "smoke", "hook", "drain", "flip"):
        share = views[name]["split"]["canary"]
        assert share == (100 if name in ("flip", "drain", "holdback") else 50), name
    _, view = await found.live.call("GET", "/v1/services/drain")
    assert {pool: each["state"] for pool, each in view["pools"].items()} == {"blue": "active", "canary": "active"}
    assert {(await found.proxy.ask(_get(name))).body for name in ("aborting", "succeeded")} == {b"blue"}
