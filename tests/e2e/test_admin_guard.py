"""Who may call the admin, from where, and with which requests."""

import asyncio
import contextlib
import re
from typing import Any

import pytest

READ = "/v1/services"
TOKEN = "the-first-token"

TOKENS = [
    (None, "GET", 401),
    ("Bearer wrong", "GET", 401),
    ("Bearer ", "GET", 401),
    ("Bearer the-first-toke", "GET", 401),
    ("Bearer the-first-tokens", "GET", 401),
    ("Basic the-first-token", "GET", 401),
    ("the-first-token", "GET", 401),
    ("Bearer ***", "GET", 401),
    ("Bearer \u00fc\u00e9", "GET", 401),
    ("Bearer the-first-token", "GET", 200),
    ("bearer the-first-token", "GET", 200),
    ("Bearer a-viewer-token", "GET", 200),
    ("Bearer a-ci-token", "GET", 200),
    ("Bearer a-blind-token", "GET", 403),
    ("Bearer a-viewer-token", "POST", 403),
    ("Bearer a-blind-token", "POST", 200),
    ("Bearer a-ci-token", "POST", 200),
    (None, "POST", 401),
]


@pytest.mark.parametrize(("field", "method", "status"), TOKENS)
async def test_token_decides_who_may_do_what(guarded: Any, field: str | None, method: str, status: int) -> None:
    headers = {} if field is None else {"Authorization": field}
    path = READ if method == "GET" else "/v1/reload"
    said = await type(guarded.api)(guarded.api.port)(method, path, **headers)
    assert said.status == status
    assert (said.headers["WWW-Authenticate"] is not None) is (status == 401)
    if status != 200:
        assert said.headers["Content-Type"] == "application/problem+json"
        assert said.body["status"] == status


async def test_two_tokens_are_none(guarded: Any) -> None:
    field = f"Authorization: Bearer {TOKEN}\r\n".encode()
    assert (
        await _raw(
            guarded, b"GET /v1/services HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + field * 2 + b"\r\n"
        )
    )[0] == 401


@pytest.mark.parametrize("path", ["/nope", "/v1", "/v1/services/shop/nope", "/v1/services/shop/split"])
async def test_what_there_is_is_not_told_without_a_token(guarded: Any, path: str) -> None:
    assert (await type(guarded.api)(guarded.api.port)("GET", path)).status == 401


HOSTS = [
    ("localhost", 200),
    ("LOCALHOST:1", 200),
    ("127.0.0.1", 200),
    ("127.0.0.1:9900", 200),
    ("127.9.9.9", 200),
    ("[::1]:9900", 200),
    ("admin.example.com", 200),
    ("Admin.Example.COM.:80", 200),
    ("evil.example.com", 403),
    ("admin.example.com.evil.example", 403),
    ("localhost.evil.example", 403),
    ("192.0.2.1", 403),
    ("0.0.0.0", 403),
    ("[::]", 403),
    ("127.0.0.1.nip.io", 403),
    ("localhost:99999999", 403),
    ("local host", 403),
    ("localhost, evil", 403),
    ("2130706433", 403),
    ("", 403),
]


@pytest.mark.parametrize(("host", "status"), HOSTS)
async def test_host_must_be_one_of_ours(guarded: Any, host: str, status: int) -> None:
    assert (await guarded.api("GET", READ, Host=host)).status == status


SITES = [
    ({"Origin": "http://localhost:9900"}, 200),
    ({"Origin": "https://localhost:9900"}, 200),
    ({"Origin": "http://localhost"}, 403),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": ""}, 403),
    ({"Origin": "http://["}, 403),
    ({"Sec_Fetch_Site": "same-origin"}, 200),
    ({"Sec_Fetch_Site": "none"}, 200),
    ({"Sec_Fetch_Site": "cross-site"}, 403),
    ({"Sec_Fetch_Site": "same-site"}, 403),
    ({"Sec_Fetch_Site": ""}, 403),
    ({"Via": "1.1 sluice"}, 403),
    ({"Via": "1.1 other, 1.0 Sluice"}, 403),
    ({"Via": "1.1 other"}, 200),
]


@pytest.mark.parametrize(("headers", "status"), SITES)
async def test_pages_of_other_sites_and_our_own_listeners_get_nothing(
    guarded: Any, headers: dict[str, str], status: int
) -> None:
    for method, path in (("GET", READ), ("POST", "/v1/reload")):
        assert (await guarded.api(method, path, Host="localhost:9900", **headers)).status == status


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_needs_neither_token_nor_host(guarded: Any, path: str) -> None:
    for head in (
        b"GET %b HTTP/1.0\r\n\r\n",
        b"GET %b?a=1 HTTP/1.1\r\nHost: evil\r\nOrigin: http://evil\r\nConnection: close\r\n\r\n",
    ):
        assert (await _raw(guarded, head % path.encode()))[0] == 200
    assert (await _raw(guarded, b"HEAD %b HTTP/1.0\r\n\r\n" % path.encode()))[1].endswith(b"\r\n\r\n")


