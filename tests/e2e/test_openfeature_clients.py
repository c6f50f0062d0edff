"""OpenFeature's own clients, unmodified: Python, Node and the browser's, the last with server-sent events."""

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openfeature import api as openfeature
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError

from tests.e2e.conftest import Shared

Factory = Callable[..., Awaitable[Any]]
HERE = Path(__file__).parent / "openfeature"

FLAGS = """
flags:
  flags:
    switch: {state: ENABLED, variants: {on: true, off: false}, defaultVariant: on}
    colour: {state: ENABLED, variants: {red: "#f00", green: "#0f0"}, defaultVariant: green}
    count: {state: ENABLED, variants: {few: 3, many: 300}, defaultVariant: few}
    ratio: {state: ENABLED, variants: {whole: 3.0, part: 0.5}, defaultVariant: whole}
    theme: {state: ENABLED, variants: {dark: {ground: black, sizes: [1, 2.5]}}, defaultVariant: dark}
    region:
      state: ENABLED
      variants: {on: true, off: false}
      defaultVariant: off
      targeting: {if: [{in: [{var: region}, [eu]]}, on]}
    half:
      state: ENABLED
      variants: {a: left, b: right, neither: none}
      defaultVariant: neither
      targeting: {fractional: [[a, 50], [b, 50]]}
    dark: {state: DISABLED, variants: {on: true, off: false}, defaultVariant: on}
    without: {state: ENABLED, variants: {on: true, off: false}}
    broken: {state: ENABLED, variants: {on: true, off: false}, defaultVariant: on, targeting: {var: kind}}
    secret: {state: ENABLED, variants: {on: true, off: false}, defaultVariant: on}
"""
CONFIG = f"""{FLAGS}
flag_settings:
  public: [switch, colour, count, ratio, theme, region, half, dark, without, broken]
  code_default: omit
routes:
  - {{match: {{path: "/_flags/*"}}, respond: {{ofrep: {{token: a-long-token}}}}}}
  - {{match: {{path: "/ofrep/*"}}, respond: {{ofrep: {{}}}}}}
"""
EU = {"targetingKey": "ann", "region": "eu"}

# kind, key, the caller's default, context; then value, variant, reason and error as the client tells them
ROWS: list[tuple[str, str, Any, Any, Any, str | None, str, str | None]] = [
    ("Boolean", "switch", False, {}, True, "on", "STATIC", None),
    ("String", "colour", "", {}, "#0f0", "green", "STATIC", None),
    ("Integer", "count", 0, {}, 3, "few", "STATIC", None),
    ("Float", "ratio", 0.1, {}, 3.0, "whole", "STATIC", None),
    ("Object", "theme", {}, {}, {"ground": "black", "sizes": [1, 2.5]}, "dark", "STATIC", None),
    ("Boolean", "region", False, EU, True, "on", "TARGETING_MATCH", None),
    ("Boolean", "region", True, {"targetingKey": "ann"}, False, "off", "DEFAULT", None),
    ("String", "half", "", {"targetingKey": "bob"}, "left", "a", "TARGETING_MATCH", None),
    ("String", "half", "", {}, "none", "neither", "DEFAULT", None),  # nobody to draw for
    ("Boolean", "dark", False, {}, False, "", "DISABLED", None),
    ("Boolean", "without", True, {}, True, "", "DEFAULT", None),
    ("Boolean", "gone", True, {}, True, None, "ERROR", "FLAG_NOT_FOUND"),
    ("Boolean", "secret", False, {}, False, None, "ERROR", "FLAG_NOT_FOUND"),
    ("Boolean", "broken", False, {"kind": "none"}, False, None, "ERROR", "GENERAL"),
    ("String", "count", "x", {}, "x", None, "ERROR", "TYPE_MISMATCH"),
]


