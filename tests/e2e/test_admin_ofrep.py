"""OFREP on the admin's listener: all flags, by the context that the caller sends, behind the admin's guard."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from proxy.admin.events import MOST_STREAMS
from tests.e2e.conftest import Shared

PATH = "/ofrep/v1/evaluate/flags"
EVENTS = "/ofrep/v1/events"

EXTRA = """
admin:
  bind: 127.0.0.1:ADMIN
  token: an-admin-token
  tokens:
    - {name: viewer, value: a-viewer-token, can: [read]}
    - {name: blind, value: a-blind-token, can: [change]}
flags:
  flags:
    checkout:
      state: ENABLED
      variants: {on: true, off: false}
      defaultVariant: off
      targeting: {if: [{and: [{in: [{var: region}, [eu]]}, {"==": [{var: plan}, pro]}]}, on]}
    counted: {state: ENABLED, variants: {x: 1, y: 2}, defaultVariant: x}
flag_settings:
  key_from: [{header: x-user-id}]
  public: [counted]
  context: {region: {header: x-region}, plan: {value: pro}}
routes: [{match: {path: "/ofrep/*"}, respond: {ofrep: {}}}, {respond: {}}]
"""


@pytest.fixture
async def asked(
    start_sluice: Callable[..., Awaitable[Any]],
    free_port: Callable[[], int],
    api: Callable[..., Any],
    shared: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Awaitable[Any]]:
    """The admin of a proxy that tests here share: they leave it as it was."""
    found = shared.get("admin_ofrep")
    if found is None or found.sluice.process.poll() is not None:
        text = EXTRA.replace("ADMIN", str(free_port()))
        found = shared["admin_ofrep"] = Shared(await start_sluice(tmp_path_factory.mktemp("ofrep"), text), 0)
    return api(found.sluice, "an-admin-token")


async def _stream(api: Any, path: str = EVENTS, **headers: str) -> tuple[int, Any]:
    """The status, and the first two events, or the words of what went wrong; with no token but what is given."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    timeout = aiohttp.ClientTimeout(15)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"http://127.0.0.1:{api.port}{path}", headers=given) as response,
    ):
        if response.status != 200:
            return response.status, json.loads(await response.read())
        assert response.headers["Content-Type"] == "text/event-stream"
        return 200, await _event(response)


async def _event(response: aiohttp.ClientResponse) -> str:
    """The id of the next event."""
    line = ""
    while not line.startswith("id: "):
        line = (await response.content.readline()).decode()
    assert await response.content.readline() == b"event: message\n"
    data = (await response.content.readline()).decode().removeprefix("data: ")
    tag = line.removeprefix("id: ").strip()
    assert json.loads(data) == {"type": "refetchEvaluation", "etag": f'"{tag}"'}
    return tag


async def test_flags_are_evaluated_by_the_callers_context(asked: Any) -> None:
    context = {"context": {"targetingKey": "ann", "region": "eu", "plan": "free"}}
    found = await asked("POST", f"{PATH}/checkout", context, X_Region="us")
    assert (found.status, found.body["variant"], found.body["value"]) == (200, "on", True)
    every = await asked("POST", f"{PATH}?flagConfigEtag=%22x%22&flagConfigLastModified=1", context)
    assert [flag["value"] for flag in every.body["flags"]] == [True, 1]
    again = await asked("POST", PATH, context, If_None_Match=every.headers["ETag"])
    assert (again.status, again.body) == (304, "")
    killed = await asked("POST", "/v1/flags/checkout/kill")
    assert killed.status == 200
    after = await asked("POST", PATH, context, If_None_Match=every.headers["ETag"])
    assert (after.status, after.body["flags"][0]["reason"]) == (200, "DISABLED")
    assert (await asked("DELETE", "/v1/flags/checkout/override")).status == 200
    cleared = await asked("POST", PATH, context, If_None_Match=every.headers["ETag"])
    assert cleared.status == 304


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "code"),
    [
        (f"{PATH}/gone", {}, {}, 404, "FLAG_NOT_FOUND"),
        (f"{PATH}/a/b", {}, {}, 404, "FLAG_NOT_FOUND"),
        (f"{PATH}/checkout", b"{", {}, 400, "PARSE_ERROR"),
        (f"{PATH}/checkout", {"context": 3}, {}, 400, "INVALID_CONTEXT"),
        (f"{PATH}/checkout", b'{"context":' * 5_000, {}, 400, "PARSE_ERROR"),
        (f"{PATH}/checkout", b" " * 70_000, {}, 413, "GENERAL"),
        (f"{PATH}/checkout", {}, {"Authorization": "Bearer no"}, 401, "GENERAL"),
        (f"{PATH}/checkout", {}, {"Origin": "https://evil.example"}, 403, "GENERAL"),
        (f"{PATH}?nothing=1", {}, {}, 400, "GENERAL"),
    ],
)
async def test_errors_are_in_the_protocols_words(
    asked: Any, path: str, body: Any, headers: dict[str, str], status: int, code: str
) -> None:
    found = await asked("POST", path, body, **headers)
    assert (found.status, found.headers["Content-Type"]) == (status, "application/json")
    assert found.body["errorCode"] == code
    assert found.body["errorDetails"]


async def test_other_methods_do_not_exist(asked: Any) -> None:
    found = await asked("GET", PATH)
    assert (found.status, found.headers["Allow"], "errorDetails" in found.body) == (405, "POST", True)


# -- streams


