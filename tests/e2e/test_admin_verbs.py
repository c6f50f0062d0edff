"""Every verb of the admin against a running proxy, and what GET shows afterwards."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]
S = "/v1/services/shop"


@pytest.fixture
def shop(sluice: Factory, origin: Factory, api: Callable[..., Any]) -> Factory:
    """A factory of a proxy before two pools: await shop(keys of the service, more YAML) -> (Sluice, Api, origins)."""

    async def start(service: str = "", more: str = "", **options: Any) -> tuple[Any, Any, dict[str, Any]]:
        backs = {name: await origin(**options) for name in ("one", "two", "canary")}
        proxy = await sluice(
            "services:\n  shop:\n    pools:\n"
            f"      blue: {{endpoints: ['{backs['one'].address}', '{backs['two'].address}']}}\n"
            f"      canary: {{endpoints: ['{backs['canary'].address}']}}\n"
            f"    split: {{blue: 90, canary: 10}}\n    {service}\nroutes: [{{service: shop}}]\n{more}\n"
        )
        return proxy, api(proxy), backs

    return start


async def test_split_flip_undo_and_reset(shop: Factory) -> None:
    _, api, _ = await shop()
    first = await api.service()
    assert (first["name"], first["split"], first["split_from"]) == ("shop", {"blue": 90, "canary": 10}, "file")
    rows: list[tuple[str, str, Any, dict[str, float], str]] = [
        ("PUT", "/split", {"blue": 3, "canary": 1}, {"blue": 75, "canary": 25}, "override"),
        ("PUT", "/split?sessions=move&force", {"blue": 2.5, "canary": 7.5}, {"blue": 25, "canary": 75}, "override"),
        ("POST", "/undo", None, {"blue": 75, "canary": 25}, "override"),
        ("POST", "/undo", {}, {"blue": 25, "canary": 75}, "override"),
        ("POST", "/flip", {"to": "canary", "sessions": "move"}, {"blue": 0, "canary": 100}, "override"),
        ("PUT", "/split", {"canary": 100}, {"blue": 0, "canary": 100}, "override"),
        ("PUT", "/split", {"blue": 19, "canary": 1}, {"blue": 95, "canary": 5}, "override"),
        ("PUT", "/split", {"blue": 9, "canary": 1}, {"blue": 90, "canary": 10}, "file"),
        ("POST", "/flip", {"to": "blue"}, {"blue": 100, "canary": 0}, "override"),
        ("DELETE", "/split", None, {"blue": 90, "canary": 10}, "file"),
    ]  # fmt: skip
    for method, path, body, split, origin in rows:
        said = await api(method, S + path, body)
        assert (said.status, said.body["split"], said.body["split_from"]) == (200, split, origin), (path, said.body)
        assert said.body == await api.service()
        assert said.headers["ETag"] == (await api("GET", S)).headers["ETag"]
        assert {name: pool["weight"] for name, pool in said.body["pools"].items()} == split


async def test_every_service_is_listed(shop: Factory) -> None:
    _, api, _ = await shop()
    said = await api("GET", "/v1/services")
    assert said.body == [await api.service()]


async def test_change_is_in_force_when_it_is_answered(shop: Factory) -> None:
    proxy, api, backs = await shop(more="workers: 2")
    for pool, others in (("canary", ("one", "two")), ("blue", ("canary",))):
        await api("POST", f"{S}/flip", {"to": pool})
        before = [len(backs[name].requests) for name in others]
        for _ in range(12):
            await proxy.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [len(backs[name].requests) for name in others] == before


async def test_if_match_lets_only_the_first_of_two_through(shop: Factory) -> None:
    _, api, _ = await shop()
    etag = (await api("GET", S)).headers["ETag"]
    change = {"blue": 1, "canary": 1}
    both = await asyncio.gather(*(api("PUT", f"{S}/split", {**change, "blue": n}, If_Match=etag) for n in (1, 2)))
    assert sorted(each.status for each in both) == [200, 412]
    new = (await api("GET", S)).headers["ETag"]
    assert new != etag
    for field, status in ((etag, 412), ('"x"', 412), (f"W/{new}", 412), (f'"x", {new}', 200), ("*", 200)):
        assert (await api("POST", f"{S}/pools/canary/restore", If_Match=field)).status == status, field
    assert (await api("POST", f"{S}/persist", If_Match=etag)).status == 412
    assert (await api("POST", f"{S}/pools/blue/endpoints", {"address": "10.0.0.1:1"}, If_Match=etag)).status == 412


async def test_backup_is_added_shown_and_taken_back(shop: Factory) -> None:
    _, api, backs = await shop()
    path = f"{S}/pools/canary/endpoints"

    def shown(said: Any) -> list[tuple[str, float, bool]]:
        return [(each["address"], each["weight"], each["backup"]) for each in said["pools"]["canary"]["endpoints"]]

    canary = (backs["canary"].address, 1, False)
    assert shown(await api.service()) == [canary]
    said = await api("POST", path, {"address": "127.0.0.1:9", "backup": True})
    assert shown(said.body) == [canary, ("127.0.0.1:9", 1, True)]
    said = await api("POST", path, {"address": "127.0.0.1:9", "weight": 2})  # says nothing of it
    assert shown(said.body) == [canary, ("127.0.0.1:9", 2, True)]
    (override,) = (await api("GET", "/v1/config/diff")).body["overrides"]
    assert (override["value"], override["backup"], override["file"]) == (2, True, None)
    config = (await api("GET", "/v1/config")).body
    assert config["services"]["shop"]["pools"]["canary"]["endpoints"][1]["backup"] is True
    for method, where, body in (
        ("DELETE", f"{path}/{canary[0]}", None),
        ("POST", path, {"address": canary[0], "backup": True}),
    ):
        refused = await api(method, where, body)
        assert refused.status == 409
        assert "only backups in pool canary" in refused.body["detail"]
    said = await api("POST", path, {"address": "127.0.0.1:9", "weight": 2, "backup": False})
    assert shown(said.body) == [canary, ("127.0.0.1:9", 2, False)]
    assert (await api("POST", path, {"address": "127.0.0.1:9", "backup": "yes"})).status == 400
    assert (await api("POST", path, {"address": canary[0], "backup": True})).status == 200
    said = await api("POST", path, {"address": canary[0], "backup": False})
    assert shown(said.body)[0] == canary
    assert [each["address"] for each in (await api("GET", "/v1/config/diff")).body["overrides"]] == ["127.0.0.1:9"]


async def test_usable_backup_lets_the_last_other_be_drained(shop: Factory) -> None:
    _, api, backs = await shop()
    await api("PUT", f"{S}/split", {"canary": 100})
    drain = f"{S}/pools/canary/endpoints/{backs['canary'].address}/drain"
    assert (await api("POST", drain)).status == 409
    await api("POST", f"{S}/pools/canary/endpoints", {"address": backs["one"].address, "backup": True})
    assert (await api("POST", drain)).status == 200
    proxy = await api.service()
    assert [each["state"] for each in proxy["pools"]["canary"]["endpoints"]][1] == "up"


async def test_endpoints_come_and_go(shop: Factory) -> None:
    _, api, backs = await shop()
    path = f"{S}/pools/blue/endpoints"
    said = await api("POST", path, {"address": "Shop.Internal.:8080", "weight": 2.5})
    added = [each for each in said.body["pools"]["blue"]["endpoints"] if each["weight"] == 2.5]
    assert [each["address"] for each in added] == ["shop.internal:8080"]
    said = await api("POST", path, {"address": "shop.internal:8080", "weight": 3})
    assert [each["weight"] for each in said.body["pools"]["blue"]["endpoints"]] == [1, 1, 3]
    assert (await api("POST", path, {"address": "unix:/run/a b.sock"})).status == 200
    assert (await api("POST", path, {"address": "[0:0::1]:80"})).status == 200
    for address in ("unix:%2Frun%2Fa%20b.sock", "%5B%3A%3A1%5D%3A80", "Shop.Internal:8080"):
        assert (await api("DELETE", f"{path}/{address}")).status == 200, address
    assert len((await api.service())["pools"]["blue"]["endpoints"]) == 2
    assert (await api("DELETE", f"{path}/{backs['one'].address}")).status == 200
    last = await api("DELETE", f"{path}/{backs['two'].address}")
    assert (last.status, last.headers["Content-Type"]) == (409, "application/problem+json")


async def test_nowhere_usable_is_refused_unless_forced(shop: Factory) -> None:
    _, api, _ = await shop()
    assert (await api("POST", f"{S}/pools/canary/drain")).status == 200
    refused = [
        ("POST", f"{S}/pools/blue/drain", None),
        ("POST", f"{S}/flip", {"to": "canary"}),
        ("PUT", f"{S}/split", {"canary": 100}),
    ]
    for method, path, body in refused:
        said = await api(method, path, body)
        assert said.status == 409
        assert "with force" in said.body["detail"]
        assert (await api(method, f"{path}?force=false", body)).status == 409
    assert (await api("POST", f"{S}/flip?force", {"to": "canary"})).body["split"]["canary"] == 100


async def test_config_is_in_the_words_of_the_yaml_with_what_was_overridden(shop: Factory) -> None:
    _, api, backs = await shop("retry: {retries: 3}", "filters: [{request_headers: {set: {x-a: '1'}}}]")
    await api("PUT", f"{S}/split", {"blue": 1, "canary": 1})
    await api("POST", f"{S}/pools/canary/endpoints", {"address": "10.0.0.1:80"})
    said = (await api("GET", "/v1/config")).body
    shop_ = said["services"]["shop"]
    assert shop_["split"] == {"blue": 50, "canary": 50}
    assert [each["address"] for each in shop_["pools"]["canary"]["endpoints"]] == [
        backs["canary"].address,
        "10.0.0.1:80",
    ]
    assert (shop_["retry"]["retries"], shop_["timeouts"]["response"], shop_["sticky"]) == (3, "1m", "off")
    assert said["filters"] == [{"request_headers": {"set": {"x-a": "1"}}}]
    diff = (await api("GET", "/v1/config/diff")).body["overrides"]
    assert [(each["field"], each["file"], each["value"], each["pool"], each["address"]) for each in diff] == [
        ("split", {"blue": 90, "canary": 10}, {"blue": 50, "canary": 50}, None, None),
        ("endpoint", None, 1, "canary", "10.0.0.1:80"),
    ]
    assert (await api("GET", "/v1/status")).body["overrides"] == diff


async def test_secrets_are_never_told(guarded: Any) -> None:
    for path in ("/v1/config", "/v1/config/diff", "/v1/events", "/v1/status", "/openapi.json"):
        said = str((await guarded.api("GET", path)).body)
        for secret in ("the-first-token", "a-ci-token", "a-viewer-token", "0123456789abcdef", str(guarded.origin_port)):
            assert secret not in said, path
    config = (await guarded.api("GET", "/v1/config")).body
    assert config["admin"]["token"] == "***"
    assert [each["value"] for each in config["admin"]["tokens"]] == ["***"] * 3
    assert config["services"]["shop"]["pools"]["green"]["endpoints"] == [
        {"address": "***", "weight": 1.0, "backup": False}
    ]
    assert config["cookie_keys"] == ["***"]


async def test_check_tells_of_the_file_and_of_a_text(shop: Factory) -> None:
    proxy, api, _ = await shop()
    assert (await api("POST", "/v1/config/check")).body == {"valid": True, "problems": [], "warnings": []}
    posted = await api("POST", "/v1/config/check", {"yaml": "listeners: []\nroutes: [{service: a}]"})
    assert not posted.body["valid"]
    assert any("there is no service 'a'" in each for each in posted.body["problems"])
    good = proxy.config.read_text()
    assert (await api("POST", "/v1/config/check", {"yaml": good})).body["valid"]
    proxy.config.write_text(good.replace("canary: 10", "canary: ten"))
    assert not (await api("POST", "/v1/config/check")).body["valid"]
    assert (await api.service())["split"]["canary"] == 10


async def test_reload_takes_a_good_file_and_refuses_a_bad_one(shop: Factory) -> None:
    proxy, api, _ = await shop()
    good = proxy.config.read_text()
    proxy.config.write_text(good.replace("blue: 90, canary: 10", "blue: 80, canary: 20"))
    said = await api("POST", "/v1/reload?reason=new%20split")
    assert said.status == 200
    assert (await api.service())["split"] == {"blue": 80, "canary": 20}
    proxy.config.write_text(good.replace("canary: 10", "canary: ten"))
    said = await api("POST", "/v1/reload")
    assert said.status == 422
    assert "'ten' is not a part of a split" in said.body["problems"][0]
    status = await api.until("/v1/status", lambda found: found["reloads"]["rejected"])
    assert status["problems"] == said.body["problems"]
    assert (await api.service())["split"] == {"blue": 80, "canary": 20}


async def test_status_tells_of_workers_and_traffic(shop: Factory) -> None:
    proxy, api, _ = await shop(more="workers: 2")
    for _ in range(3):
        await proxy.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    found = (await api("GET", "/v1/status")).body
    assert {"version", "build", "generation", "workers", "uptime", "reloads", "problems", "overrides"} <= set(found)
    assert [(each["state"], each["generation"]) for each in found["workers"]] == [("ready", 1)] * 2
    assert sum(each["requests"] for each in found["traffic"]["pools"]) == 3
    assert found["problems"] == []


async def test_restart_is_asked_for_by_name_and_loses_nothing(shop: Factory) -> None:
    proxy, api, _ = await shop()
    before = {each["pid"] for each in (await api("GET", "/v1/status")).body["workers"]}
    said = await api("POST", "/v1/restart?reason=new%20code")
    assert (said.status, said.body) == (200, {})

    async def replaced() -> bool:
        found = await api("GET", "/v1/status")
        return not before & {each["pid"] for each in found.body["workers"] if each["state"] == "ready"}

    async with asyncio.timeout(30):
        while not await replaced():
            assert (await proxy.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
    kinds = [(each["kind"], each["reason"]) for each in (await api("GET", "/v1/events")).body]
    assert ("restart_asked", "new code") in kinds


# -- what the view tells of running exchanges and tunnels


class Holding:
    """An origin that answers when it is told to, and takes upgrades."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.waiting = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"upgrade: websocket" in head.lower():
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
                await reader.read()
                return
            self.waiting += 1
            await self.open.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"  # noqa: E501 - one request