@pytest.fixture
async def proxy(start_sluice: Factory, shared: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One that tests share which leave it as it was."""
    found = shared.get("openfeature")
    if found is None or found.sluice.process.poll() is not None:
        found = shared["openfeature"] = Shared(await start_sluice(tmp_path_factory.mktemp("openfeature"), CONFIG), 0)
    return found.sluice


# -- Python


@pytest.fixture
def python() -> Iterator[Callable[..., Any]]:
    """Asks as a program in Python would: python(url, kind, key, default, context, headers)."""

    def ask(url: str, kind: str, key: str, default: Any, context: Any, **headers: str) -> Any:
        openfeature.set_provider(OFREPProvider(url, headers_factory=lambda: headers))
        of = EvaluationContext(
            context.get("targetingKey"), {name: context[name] for name in context if name != "targetingKey"}
        )
        return getattr(openfeature.get_client(), f"get_{kind.lower()}_details")(key, default, of)

    yield ask
    openfeature.clear_providers()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[1]}-{row[6]}")
async def test_python_client_is_answered(proxy: Any, python: Any, row: Any) -> None:
    kind, key, default, context, value, variant, reason, error = row
    found = await asyncio.to_thread(python, proxy.url, kind, key, default, context)
    assert (found.value, found.variant, found.reason, found.error_code) == (value, variant, reason, error)
    assert type(found.value) is type(value)


async def test_python_client_shows_its_token(proxy: Any, python: Any) -> None:
    asked = ("Boolean", "secret", False, {})
    for head in ({"Authorization": "Bearer a-long-token"}, {"X-API-Key": "a-long-token"}):
        assert (await asyncio.to_thread(python, f"{proxy.url}/_flags", *asked, **head)).value is True
    wrong = await asyncio.to_thread(python, f"{proxy.url}/_flags", *asked, Authorization="Bearer no")
    assert (wrong.value, wrong.reason, wrong.error_code) == (False, "ERROR", "GENERAL")


async def test_python_client_waits_where_it_asks_too_often(sluice: Factory) -> None:
    limited = '- {match: {path: "/ofrep/*"}, filters: [{rate_limit: {rate: 1/m, burst: 1}}], respond: {ofrep: {}}}'
    proxy = await sluice(CONFIG.replace('- {match: {path: "/ofrep/*"}, respond: {ofrep: {}}}', limited))
    provider = OFREPProvider(proxy.url)
    first, second = [await asyncio.to_thread(_asked, provider) for _ in range(2)]
    assert first == "True"
    assert re.fullmatch("Rate limited, retry after: [0-9]+", second)


def _asked(provider: OFREPProvider) -> str:
    try:
        return str(provider.resolve_boolean_details("switch", False).value)
    except OpenFeatureError as error:
        return str(error)


# -- JavaScript


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs and all that they need."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.removeprefix("v").partition(".")[0]) < 18:
        pytest.skip(f"node is {version.strip()}, and OpenFeature's clients need 18")
    folder = tmp_path_factory.mktemp("node") / "openfeature"
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("node_modules"))
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot install OpenFeature's clients: {done.stderr.strip().splitlines()[-1:]}")
    return folder


class Program:
    """A running program of Node, which is told and tells lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def told(self) -> Any:
        assert self.process.stdout
        async with asyncio.timeout(30):
            line = await self.process.stdout.readline()
        assert line, "it has ended"
        return json.loads(line)

    async def until(self, name: str) -> list[Any]:
        """What it tells until something of this name, that included."""
        seen = [await self.told()]
        while name not in seen[-1]:
            seen.append(await self.told())
        return seen

    async def tell(self, what: Any) -> Any:
        """What it says to this."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(what).encode() + b"\n")
        return await self.told()

    async def ask(self, kind: str, key: str, default: Any, context: Any = None) -> Any:
        order = {"kind": kind, "key": key, "default": default}
        return await self.tell(order if context is None else {**order, "context": context})


@pytest.fixture
async def node(clients: Path) -> AsyncIterator[Factory]:
    """Starts a program: await node(file, url, headers, …)."""
    running: list[Program] = []

    async def start(file: str, url: str, *arguments: Any) -> Program:
        words = [json.dumps(each) for each in arguments]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec("node", file, url, *words, cwd=clients, stdin=pipe, stdout=pipe)
        running.append(Program(process))
        return running[-1]

    yield start
    for each in running:
        assert each.process.stdin
        each.process.stdin.close()
        async with asyncio.timeout(30):
            assert await each.process.wait() == 0


KINDS = {"Integer": "Number", "Float": "Number"}


async def test_node_client_is_answered(proxy: Any, node: Factory) -> None:
    program = await node("server.mjs", proxy.url, [])
    for kind, key, default, context, value, variant, reason, error in ROWS:
        if value is default and error is None:
            # This release of the client takes no answer without a value; its caller's default applies all the same.
            variant, reason, error = None, "ERROR", "GENERAL"  # noqa: PLW2901
        found = await program.ask(KINDS.get(kind, kind), key, default, context)
        assert found["value"] == value, found
        got = (found.get("variant"), found["reason"], found.get("errorCode"))
        assert got == (variant, reason, error), found


async def test_node_client_is_told_default_variants_where_it_needs_them(sluice: Factory, node: Factory) -> None:
    proxy = await sluice(CONFIG.replace("code_default: omit", "code_default: explicit"))
    program = await node("server.mjs", f"{proxy.url}/_flags", [["X-API-Key", "a-long-token"]])
    dark = await program.ask("Boolean", "dark", False, {})
    assert (dark["value"], dark["variant"], dark["reason"]) == (True, "on", "DISABLED")
    assert (await program.ask("Boolean", "secret", False, {}))["value"] is True


async def test_web_client_is_answered(proxy: Any, node: Factory) -> None:
    program = await node("web.mjs", proxy.url, [], {})
    assert (await program.until("ready"))[0] == {"asked": "", "status": 200}
    for kind, key, default, context, value, variant, reason, error in ROWS:
        await program.tell({"context": context})
        await program.until("context")
        found = await program.ask(KINDS.get(kind, kind), key, default)
        assert found["value"] == value, found
        got = (found.get("variant") or None, found["reason"], found.get("errorCode"))
        assert got == (variant or None, reason, error), found


async def test_web_client_asks_with_its_etag(proxy: Any, node: Factory) -> None:
    program = await node("web.mjs", proxy.url, [], EU)
    await program.until("ready")
    assert await program.tell({"context": EU}) == {"asked": "", "status": 304}
    await program.until("context")
    assert await program.tell({"context": {"targetingKey": "ann", "region": "us"}}) == {"asked": "", "status": 200}
    await program.until("context")
    assert (await program.ask("Boolean", "region", True))["value"] is False


@pytest.mark.parametrize("where", ["listener", "listener with a token", "admin"])
async def test_web_client_sees_a_kill_within_a_second(sluice: Factory, api: Any, node: Factory, where: str) -> None:
    proxy = await sluice(f"workers: 2\n{CONFIG}")
    admin = api(proxy)
    bases = {
        "listener": (proxy.url, []),
        "listener with a token": (f"{proxy.url}/_flags", [["Authorization", "Bearer a-long-token"]]),
        "admin": (f"http://127.0.0.1:{proxy.admin_port}", []),
    }
    program = await node("web.mjs", *bases[where], EU)
    await program.until("ready")
    took = []
    for _ in range(3):
        assert (await program.ask("Boolean", "switch", False))["value"] is True
        assert (await admin("POST", "/v1/flags/switch/kill")).status == 200
        answered = time.monotonic()
        seen = await program.until("changed")
        took.append(time.monotonic() - answered)
        assert seen[-1] == {"changed": ["switch"]}
        (asked,) = [each for each in seen if "asked" in each]
        assert asked["asked"].startswith("?flagConfigEtag=")
        assert (await program.ask("Boolean", "switch", False))["value"] is False
        assert (await admin("DELETE", "/v1/flags/switch/override")).status == 200
        await program.until("changed")
    assert min(took) < 1, took


async def test_web_client_comes_again_after_a_restart(sluice: Factory, api: Any, node: Factory) -> None:
    """Killed while no worker has its stream: it hears of it when it comes again."""
    proxy = await sluice(f"shutdown: {{idle: 0s}}\n{CONFIG}")
    admin = api(proxy)
    program = await node("web.mjs", f"{proxy.url}/_flags", [["X-API-Key", "a-long-token"]], EU)
    await program.until("ready")
    assert (await admin("POST", "/v1/restart")).status == 200
    await program.until("stale")
    assert (await admin("POST", "/v1/flags/switch/kill")).status == 200
    assert (await program.until("changed"))[-1] == {"changed": ["switch"]}
    assert (await program.ask("Boolean", "switch", False))["value"] is False