async def test_stream_tells_of_every_change_when_it_can_be_asked_for(asked: Any) -> None:
    told = (await asked("POST", PATH, {})).body["eventStreams"]
    uri = told[0]["endpoint"]["requestUri"]
    assert (len(told), told[0]["type"]) == (1, "sse")
    assert re.fullmatch(rf"{EVENTS}\?since=[0-9a-f]{{64}}&ticket=[0-9]+\.[\w-]{{22}}", uri)
    url = f"http://127.0.0.1:{asked.port}{uri}"
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(15)) as session,
        session.get(url) as response,
        session.get(url, headers={"Last-Event-ID": "of-long-ago"}) as late,
    ):
        first = uri.partition("since=")[2].partition("&")[0]
        assert await _event(late) == first
        seen = []
        for method, path, body in (
            ("POST", "checkout/kill", None),
            ("PUT", "counted/override", {"variant": "y"}),
            ("DELETE", "checkout/override", None),
            ("DELETE", "counted/override", None),
        ):
            assert (await asked(method, f"/v1/flags/{path}", body)).status == 200
            seen.append(await _event(response))
            assert seen[-1] == await _event(late)
            known = (await asked("POST", PATH, {})).body["eventStreams"][0]["endpoint"]["requestUri"]
            assert f"since={seen[-1]}&" in known
        assert len(set(seen)) == 4
        assert seen[-1] == first  # as it was


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer an-admin-token"}, 200),
        ({"X_API_Key": "an-admin-token"}, 200),
        ({"X_API_Key": "a-viewer-token"}, 200),
        ({"X_API_Key": "a-blind-token"}, 403),
        ({"X_API_Key": "an-admin-toke"}, 401),
        ({"X_API_Key": "an-admin-token", "Authorization": "Bearer wrong"}, 401),
        ({"X_API_Key": "an-admin-token", "Origin": "https://evil.example"}, 403),
        ({"X_API_Key": "an-admin-token", "Sec_Fetch_Site": "cross-site"}, 403),
        ({"X_API_Key": "an-admin-token", "Host": "evil.example"}, 403),
    ],
)
async def test_guard_is_that_of_the_admin(asked: Any, head: dict[str, str], status: int) -> None:
    assert (await _stream(asked, f"{EVENTS}?since=x", **head))[0] == status
    found = await type(asked)(asked.port)("POST", PATH, {}, **head)
    assert found.status == status
    if status != 200:
        assert found.body["errorDetails"]


async def test_other_operations_take_neither_api_key_nor_ticket(asked: Any) -> None:
    anybody = type(asked)(asked.port)
    uri = (await asked("POST", PATH, {})).body["eventStreams"][0]["endpoint"]["requestUri"]
    ticket = uri.partition("&")[2]
    assert (await anybody("GET", "/v1/flags", X_API_Key="an-admin-token")).status == 401
    assert (await anybody("GET", f"/v1/flags?{ticket}")).status == 401
    assert (await anybody("POST", f"{PATH}?{ticket}", {})).status == 401
    assert (await _stream(asked, f"{EVENTS}?since=x&{ticket}"))[0] == 200
    assert (await _stream(asked, f"{EVENTS}?since=x&{ticket[:-1]}"))[0] == 401
    of_viewer = (await anybody("POST", PATH, {}, X_API_Key="a-viewer-token")).body["eventStreams"]
    its = of_viewer[0]["endpoint"]["requestUri"].partition("&")[2]
    assert its != ticket
    assert (await _stream(asked, f"{EVENTS}?since=x&{its}", Origin="https://evil.example"))[0] == 403


async def test_head_of_a_stream_ends(asked: Any) -> None:
    found = await asyncio.wait_for(asked("HEAD", EVENTS), 15)
    assert (found.status, found.headers["Content-Type"]) == (200, "text/event-stream")


async def test_streams_are_bounded_and_those_that_went_leave_their_place(asked: Any) -> None:
    url, headers = f"http://127.0.0.1:{asked.port}{EVENTS}", {"X-API-Key": "an-admin-token"}

    async def opened(session: aiohttp.ClientSession) -> aiohttp.ClientResponse:
        """A stream, once there is a place for it."""
        while (response := await session.get(url, headers=headers)).status == 503:
            response.close()
            await asyncio.sleep(0.02)
        return response

    connector = aiohttp.TCPConnector(limit=0)
    async with (
        asyncio.timeout(15),
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(15)) as session,
    ):
        streams = [await opened(session) for _ in range(MOST_STREAMS)]
        assert {response.status for response in streams} == {200}
        async with session.get(url, headers=headers) as refused:
            said = await refused.json()
            assert (refused.status, refused.headers["Retry-After"], "errorDetails" in said) == (503, "10", True)
        streams[0].close()
        streams.append(await opened(session))
        assert streams[-1].status == 200
        for response in streams:
            response.close()


# -- what is counted


async def test_answers_of_both_listeners_are_counted(asked: Any, shared: dict[str, Any]) -> None:
    async def told() -> int:
        outcome = (await asked("GET", "/v1/flags/counted/outcome")).body
        return sum(each["evaluations"] for each in outcome["variants"] if each["variant"] == "x")

    before = await told()
    listener = type(asked)(shared["admin_ofrep"].sluice.port)
    for api in (asked, listener):
        for path in (f"{PATH}/counted", PATH):
            assert (await api("POST", path, {})).status == 200
    assert await told() == before + 4
    assert re.search(
        r'sluice_flag_evaluations_total{flag="counted",variant="x"} ', (await asked("GET", "/metrics")).body
    )