def _running(view: Any, pool: str) -> tuple[int, int]:
    endpoints = view["pools"][pool]["endpoints"]
    return sum(each["in_flight"] for each in endpoints), sum(each["tunnels"] for each in endpoints)


async def _busy(shop: Factory, count: int, **options: Any) -> tuple[Any, Any, Holding, list[Any]]:
    """A proxy of two workers with that many requests on the canary."""
    holding = Holding()
    proxy, api, backs = await shop(more="workers: 2", serve=holding, **options)
    await api("POST", f"{S}/flip", {"to": "canary"})
    clients = [await proxy.connect() for _ in range(count)]
    for client in clients:
        await client.send(REQUEST)
    await api.until(S, lambda view: _running(view, "canary") == (count, 0))
    return api, backs, holding, clients


async def test_view_sums_over_workers_and_a_drain_ends_when_nothing_runs(shop: Factory) -> None:
    api, _, holding, clients = await _busy(shop, 8)
    await api("POST", f"{S}/flip", {"to": "blue"})
    said = (await api("POST", f"{S}/pools/canary/drain", {"deadline": "1h"})).body
    assert said["pools"]["canary"]["state"] == "draining"
    assert {each["state"] for each in said["pools"]["canary"]["endpoints"]} == {"draining"}
    assert _running(said, "canary") == (8, 0)
    holding.open.set()
    assert [(await client.response()).status for client in clients] == [200] * 8
    view = await api.until(S, lambda view: view["pools"]["canary"]["state"] == "drained")
    assert [each["state"] for each in view["pools"]["canary"]["endpoints"]] == ["drained"]
    said = (await api("POST", f"{S}/pools/canary/restore")).body
    assert (said["pools"]["canary"]["state"], said["pools"]["canary"]["endpoints"][0]["state"]) == ("active", "up")
    for client in clients:
        await client.close()


