"""Rollouts on real traffic: harm goes back, what is safe goes on, and nothing happens by itself without data."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any

import pytest

from tests.conftest import read_message
from tests.e2e.live import Live

Factory = Callable[..., Awaitable[Any]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
DEADLINE = 60.0


class Colour:
    """What an origin answers: its colour, and every `nth` time an error; 0 for never."""

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        self.nth = 0
        self._numbers = count(1)

    def __call__(self, _: Any) -> bytes:
        status = b"500 Oops" if self.nth and next(self._numbers) % self.nth == 0 else b"200 OK"
        return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(self.name), self.name)


class Shop:
    """A proxy before blue and canary, which can be made to fail, and clients that ask all the time."""

    def __init__(self, proxy: Any, blue: Colour, canary: Colour) -> None:
        self.live = Live(proxy, lambda *_: None)
        self.proxy = proxy
        self.blue = blue
        self.canary = canary
        self.answered = 0

    async def verb(self, verb: str, body: Any = None, name: str = "r") -> tuple[int, Any]:
        """A verb of the rollout."""
        return await self.live.call("POST", f"/v1/rollouts/{name}/{verb}", body)

    async def rollout(self, name: str = "r") -> Any:
        """How it stands."""
        status, view = await self.live.call("GET", f"/v1/rollouts/{name}")
        assert status == 200, view
        return view

    async def until(self, holds: Callable[[Any], Any]) -> Any:
        """Wait until it stands like that."""
        view = None
        async with asyncio.timeout(DEADLINE):
            while True:
                with contextlib.suppress(ConnectionError, IndexError):
                    view = await self.rollout()
                    if holds(view):
                        return view
                await asyncio.sleep(0.02)

    async def state(self, *states: str) -> Any:
        """Wait until it has one of these states."""
        return await self.until(lambda view: view["state"] in states)

    async def split(self) -> dict[str, float]:
        """The split in force."""
        _, view = await self.live.call("GET", "/v1/services/shop")
        return {pool: share for pool, share in view["split"].items() if share}

    @contextlib.asynccontextmanager
    async def traffic(self, clients: int = 4) -> AsyncIterator[None]:
        """So many clients that ask without pause."""
        ends = asyncio.Event()

        async def ask() -> None:
            client = await self.proxy.connect()
            while not ends.is_set():
                await client.ask(GET)
                self.answered += 1
            await client.close()

        tasks = [asyncio.create_task(ask()) for _ in range(clients)]
        try:
            yield
        finally:
            ends.set()
            await asyncio.gather(*tasks)


@pytest.fixture
def shop(sluice: Factory, origin: Factory) -> Factory:
    """A factory: await shop(steps, judge=…, service=…, **keys of the rollout)."""

    async def start(steps: str, judge: str = "{}", service: str = "", options: str = "") -> Shop:
        blue, canary = Colour("blue"), Colour("canary")
        one, other = await origin(answer=blue), await origin(answer=canary)
        text = (
            "services:\n  shop:\n    pools:\n"
            f"      blue: {{endpoints: ['{one.address}']}}\n      canary: {{endpoints: ['{other.address}']}}\n"
            f"    split: {{blue: 100, canary: 0}}\n    {service}\nroutes: [{{service: shop}}]\n"
            f"rollouts:\n  r: {{service: shop, candidate: canary, steps: {steps}, judge: {judge}{options}}}\n"
        )
        return Shop(await sluice(text), blue, canary)

    return start


async def test_slow_canary_is_taken_back_before_it_answers(sluice: Factory, origin: Factory) -> None:
    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    blue, slow = await origin(answer=Colour("blue")), await origin(serve=hang)
    proxy = await sluice(
        f"services:\n  shop:\n    pools: {{blue: {{endpoints: ['{blue.address}']}}, canary: {{endpoints: "
        f"['{slow.address}']}}}}\n    split: {{blue: 100, canary: 0}}\nroutes: [{{service: shop}}]\n"
        "rollouts:\n  r: {service: shop, candidate: canary, steps: [{split: 50%}, {bake: 1h}],"
        " judge: {slower_than: [200ms]}}\n"
    )
    found = Shop(proxy, Colour("blue"), Colour("canary"))
    assert (await found.verb("start"))[0] == 200
    await found.until(lambda view: view["step"] == 1)
    waiting = [asyncio.create_task(proxy.ask(GET)) for _ in range(60)]
    view = await found.state("aborted", "succeeded", "paused")
    assert view["state"] == "aborted"
    assert view["reason"].startswith("canary is slower than 200ms for ")
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_candidate_that_takes_no_connection_is_given_up_at_once(
    sluice: Factory, origin: Factory, free_port: Callable[[], int]
) -> None:
    blue = Colour("blue")
    back = await origin(answer=blue)
    proxy = await sluice(
        f"services:\n  shop:\n    pools: {{blue: {{endpoints: ['{back.address}']}}, canary: {{endpoints: "
        f"['127.0.0.1:{free_port()}']}}}}\n    split: {{blue: 100, canary: 0}}\n    ejection: off\n"
        "routes: [{service: shop}]\nrollouts:\n  r: {service: shop, candidate: canary,"
        " steps: [{split: 50%}, {bake: 1h}], judge: {connect_failures: 5}}\n"
    )
    found = Shop(proxy, blue, Colour("canary"))
    assert (await found.verb("start"))[0] == 200
    async with found.traffic(2):
        view = await found.state("aborted")
    assert "could not be connected to" in view["reason"] or "by chance" in view["reason"]
    assert await found.split() == {"blue": 100}


async def test_blue_green_waits_for_a_person_and_flips(shop: Factory) -> None:
    found = await shop(
        "[{smoke: {path: /, count: 3, contains: canary}}, {header: {headers: {x-preview: '1'}}}, approve, flip]"
    )
    assert (await found.verb("start"))[0] == 200
    await found.until(lambda view: view["step"] == 2)
    preview = GET.replace(b"\r\n\r\n", b"\r\nX-Preview: 1\r\n\r\n")
    assert ((await found.proxy.ask(preview)).body, (await found.proxy.ask(GET)).body) == (b"canary", b"blue")
    assert (await found.verb("promote"))[0] == 200
    await found.state("succeeded")
    assert await found.split() == {"canary": 100}
    found.live.write(found.live.text().replace("split: {blue: 100, canary: 0}", "split: {blue: 100, canary: 0.0}"))
    assert (await found.live.call("POST", "/v1/reload"))[0] == 200
    assert await found.split() == {"canary": 100}  # an override like any other


async def test_smoke_asks_all_endpoints_side_by_side(sluice: Factory, origin: Factory) -> None:
    asked = asyncio.Barrier(2)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        await asked.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    stable, one, other = await origin(), await origin(serve=serve), await origin(serve=serve)
    pools = (
        f"{{blue: {{endpoints: ['{stable.address}']}}, canary: {{endpoints: ['{one.address}', '{other.address}']}}}}"
    )
    proxy = await sluice(
        f"services: {{shop: {{pools: {pools}, split: {{blue: 1, canary: 0}}}}}}\nroutes: [{{service: shop}}]\n"
        "rollouts: {r: {service: shop, steps: [{smoke: {path: /, count: 2, timeout: 10s}}]}}\n"
    )
    found = Shop(proxy, Colour("blue"), Colour("canary"))
    assert (await found.verb("start"))[0] == 200
    assert "4 requests answered" in (await found.state("succeeded", "aborted"))["log"][1]["text"]


async def test_mirror_compares_copies_with_the_requests(shop: Factory) -> None:
    mirrored = await shop("[{mirror: 1s}, {approve: {}}]")
    mirrored.canary.nth = 2
    async with mirrored.traffic():
        await mirrored.verb("start")
        paused = await mirrored.state("paused")
        assert "copies failed" in paused["reason"]
        mirrored.canary.nth = 0
        await mirrored.verb("resume")
        await mirrored.until(lambda view: view["step"] == 1)
    assert (await mirrored.live.status())["traffic"]["mirrors"] == []


async def test_split_by_hand_pauses_and_resume_takes_the_wheel_again(shop: Factory) -> None:
    found = await shop("[{split: 10%}, {bake: 1h}]")
    await found.verb("start")
    await found.until(lambda view: view["step"] == 1)
    assert (await found.live.call("PUT", "/v1/services/shop/split", {"blue": 70, "canary": 30}))[0] == 200
    view = await found.state("paused")
    assert (view["reason"], await found.split()) == ("the split was changed by hand", {"blue": 70, "canary": 30})
    assert (await found.verb("resume"))[0] == 200
    assert await found.split() == {"blue": 90, "canary": 10}
    assert (await found.rollout())["state"] == "running"


async def test_edit_of_the_files_split_pauses_and_takes_effect_on_abort(shop: Factory) -> None:
    found = await shop("[{split: 10%}, {bake: 1h}]")
    await found.verb("start")
    await found.until(lambda view: view["step"] == 1)
    found.live.write(found.live.text().replace("split: {blue: 100, canary: 0}", "split: {blue: 80, canary: 20}"))
    assert (await found.live.call("POST", "/v1/reload"))[0] == 200
    view = await found.state("paused")
    assert "edited in the file" in view["reason"]
    assert await found.split() == {"blue": 90, "canary": 10}
    assert (await found.verb("abort"))[0] == 200
    assert await found.split() == {"blue": 80, "canary": 20}


async def test_reload_that_takes_a_pool_away_is_rejected(shop: Factory) -> None:
    found = await shop("[{split: 10%}, {bake: 1h}]")
    await found.verb("start")
    await found.until(lambda view: view["step"] == 1)
    lines = [
        line for line in found.live.text().splitlines() if "canary: {endpoints" not in line and "  r: " not in line
    ]
    found.live.write("\n".join(lines).replace(", canary: 0", "").replace("rollouts:", "") + "\n")
    status, told = await found.live.call("POST", "/v1/reload")
    assert status == 422
    assert told["problems"] == ["services.shop: pool canary is gone, but rollout r needs it; abort that first"]
    assert (await found.rollout())["state"] == "running"


ROUNDS = 200 if os.environ.get("SLUICE_SOAK") else 20
TOGETHER = [("promote", "abort", "full"), ("abort", "full", "promote"), ("full", "abort", "promote")]


async def test_abort_wins_over_promote_in_whatever_order_they_come(shop: Factory) -> None:
    found = await shop("[{split: 10%}, approve, {split: 100%}]")
    bodies = {"full": {"full": True}}
    came_first = set()
    for number in range(ROUNDS):
        await found.verb("start" if number == 0 else "retry")
        await found.until(lambda view: view["step"] == 1)
        verbs = TOGETHER[number % len(TOGETHER)]
        calls = [found.verb(verb.replace("full", "promote"), bodies.get(verb)) for verb in verbs]
        if number % 4 == 3:  # one after the other, which ends the run in between
            answers = [await call for call in calls]
        else:
            answers = await asyncio.gather(*calls)
        said = dict(zip(verbs, answers, strict=True))
        assert said["abort"][0] == 200
        assert {status for status, _ in answers} <= {200, 409}
        came_first.add(said["full"][0] == 200)
        view = await found.until(lambda view: not view["doing"])
        assert (view["state"], await found.split()) == ("aborted", {"blue": 100})
        assert (await found.proxy.ask(GET)).body == b"blue"
    assert came_first == {True, False}


async def test_hold_counts_only_who_came_since(shop: Factory) -> None:
    sticky = "sticky: {cookie: sid, on_change: hold}"
    found = await shop("[{split: 50%}, {bake: 1h}]", service=sticky)
    old = await found.proxy.ask(GET)
    cookie = old.one(b"set-cookie").split(b";")[0]
    held = GET.replace(b"\r\n\r\n", b"\r\nCookie: " + cookie + b"\r\n\r\n")
    await asyncio.sleep(1.1)  # a binding knows seconds
    await found.verb("start")
    await found.until(lambda view: view["step"] == 1)
    for _ in range(10):
        assert (await found.proxy.ask(held)).body == b"blue"
    for _ in range(20):
        await found.proxy.ask(GET)
    numbers = await found.until(
        lambda view: sum(view["verdict"]["numbers"].get(f"{key}_requests", 0) for key in ("candidate", "stable")) >= 20
    )
    seen = numbers["verdict"]["numbers"]
    assert seen["candidate_requests"] + seen["stable_requests"] == 20


BODIES = [
    ({}, 400, "$.name: a rollout needs a name"),
    ({"name": "x"}, 400, "$: service is missing"),
    ({"name": "x", "service": "shop", "candidate": "canary", "steps": [{"split": "5"}]}, 400, "$.steps[0].split"),
    ({"name": "x", "service": "shop", "stepz": []}, 400, "$.stepz: unknown key"),
    ({"name": "x", "service": "nope"}, 404, "there is no service 'nope'"),
    ({"name": "x", "service": "shop", "candidate": "red"}, 409, "there is no pool red"),
    ({"name": "r", "service": "shop"}, 409, "the file has a rollout r"),
]


@pytest.mark.parametrize(("body", "status", "message"), BODIES)
async def test_bad_rollouts_are_refused_by_the_field(
    shop: Factory, body: dict[str, Any], status: int, message: str
) -> None:
    found = await shop("[{split: 10%}]")
    got, problem = await found.live.call("POST", "/v1/rollouts", body)
    assert got == status, problem
    assert message in "; ".join([problem["detail"], *problem.get("problems", ())])


async def test_posted_rollout_runs_like_the_files(shop: Factory) -> None:
    found = await shop("[{split: 10%}]")
    steps = [{"split": "30%"}, "approve"]
    status, view = await found.live.call("POST", "/v1/rollouts", {"name": "x", "service": "shop", "steps": steps})
    assert (status, view["state"]) == (200, "pending")
    assert (await found.verb("start", name="x"))[0] == 200
    status, refused = await found.verb("start")
    assert (status, "is with rollout x" in refused["detail"]) == (409, True)
    async with asyncio.timeout(DEADLINE):
        while (await found.rollout("x"))["step"] != 1:
            await asyncio.sleep(0.02)
    assert await found.split() == {"blue": 70, "canary": 30}
    assert (await found.verb("promote", {"full": True}, name="x"))[1]["state"] == "succeeded"
    assert await found.split() == {"canary": 100}


async def test_other_stickiness_in_the_file_pauses_and_counts_anew(shop: Factory) -> None:
    found = await shop("[{split: 50%}, {bake: 1h}]", service="sticky: {cookie: sid}")
    await found.verb("start")
    await found.until(lambda view: view["step"] == 1)
    async with found.traffic():
        await found.until(lambda view: view["verdict"]["numbers"].get("candidate_requests", 0) > 20)
    found.live.write(found.live.text().replace("    sticky: {cookie: sid}\n", "\n"))
    assert (await found.live.call("POST", "/v1/reload"))[0] == 200
    view = await found.state("paused")
    assert "from cookie sid to chance; all is counted anew from here" in view["reason"]
    view = await found.until(lambda view: not view["verdict"]["numbers"].get("candidate_requests"))
    assert view["state"] == "paused"
    assert (await found.verb("resume"))[0] == 200
    async with found.traffic():
        await found.until(lambda view: view["verdict"]["numbers"].get("candidate_requests", 0) > 20)
    assert (await found.rollout())["state"] == "running"


async def test_success_is_persisted_though_the_controller_dies(shop: Factory) -> None:
    found = await shop("[{split: 100%}]", options=", on_success: persist")
    before = found.live.controller()
    assert before is not None
    assert (await found.verb("start"))[0] == 200
    os.kill(before, signal.SIGKILL)  # in a step, at the end, or while the file is written: it ends the same
    await found.live.until(lambda: found.live.controller() not in (None, before))
    await found.state("succeeded")
    await found.live.until(lambda: "canary: 100" in found.live.text())
    await found.until(lambda _: True)
    assert await found.split() == {"canary": 100}


async def test_aborted_rollout_whose_plan_was_edited_takes_start(shop: Factory) -> None:
    found = await shop("[{split: 10%}, {bake: 1h}]")
    await found.verb("start")
    await found.until(lambda view: view["step"] == 1)
    assert (await found.verb("abort"))[0] == 200
    assert (await found.verb("start"))[0] == 409
    found.live.write(found.live.text().replace("steps: [{split: 10%}", "steps: [{split: 30%}"))
    assert (await found.live.call("POST", "/v1/reload"))[0] == 200
    assert (await found.verb("start"))[0] == 200
    await found.until(lambda view: view["step"] == 1)
    assert await found.split() == {"blue": 70, "canary": 30}
