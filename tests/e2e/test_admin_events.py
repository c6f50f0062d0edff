"""The journal as it is followed: every event once, in order, until somebody leaves."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

Factory = Callable[..., Awaitable[Any]]
S = "/v1/services/shop"
TWO_POOLS = """\
services:
  shop:
    pools: {blue: {endpoints: [127.0.0.1:1]}, canary: {endpoints: [127.0.0.1:2]}}
    split: {blue: 90, canary: 10}
routes: [{service: shop}]
"""


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, str, Any]]:
    """Events as (id, kind, data), until the stream ends."""
    found: dict[str, str] = {}
    async for line in response.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name in ("id", "event", "data"):
            found[name] = value
        elif not line.strip() and found:
            yield found["id"], found["event"], json.loads(found["data"])
            found = {}


def _following(api: Any, **headers: str) -> Any:
    return {"url": f"http://127.0.0.1:{api.port}/v1/events", "headers": {"Accept": "text/event-stream", **headers}}


async def test_stream_tells_of_what_comes_and_resumes_where_it_was_left(sluice: Factory, api: Any) -> None:
    admin = api(await sluice(TWO_POOLS))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(15)) as session:
        async with session.get(**_following(admin)) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/event-stream"
            assert response.headers["Cache-Control"] == "no-store"
            stream = _events(response)
            await admin("POST", f"{S}/flip", {"to": "canary"})
            number, kind, data = await anext(stream)
            assert (kind, data["service"], data["after"]) == ("flip", "shop", {"blue": 0, "canary": 100})
            assert int(number) == data["id"]
        await admin("POST", f"{S}/undo")
        await admin("DELETE", f"{S}/split")
        async with session.get(**_following(admin, **{"Last-Event-ID": number})) as response:
            stream = _events(response)
            seen = [await anext(stream) for _ in range(2)]
            assert [kind for _, kind, _ in seen] == ["undo", "reset"]
            assert [int(each) for each, _, _ in seen] == [int(number) + 1, int(number) + 2]
    history = (await admin("GET", f"/v1/events?after={number}")).body
    assert history == [data for _, _, data in seen]
    assert (await admin("GET", "/v1/events?after=999999")).body == []


async def test_stream_ends_with_the_proxy(sluice: Factory, api: Any) -> None:
    proxy = await sluice(TWO_POOLS)
    timeout = aiohttp.ClientTimeout(15)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(**_following(api(proxy))) as response,
    ):
        await response.content.readline()
        assert await proxy.stop() == 0
        assert await response.content.read() == b"\n"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("text/html, Text/Event-Stream;q=0.9", "text/event-stream"),
    ],
)
async def test_accept_chooses_between_list_and_stream(guarded: Any, accept: str, kind: str) -> None:
    url = f"http://127.0.0.1:{guarded.api.port}/v1/events"
    headers = {"Accept": accept, "Authorization": "Bearer a-viewer-token"}
    timeout = aiohttp.ClientTimeout(15)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, headers=headers) as response:
        assert response.headers["Content-Type"] == kind


async def test_streams_are_bounded(guarded: Any) -> None:
    headers = {"Accept": "text/event-stream", "Authorization": "Bearer a-viewer-token"}
    url = f"http://127.0.0.1:{guarded.api.port}/v1/events"
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(15)) as session:
        streams = [await session.get(url, headers=headers) for _ in range(70)]
        assert {response.status for response in streams[:60]} == {200}
        assert streams[-1].status == 503
        for response in streams:
            response.close()