async def test_drained_endpoint_leaves_its_pool_active(shop: Factory) -> None:
    api, backs, holding, clients = await _busy(shop, 2)
    address = backs["canary"].address
    await api("POST", f"{S}/pools/canary/endpoints", {"address": "127.0.0.1:9"})
    said = (await api("POST", f"{S}/pools/canary/endpoints/{address.replace(':', '%3A')}/drain")).body
    assert said["pools"]["canary"]["state"] == "active"
    assert [each["state"] for each in said["pools"]["canary"]["endpoints"]] == ["draining", "up"]
    holding.open.set()
    await api.until(S, lambda view: view["pools"]["canary"]["endpoints"][0]["state"] == "drained")
    for client in clients:
        await client.close()


async def test_removed_endpoint_is_visible_until_it_is_empty(shop: Factory) -> None:
    api, backs, holding, clients = await _busy(shop, 3)
    address = backs["canary"].address
    await api("POST", f"{S}/pools/canary/endpoints", {"address": "127.0.0.1:9"})
    said = (await api("DELETE", f"{S}/pools/canary/endpoints/{address}")).body
    shown = {each["address"]: (each["state"], each["in_flight"]) for each in said["pools"]["canary"]["endpoints"]}
    assert shown == {"127.0.0.1:9": ("up", 0), address: ("removed", 3)}
    holding.open.set()
    view = await api.until(S, lambda view: len(view["pools"]["canary"]["endpoints"]) == 1)
    assert view["pools"]["canary"]["endpoints"][0]["address"] == "127.0.0.1:9"
    for client in clients:
        await client.close()


