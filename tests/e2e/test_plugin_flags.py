"""Plug-ins that ask for a feature flag: what they are told is what routes, upstream and the flag's outcome go by."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.live import exchange

Factory = Callable[..., Awaitable[Any]]

ASKING = '''
"""Answers with what a flag came to."""

import json
from dataclasses import dataclass

from proxy.plugins import Facts, Reply, Request, Response


@dataclass
class Asking:
    def on_request(self, request: Request, facts: Facts) -> Reply | None:
        if not request.path.startswith("/flag/"):
            return None
        found = facts.flag(request.path.removeprefix("/flag/"))
        if isinstance(found.value, dict):
            found.value["spoilt"] = True
        return Reply(200, json.dumps([found.variant, found.value, found.reason]))

    def on_response(self, response: Response, facts: Facts) -> None:
        response.headers.set("x-variant", str(facts.flag("checkout").variant))
'''
FLAGS = """
flags:
  flags:
    checkout:
      state: ENABLED
      variants: {on: true, off: false}
      defaultVariant: off
      targeting: {if: [{in: [{var: targetingKey}, [ann]]}, on]}
    half: {state: ENABLED, variants: {a: 1, b: 2}, defaultVariant: a, targeting: {fractional: [[a, 1], [b, 1]]}}
    theme: {state: ENABLED, variants: {dark: {ground: black}}, defaultVariant: dark}
    gone: {state: DISABLED, variants: {on: true, off: false}, defaultVariant: off}
    broken: {state: ENABLED, variants: {on: true}, defaultVariant: on, targeting: {cat: [n, one]}}
flag_settings: {key_from: [{header: x-user}, generate]}
"""
ROUTES = """
filters: [{plugin: {use: "asking:Asking"}}]
routes:
  - {match: {flags: {checkout: on}}, respond: {status: 299}}
  - {respond: {status: 298}}
"""


@pytest.fixture
async def proxy(sluice: Factory, tmp_path: Path) -> Any:
    """A proxy whose plug-in answers below /flag/, and tells of `checkout` with every response."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "asking.py").write_text(ASKING)
    return await sluice(f"plugins: {{path: {folder}}}\n{FLAGS}{ROUTES}")


async def ask(proxy: Any, path: str, head: str = "X-User: bob\r\n") -> Any:
    return await proxy.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\n{head}\r\n".encode())


async def test_plugin_is_told_what_a_flag_came_to(proxy: Any) -> None:
    expected = {
        "checkout": ["off", False, "DEFAULT"],
        "theme": ["dark", {"ground": "black", "spoilt": True}, "STATIC"],
        "gone": [None, None, "DISABLED"],
        "broken": [None, None, "ERROR"],
    }
    found = {key: json.loads((await ask(proxy, f"/flag/{key}")).body) for key in [*expected, *expected]}
    assert found == expected
    unknown = await ask(proxy, "/flag/nope")
    assert (unknown.status, unknown.one(b"x-sluice-reason")) == (500, b"plugin_failed")


async def test_plugin_is_told_what_routes_go_by(proxy: Any) -> None:
    for user, status, variant in (("ann", 299, b"on"), ("bob", 298, b"off")):
        found = await ask(proxy, "/", f"X-User: {user}\r\n")
        assert (found.status, found.one(b"x-variant")) == (status, variant)


async def test_who_has_no_key_is_given_the_one_that_the_plugin_was_told_by(proxy: Any) -> None:
    first = await ask(proxy, "/flag/half", "")
    cookie = first.one(b"set-cookie").decode().partition(";")[0]
    assert cookie.startswith("sluice_id=")
    for _ in range(3):
        again = await ask(proxy, "/flag/half", f"Cookie: {cookie}\r\n")
        assert (again.body, again.one(b"set-cookie")) == (first.body, None)


async def test_what_a_plugin_was_told_counts_for_the_outcome(proxy: Any) -> None:
    for user in ("ann", "bob", "bob"):
        await ask(proxy, "/flag/checkout", f"X-User: {user}\r\n")
    request = b"GET /v1/flags/checkout/outcome HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"
    found = json.loads((await exchange(proxy.admin_port, request)).partition(b"\r\n\r\n")[2])
    assert {each["variant"]: each["requests"] for each in found["variants"]} == {"on": {"2xx": 1}, "off": {"2xx": 2}}


async def test_plugin_without_flags_is_told_so(sluice: Factory, tmp_path: Path) -> None:
    (tmp_path / "asking.py").write_text(ASKING)
    proxy = await sluice(f"plugins: {{path: {tmp_path}}}\n{ROUTES.replace('flags: {checkout: on}', 'path: /x')}")
    assert (await ask(proxy, "/flag/checkout")).status == 500
    async with asyncio.timeout(15):
        while "no flags are configured" not in proxy.output:
            await asyncio.sleep(0.01)


LATE = '''
"""Says what a flag came to, of which nothing has asked before."""

from dataclasses import dataclass

from proxy.plugins import Facts, Response


@dataclass
class Late:
    def on_response(self, response: Response, facts: Facts) -> None:
        response.headers.set("x-half", str(facts.flag("half").variant))


@dataclass
class Later:
    async def on_response(self, response: Response, facts: Facts) -> None:
        response.headers.set("x-half", str(facts.flag("half").variant))
'''


@pytest.mark.parametrize("name", ["Late", "Later"])
@pytest.mark.parametrize("path", ["/passed-on", "/answered", "/events"])
async def test_key_made_for_who_asks_at_the_response_is_given_with_it(
    sluice: Factory, origin: Factory, tmp_path: Path, name: str, path: str
) -> None:
    back = await origin(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    (tmp_path / "late.py").write_text(LATE)
    proxy = await sluice(
        f"plugins: {{path: {tmp_path}}}\n{FLAGS}"
        f"services: {{app: {{pools: {{only: {{endpoints: ['{back.address}']}}}}}}}}\n"
        f"filters: [{{plugin: {{use: 'late:{name}'}}}}]\nroutes:\n"
        "  - {match: {path: /passed-on}, service: app}\n  - {match: {path: /answered}, respond: {status: 200}}\n"
        "  - {match: {path: '/ofrep/*'}, respond: {ofrep: {}}}\n"
    )
    asked = path if path != "/events" else "/ofrep/v1/events"
    head = f"GET {asked} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    first = await head_of(proxy.port, f"{head}\r\n")
    (cookie,) = re.findall(r"(?mi)^set-cookie: (sluice_id=[\w-]{22});", first)
    again = await head_of(proxy.port, f"{head}Cookie: {cookie}\r\n\r\n")
    assert "set-cookie" not in again.lower()
    assert re.findall("(?mi)^x-half: .", again) == re.findall("(?mi)^x-half: .", first) != []


async def head_of(port: int, request: str) -> str:
    """The head of an answer whose body may have no end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    found = await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    return found.decode()
