"""Backups: they take over when nothing else is usable, without a failed request, and give everything back."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from live import Load

Factory = Callable[..., Awaitable[Any]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PROBED = "health: {path: /healthz, interval: 100ms, timeout: 1s, passes: 1, fails: 1}"


def named(name: bytes) -> bytes:
    """The answer of an origin that says its name."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name)


def config(primaries: list[Any], backup: Any, service: str, workers: int = 1) -> str:
    """A service of one pool, the last endpoint of which is a backup."""
    endpoints = ", ".join([*(each.address for each in primaries), f"{{address: '{backup.address}', backup: true}}"])
    return (
        f"workers: {workers}\nservices:\n  shop:\n    pools: {{blue: {{endpoints: [{endpoints}]}}}}\n    {service}\n"
        "routes: [{service: shop}]\n"
    )


async def names(proxy: Any, count: int = 12) -> Counter[str]:
    """Who has answered so many requests on new connections; every one with 200."""
    answers = [await proxy.ask(GET) for _ in range(count)]
    assert {each.status for each in answers} == {200}
    return Counter(each.body.decode() for each in answers)


async def until_names(proxy: Any, wanted: set[str]) -> None:
    """Until exactly these answer."""
    async with asyncio.timeout(20):
        while set(await names(proxy)) != wanted:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("workers", [1, 2])
async def test_backup_takes_over_and_gives_back_without_a_failed_request(
    sluice: Factory, origin: Factory, workers: int
) -> None:
    primaries = [await origin(answer=named(name)) for name in (b"one", b"two")]
    backup = await origin(answer=named(b"backup"))
    # Who comes back between two probes was never down, and stays ejected until its time is over.
    service = f"retry: {{retries: 2}}\n    ejection: {{base: 1s}}\n    {PROBED}"
    proxy = await sluice(config(primaries, backup, service, workers))
    load = Load(proxy)
    clients = [asyncio.create_task(load.run()) for _ in range(4)]
    await until_names(proxy, {"one", "two"})
    assert {each.start for each in backup.requests} <= {b"GET /healthz HTTP/1.1"}  # probed, and nothing else
    await primaries[0].stop()
    await until_names(proxy, {"two"})
    await primaries[1].stop()
    await until_names(proxy, {"backup"})
    await load.more(50)
    again = [await origin(port=each.port, answer=each.answer) for each in primaries]
    await until_names(proxy, {"one", "two"})
    before = [each.start for each in backup.requests].count(b"GET / HTTP/1.1")
    assert set(await names(proxy, 30)) == {"one", "two"}
    await load.more(50)
    load.goes_on = False
    await asyncio.gather(*clients)
    assert [each.start for each in backup.requests].count(b"GET / HTTP/1.1") == before
    assert load.failures == []
    assert all(len(each.requests) > 0 for each in again)


async def test_backup_takes_over_by_ejection_alone(sluice: Factory, origin: Factory, api: Callable[..., Any]) -> None:
    primary, backup = await origin(answer=named(b"one")), await origin(answer=named(b"backup"))
    service = "ejection: {consecutive_errors: 3, base: 2s}\n    retry: {retries: 1, budget: 0%}"
    proxy = await sluice(config([primary], backup, service))
    assert set(await names(proxy)) == {"one"}
    await primary.stop()
    assert set(await names(proxy)) == {"backup"}  # by a second attempt at first, which is no matter of the budget
    view = await api(proxy).until(
        "/v1/services/shop", lambda view: view["pools"]["blue"]["endpoints"][0]["state"] == "ejected"
    )
    assert [each["backup"] for each in view["pools"]["blue"]["endpoints"]] == [False, True]
    await origin(port=primary.port, answer=primary.answer)
    await until_names(proxy, {"one"})


async def test_pool_whose_backup_is_usable_does_not_spill(
    sluice: Factory, origin: Factory, api: Callable[..., Any]
) -> None:
    primary, backup, other = [await origin(answer=named(name)) for name in (b"one", b"backup", b"green")]
    text = config([primary], backup, f"split: {{blue: 100, green: 0}}\n    {PROBED}")
    text = text.replace("pools: {blue:", f"pools: {{green: {{endpoints: [{other.address}]}}, blue:")
    proxy = await sluice(text.replace("{blue: 100, green: 0}", "{blue: 99, green: 1}"))
    await api(proxy)("POST", "/v1/services/shop/flip", {"to": "blue"})
    drain = f"/v1/services/shop/pools/blue/endpoints/{primary.address}/drain"
    assert (await api(proxy)("POST", drain)).status == 200
    assert set(await names(proxy)) == {"backup"}
    metrics = (await api(proxy)("GET", "/metrics")).body
    assert 'sluice_spilled_total{pool="blue",service="shop"} 0.0' in metrics


async def test_address_that_is_no_backup_by_one_of_its_names_is_none(
    sluice: Factory, origin: Factory, api: Callable[..., Any]
) -> None:
    back = await origin(answer=named(b"one"))
    endpoints = f"[{{address: 'localhost:{back.port}', backup: true}}, '{back.address}']"
    proxy = await sluice(
        f"services:\n  shop:\n    pools: {{blue: {{endpoints: {endpoints}}}}}\nroutes: [{{service: shop}}]\n"
    )
    assert set(await names(proxy)) == {"one"}
    view = await api(proxy).service()
    shown = {each["address"]: each["backup"] for each in view["pools"]["blue"]["endpoints"]}
    assert shown[back.address] is False
