"""The verbs on flags: in force in every worker before the answer, and until somebody or the file ends them."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.e2e.live import Live, exchange

Factory = Callable[..., Awaitable[Live]]

EXTRA = """
flag_rules:
  new: {on_for: {users: [ann], percent: 0}, otherwise: off}
  old: {otherwise: on}
flag_settings: {key_from: [{header: x-user}], upstream_header: x-flags}
"""


async def start(live: Factory, workers: int = 2) -> Live:
    """A proxy whose first route answers 299 to who has `new`, and 298 to whoever has `old`."""
    proxy = await live(workers=workers, extra=EXTRA)
    routes = (
        "routes:\n  - {match: {flags: {new: on}}, respond: {status: 299}}\n"
        "  - {match: {flags: {old: on}}, respond: {status: 298}}\n"
    )
    proxy.write(proxy.text().replace("routes:\n", routes))
    assert (await proxy.call("POST", "/v1/reload"))[0] == 200
    return proxy


async def statuses(proxy: Live, user: str = "bob", count: int = 12) -> set[str]:
    """What as many connections are answered; the kernel spreads them over the workers."""
    request = f"GET / HTTP/1.1\r\nHost: a\r\nX-User: {user}\r\nConnection: close\r\n\r\n".encode()
    return {(await exchange(proxy.sluice.port, request)).split()[1].decode() for _ in range(count)}


async def test_verb_is_in_force_in_every_worker_before_its_answer(live: Factory) -> None:
    proxy = await start(live)
    assert (await statuses(proxy), await statuses(proxy, "ann")) == ({"298"}, {"299"})
    for method, path, body, bob, ann in [
        ("PUT", "new/override", {"percent": 100}, "299", "299"),
        ("PUT", "new/override", {"variant": "off"}, "298", "298"),
        ("POST", "old/kill", {}, "200", "200"),
        ("DELETE", "new/override", {}, "200", "299"),
        ("DELETE", "old/override", {}, "298", "299"),
    ]:
        status, view = await proxy.call(method, f"/v1/flags/{path}", body)
        assert (status, view["warnings"]) == (200, [])
        assert (await statuses(proxy), await statuses(proxy, "ann")) == ({bob}, {ann}), path


async def test_kill_stays_until_it_is_cleared_and_another_override_until_the_flag_is_edited(live: Factory) -> None:
    proxy = await start(live, workers=1)
    await proxy.call("POST", "/v1/flags/old/kill")
    await proxy.call("PUT", "/v1/flags/new/override", {"variant": "on"})
    text = proxy.text()
    proxy.write(text.replace("old: {otherwise: on}", "old: {on_for: {percent: 100}}").replace("[ann]", "[ann, eve]"))
    await proxy.call("POST", "/v1/reload")
    found = {view["key"]: view["override"] for view in (await proxy.call("GET", "/v1/flags"))[1]}
    assert found == {"new": None, "old": {"killed": True}}
    assert await statuses(proxy) == {"200"}
    assert (await proxy.call("PUT", "/v1/flags/old/override", {"variant": "on"}))[0] == 409
    assert (await proxy.call("PUT", "/v1/flags/old/override?force=true", {"variant": "on"}))[0] == 200
    assert await statuses(proxy) == {"298"}
    events = (await proxy.call("GET", "/v1/events"))[1]
    (ended,) = (each["text"] for each in events if each["kind"] == "override_ended")
    assert ended == "the override of flag new (variant on) ends: the file says something else now"


async def test_override_survives_the_controller_a_restart_and_a_stop(live: Factory) -> None:
    proxy = await start(live, workers=1)
    killed = (await proxy.call("POST", "/v1/flags/old/kill", {}))[1]
    before = proxy.controller()
    assert before
    os.kill(before, signal.SIGKILL)
    await proxy.until(lambda: proxy.controller() not in (None, before))
    await proxy.until_ready()
    after = (await proxy.call("GET", "/v1/flags/old"))[1]
    assert (after["override"], after["overridden_by"]) == ({"killed": True}, "admin")
    assert after["overridden_at"] == killed["overridden_at"] > 0
    assert await statuses(proxy) == {"200"}
    workers = proxy.workers()
    assert (await proxy.call("POST", "/v1/restart"))[0] == 200
    await proxy.until_workers(1, without=workers)
    assert await statuses(proxy) == {"200"}
    assert await proxy.again() == 0
    assert await statuses(proxy) == {"200"}
    assert (await proxy.call("DELETE", "/v1/flags/old/override"))[0] == 200
    assert await statuses(proxy) == {"298"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("PUT", "new/override", {}, 400, "an override is one of"),
        ("PUT", "new/override", {"variant": "on", "percent": 5}, 400, "an override is one of"),
        ("PUT", "new/override", {"percent": 101}, 400, "percent"),
        ("PUT", "new/override", {"variant": "onn"}, 409, "'onn' is no variant of it; there is on, off"),
        ("PUT", "nope/override", {"variant": "on"}, 404, "there is no flag 'nope'"),
        ("POST", "nope/kill", {}, 404, "there is no flag 'nope'"),
        ("POST", "nope/evaluate", {}, 404, "there is no flag 'nope'"),
        ("POST", "new/evaluate", {"contxt": {}}, 400, "contxt"),
        ("GET", "nope", None, 404, "there is no flag 'nope'"),
    ],
)
async def test_what_cannot_be_is_refused(
    live: Factory, method: str, path: str, body: Any, status: int, said: str
) -> None:
    proxy = await start(live, workers=1)
    found, problem = await proxy.call(method, f"/v1/flags/{path}", body)
    assert found == status
    assert said in json.dumps(problem)


async def test_command_line_does_it_all(live: Factory) -> None:
    proxy = await start(live, workers=1)
    admin = f"http://127.0.0.1:{proxy.sluice.admin_port}"

    def sluice(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "proxy", "flag", *words, "--admin", admin],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    assert "old   enabled  on       -" in sluice("list")[1]
    assert "if: condition 1 of 1 holds" in sluice("evaluate", "new", "targetingKey=ann")[1]
    assert sluice("percent", "new", "100", "--reason", "all in")[0] == 0
    assert "fractional: " in sluice("evaluate", "new", "targetingKey=bob", "age:=30")[1]
    assert await statuses(proxy) == {"299"}
    assert sluice("kill", "new")[0] == 0
    assert re.search(r"^new +enabled +off +killed +admin ", sluice("list")[1], re.MULTILINE)
    code, text = sluice("override", "new", "on")
    assert (code, "flag new is killed; clear it first" in text) == (1, True)
    assert sluice("override", "new", "on", "--force")[0] == 0
    assert sluice("clear", "new")[0] == 0
    assert await statuses(proxy) == {"298"}
    assert sluice("evaluate", "new", "age:=x")[0] == 2