async def test_drain_without_patience_counts_what_it_has_cut(shop: Factory) -> None:
    holding = Holding()
    proxy, api, _ = await shop(serve=holding)
    await api("POST", f"{S}/flip", {"to": "canary"})
    clients = [await proxy.connect() for _ in range(3)]
    for client, request in zip(clients, (UPGRADE, REQUEST, REQUEST), strict=True):
        await client.send(request)
    await api.until(S, lambda view: _running(view, "canary") == (2, 1))
    path = f"{S}/pools/canary/drain?force"
    assert (await api("POST", path, {"deadline": 0})).body["cut"] == {"tunnels": 1, "exchanges": 0}
    assert (await api("POST", path, {"deadline": "0s", "cut": True})).body["cut"] == {"tunnels": 0, "exchanges": 2}
    assert "cut" not in await api.service()
    for client in clients:
        await client.close()


async def test_worker_that_does_not_answer_is_named(shop: Factory) -> None:
    proxy, api, _ = await shop()
    worker = proxy.worker
    os.kill(worker, signal.SIGSTOP)
    try:
        said = await api("PUT", f"{S}/split", {"blue": 1, "canary": 1})
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGCONT)
    assert said.status == 200
    assert said.body["warnings"] == [f"worker {worker} did not answer in time, and is being replaced"]