AUTHORISED = b"Host: localhost\r\nAuthorization: Bearer the-first-token\r\n"
SHAPES = [
    b"GET /v1/services\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"GET /v1/services\r\n\r\n",
    b"GET /v1/services HTTP/0.9\r\n%b\r\n",
    b"GET /v1/services HTTP/2.0\r\n%b\r\n",
    b"GET /healthz HTTP/2.0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST /v1/reload HTTP/1.0\r\n%bTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET http://evil.example/v1/services HTTP/1.1\r\n%b\r\n",
    b"GET //evil.example/v1/services HTTP/1.1\r\n%b\r\n",
    b"OPTIONS * HTTP/1.1\r\n%b\r\n",
    b"CONNECT evil.example:80 HTTP/1.1\r\n%b\r\n",
    b"GET /v1/services HTTP/1.1\r\n%bHost: localhost\r\n\r\n",
    b"POST /v1/reload HTTP/1.1\r\n%bContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/reload HTTP/1.1\r\n%bContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    b"POST /v1/reload HTTP/1.1\r\n%bUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /v1/reload HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    b"GET /v1/services HTTP/1.1\r\n%bX: a\x00b\r\n\r\n",
    b"GET /v1/services HTTP/1.1\r\n%bX : a\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"hello\r\n\r\n",
]


@pytest.mark.parametrize("data", SHAPES)
async def test_request_of_a_strange_shape_is_refused_and_the_connection_closed(guarded: Any, data: bytes) -> None:
    status, answer = await _raw(guarded, data % AUTHORISED if b"%b" in data else data)
    assert status == 400
    assert len(re.findall(rb"HTTP/1\.[01] [0-9]", answer)) == 1
    assert b"application/problem+json" in answer
    for word in (b"aiohttp", b"Python", b"Traceback", b"evil"):
        assert word not in answer.replace(b"/evil.example", b"")


@pytest.mark.parametrize("path", ["/healthz", "/v1/status", "/nope", "/openapi.json", "/metrics"])
async def test_answers_tell_no_version_and_are_neither_cached_nor_shared(guarded: Any, path: str) -> None:
    said = await guarded.api("GET", path)
    assert said.headers["Cache-Control"] == "no-store"
    assert said.headers["Server"] == "sluice"
    assert not [name for name in said.headers if name.lower().startswith("access-control")]


async def test_preflight_gets_no_permission(guarded: Any) -> None:
    said = await guarded.api("OPTIONS", "/v1/reload", Access_Control_Request_Method="POST")
    assert said.status == 405
    assert said.headers["Allow"] == "POST"


async def test_name_of_the_token_stands_in_the_journal(guarded: Any) -> None:
    ci = type(guarded.api)(guarded.api.port, "a-ci-token")
    last = (await guarded.api("GET", "/v1/events")).body[-1]["id"]
    await ci("PUT", "/v1/services/shop/split?reason=why%20not", {"blue": 80, "canary": 20})
    await guarded.api("DELETE", "/v1/services/shop/split")
    found = (await guarded.api("GET", f"/v1/events?after={last}")).body
    assert [(each["kind"], each["by"], each["reason"]) for each in found] == [
        ("split", "ci", "why not"),
        ("reset", "admin", None),
    ]


# -- the status listener

STATUS = [
    ("GET", "/healthz", 200),
    ("HEAD", "/healthz", 200),
    ("GET", "/readyz", 200),
    ("GET", "/metrics", 200),
    ("GET", "/metrics?name=x", 200),
    ("POST", "/healthz", 404),
    ("GET", "/v1/status", 404),
    ("GET", "/openapi.json", 404),
    ("GET", "/v1/services/shop", 404),
    ("PUT", "/v1/services/shop/split", 404),
    ("GET", "/", 404),
]


@pytest.mark.parametrize(("method", "path", "status"), STATUS)
async def test_status_listener_has_three_urls_for_anybody(guarded: Any, method: str, path: str, status: int) -> None:
    said = await type(guarded.api)(guarded.status_port, TOKEN)(method, path, Host="evil.example")
    assert said.status == status


async def test_connections_are_bounded(guarded: Any) -> None:
    taken = [await asyncio.open_connection("127.0.0.1", guarded.status_port) for _ in range(256)]
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", guarded.status_port)
        taken.append((reader, writer))
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 15) == b""
        assert (await guarded.api("GET", "/healthz")).status == 200
    finally:
        for _, writer in taken:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def test_metrics_on_the_admin_need_a_token(guarded: Any) -> None:
    assert (await type(guarded.api)(guarded.api.port)("GET", "/metrics")).status == 401
    assert (await guarded.api("GET", "/metrics")).headers["Content-Type"].startswith("text/plain; version=0.0.4")


async def _raw(guarded: Any, data: bytes) -> tuple[int, bytes]:
    """The status and all bytes of the answer to these bytes, after which the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", guarded.api.port)
    try:
        writer.write(data)
        answer = await asyncio.wait_for(reader.read(), 15)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return int(answer.split(b" ", 2)[1]), answer
