"""What came of flags: counted by every worker, summed by the controller, kept when a worker dies."""

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
  new: {on_for: {users: [ann, eve]}, otherwise: off}
  dark: {otherwise: off}
flag_settings: {key_from: [{header: x-user}], observe: [new]}
"""
ROUTES = (
    "routes:\n  - {match: {flags: {new: on}, headers: {x-user: eve}}, respond: {status: 503}}\n"
    "  - {match: {flags: {dark: on}}, respond: {status: 298}}\n"
)


async def start(live: Factory, workers: int = 2) -> Live:
    """A proxy that asks for `new` and `dark` on the way of every request; eve's fail."""
    proxy = await live(workers=workers, extra=EXTRA)
    proxy.write(proxy.text().replace("routes:\n", ROUTES))
    assert (await proxy.call("POST", "/v1/reload"))[0] == 200
    return proxy


async def ask(proxy: Live, user: str, count: int) -> None:
    """That many requests on connections of their own, which the kernel spreads over the workers."""
    request = f"GET / HTTP/1.1\r\nHost: a\r\nX-User: {user}\r\nConnection: close\r\n\r\n".encode()
    for _ in range(count):
        await exchange(proxy.sluice.port, request)


async def outcome(proxy: Live, key: str = "new") -> dict[str, Any]:
    """Each variant's outcome by its name."""
    status, view = await proxy.call("GET", f"/v1/flags/{key}/outcome")
    assert status == 200
    return {each["variant"]: each for each in view["variants"]}


async def test_outcome_is_the_sum_of_the_workers_those_that_died_included(live: Factory) -> None:
    proxy = await start(live)
    await ask(proxy, "ann", 12)
    await ask(proxy, "eve", 4)
    await ask(proxy, "bob", 8)
    found = await outcome(proxy)
    assert found["on"]["requests"] == {"2xx": 12, "5xx": 4}
    assert found["on"]["error_rate"] == 0.25
    assert found["off"]["requests"] == {"2xx": 8}
    assert 0 < found["off"]["p50"] <= found["off"]["p90"] <= found["off"]["p99"]
    workers = proxy.workers()
    os.kill(workers[0], signal.SIGKILL)
    await proxy.until_workers(2, without=[workers[0]])
    await ask(proxy, "bob", 4)
    assert (await outcome(proxy))["on"]["requests"] == {"2xx": 12, "5xx": 4}
    assert (await outcome(proxy))["off"]["requests"] == {"2xx": 12}
    metrics = (await exchange(proxy.sluice.admin_port, b"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")).decode()
    assert 'sluice_flag_requests_total{class="5xx",flag="new",variant="on"} 4.0' in metrics


async def test_flag_that_is_not_observed_or_not_there_says_so(live: Factory) -> None:
    proxy = await start(live, workers=1)
    await ask(proxy, "ann", 2)
    assert {name: each["requests"] for name, each in (await outcome(proxy, "dark")).items()} == {"on": {}, "off": {}}
    assert (await proxy.call("GET", "/v1/flags/dark/outcome"))[1]["observed"] is False
    assert (await proxy.call("GET", "/v1/flags/nope/outcome"))[0] == 404


async def test_killed_flag_counts_no_variant_and_the_command_prints_it_all(live: Factory) -> None:
    proxy = await start(live, workers=1)
    await ask(proxy, "eve", 3)
    assert (await proxy.call("POST", "/v1/flags/new/kill"))[0] == 200
    await ask(proxy, "eve", 2)

    def sluice(*words: str) -> str:
        admin = f"http://127.0.0.1:{proxy.sluice.admin_port}"
        command = [sys.executable, "-m", "proxy", "flag", "outcome", *words, "--admin", admin]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    rows = {line.split()[0]: line.split()[1:5] for line in sluice("new").splitlines()}
    assert rows["on"][:4] == ["0", "3", "100.00", "%"]
    assert rows["(none)"][:4] == ["0", "2", "0.00", "%"]
    assert json.loads(sluice("new", "--json"))["key"] == "new"
    assert "dark is not counted" in sluice("dark")


async def counted_of(proxy: Live) -> tuple[set[str], set[str]]:
    """The flags that /metrics tells requests of, and those that it tells answers to clients of."""
    text = (await exchange(proxy.sluice.admin_port, b"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")).decode()
    found = (
        set(re.findall(rf'(?m)^sluice_flag_{name}_total{{.*flag="(\w+)".*}} [1-9]', text))
        for name in ("requests", "evaluations")
    )
    return next(found), next(found)


@pytest.mark.parametrize("observe", [None, ["f0", "f249"]])
async def test_of_many_flags_the_first_are_counted_or_those_that_are_named(
    sluice: Callable[..., Awaitable[Any]], observe: list[str] | None
) -> None:
    keys = [f"f{number}" for number in range(250)]
    rules = "\n".join(f"  {key}: {{otherwise: on}}" for key in keys)
    settings = f"public: {json.dumps(keys)}" + (f", observe: {json.dumps(observe)}" if observe else "")
    routes = ["{match: {path: '/ofrep/*'}, respond: {ofrep: {}}}"]
    routes += [f"{{match: {{path: /{key}, flags: {{{key}: on}}}}, respond: {{status: 299}}}}" for key in keys]
    proxy = Live(
        await sluice(f"flag_rules:\n{rules}\nflag_settings: {{{settings}}}\nroutes: [{', '.join(routes)}]\n"),
        lambda *_: None,
    )
    client = await proxy.connect()
    for key in keys:
        assert (await client.ask(f"GET /{key} HTTP/1.1\r\nHost: a\r\n\r\n".encode())).status == 299
    told = await client.ask(b"POST /ofrep/v1/evaluate/flags HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    await client.close()
    assert len(json.loads(told.body)["flags"]) == 250
    expected = set(observe or keys[:200])
    assert await counted_of(proxy) == (expected, expected)
    for key in ("f0", "f199", "f200", "f249"):
        view = (await proxy.call("GET", f"/v1/flags/{key}/outcome"))[1]
        on = next(each for each in view["variants"] if each["variant"] == "on")
        was = key in expected
        assert (view["observed"], on["evaluations"], on["requests"]) == (was, int(was), {"2xx": 1} if was else {})
