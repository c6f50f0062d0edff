"""The plug-ins under config/plugins, each before real origins."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

EXAMPLES = Path(__file__).parents[2] / "config/plugins"

CONFIG = """\
plugins: {{path: {path}}}
services:
  shop:
    pools:
      blue: {{endpoints: [{blue}]}}
      canary: {{endpoints: [{canary}]}}
    split: {{blue: 100}}
filters:
  - plugin: {plugin}
routes:
  - match: {{headers: {{x-tier: beta}}}}
    service: shop
    pool: canary
  - service: shop
"""
OF_SERVICE = CONFIG.replace("filters:\n  - plugin: {plugin}\n", "").replace(
    "    split: {{blue: 100}}\n", "    split: {{blue: 100}}\n    filters: [{{plugin: {plugin}}}]\n"
)


def get(path: str = "/", fields: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()


def says(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/x-test\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.fixture
def shop(sluice: Factory, origin: Factory) -> Factory:
    """A factory of a proxy with one plug-in: await shop(plugin, template) -> (proxy, blue, canary)."""

    async def start(plugin: str, template: str = CONFIG) -> tuple[Any, Any, Any]:
        blue, canary = await origin(answer=says(b"blue")), await origin(answer=says(b"canary"))
        text = template.format(path=EXAMPLES, plugin=plugin, blue=blue.address, canary=canary.address)
        return await sluice(text), blue, canary

    return start


async def test_by_header_gives_each_value_its_pool(shop: Factory) -> None:
    options = "{header: x-user, pools: [blue, canary]}"
    proxy, _, _ = await shop(f'{{use: "by_header:ByHeader", options: {options}}}', OF_SERVICE)
    client = await proxy.connect()
    users = {n: [(await client.ask(get(fields=f"X-User: {n}\r\n"))).body for _ in range(3)] for n in range(20)}
    assert all(len(set(seen)) == 1 for seen in users.values())
    assert {seen[0] for seen in users.values()} == {b"blue", b"canary"}
    assert {(await client.ask(get())).body for _ in range(10)} == {b"blue"}
    await client.close()


async def test_timing_tells_how_long_it_took(shop: Factory) -> None:
    proxy, _, _ = await shop('{use: "timing:Timing"}', OF_SERVICE)
    name, _, duration = (await proxy.ask(get())).one(b"server-timing").partition(b";dur=")
    assert name == b"blue"
    assert float(duration) >= 0


async def test_timing_leaves_the_answer_of_a_filter_before_it_alone(shop: Factory) -> None:
    both = OF_SERVICE.replace("filters: [", "filters: [{{maintenance: {{}}}}, ")
    proxy, _, _ = await shop('{use: "timing:Timing"}', both)
    answer = await proxy.ask(get())
    assert (answer.status, answer.one(b"x-sluice-reason")) == (503, b"maintenance")


async def test_small_cache_asks_once_and_answers_everybody(shop: Factory) -> None:
    proxy, blue, _ = await shop('{use: "small_cache:SmallCache", options: {service: shop, paths: [/page]}}')
    client = await proxy.connect()
    answers = [await client.ask(get("/page")) for _ in range(5)]
    assert {(answer.status, answer.one(b"content-type"), answer.body) for answer in answers} == {
        (200, b"text/x-test", b"blue")
    }
    assert blue.received.count(b"GET /page ") == 1
    await client.ask(get("/other"))
    await client.ask(get("/other"))
    assert blue.received.count(b"GET /other ") == 2
    await client.close()


async def test_ask_first_sends_beta_users_to_the_canary(sluice: Factory, origin: Factory) -> None:
    async def tell(reader: Any, writer: Any) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(says(b"beta" if b"x-user: ann" in head else b"no"))

    blue, canary, tiers = await origin(answer=says(b"blue")), await origin(answer=says(b"canary")), None
    tiers = await origin(serve=tell)
    plugin = '{use: "ask_first:AskFirst", options: {service: tiers}}'
    text = CONFIG.format(path=EXAMPLES, plugin=plugin, blue=blue.address, canary=canary.address)
    proxy = await sluice(
        text.replace("services:\n", f"services:\n  tiers: {{pools: {{all: {{endpoints: ['{tiers.address}']}}}}}}\n")
    )
    client = await proxy.connect()
    for fields, body in (
        ("Cookie: user=ann\r\n", b"canary"),
        ("Cookie: user=ann\r\n", b"canary"),
        ("Cookie: user=bob\r\n", b"blue"),
        ("", b"blue"),
        ("X-Tier: beta\r\n", b"blue"),
    ):
        assert (await client.ask(get(fields=fields))).body == body
    await tiers.stop()
    assert (await client.ask(get(fields="Cookie: user=eve\r\n"))).body == b"blue"
    await client.close()


async def test_block_list_refuses_who_is_on_it(shop: Factory, tmp_path: Path) -> None:
    listed = tmp_path / "blocked"
    listed.write_text("# nobody from here\n10.0.0.0/8\n127.0.0.0/8\n2001:db8::/32\n")
    proxy, blue, _ = await shop(f'{{use: "block_list:BlockList", options: {{file: {listed}}}}}')
    refused = await proxy.ask(get())
    assert (refused.status, refused.body) == (403, b"not from there\n")
    assert not blue.requests
