"""Flags for clients that ask, on a listener of traffic: what OFREP answers, to whom, and from which context."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.e2e.conftest import Shared
from tests.e2e.live import exchange

Factory = Callable[..., Awaitable[Any]]
PATH = "/ofrep/v1/evaluate/flags"

CONFIG = """
flags:
  flags:
    checkout:
      state: ENABLED
      variants: {on: true, off: false}
      defaultVariant: off
      targeting: {if: [{in: [{var: region}, [eu]]}, on]}
    half:
      state: ENABLED
      variants: {a: 1, b: 2}
      defaultVariant: a
      targeting: {fractional: [[a, 50], [b, 50]]}
    dark: {state: DISABLED, variants: {on: true, off: false}, defaultVariant: off}
    secret: {state: ENABLED, variants: {x: s3, y: t4}, defaultVariant: x}
    broken: {state: ENABLED, variants: {x: 1}, defaultVariant: x, targeting: {"var": kind}}
flag_settings:
  key_from: [{header: x-user-id}, generate]
  context: {region: {header: x-region}, plan: {value: pro}}
  public: [checkout, half, dark, broken]
routes:
  - {match: {path: "/_flags/*"}, respond: {ofrep: {token: a-long-token}}}
  - {match: {path: "/ofrep/*"}, respond: {ofrep: {origins: ["https://app.example.com"]}}}
  - {match: {flags: {half: a}}, respond: {status: 291}}
  - {match: {flags: {half: b}}, respond: {status: 292}}
"""


@pytest.fixture
async def proxy(start_sluice: Factory, shared: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One that all tests here share: none of them changes it."""
    found = shared.get("ofrep")
    if found is None or found.sluice.process.poll() is not None:
        found = shared["ofrep"] = Shared(await start_sluice(tmp_path_factory.mktemp("ofrep"), CONFIG), 0)
    return found.sluice


class Answer:
    """An answer, taken apart."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        self.head = head.decode()
        self.status = int(self.head.split()[1])

    def field(self, name: str) -> str | None:
        found = re.findall(rf"(?mi)^{name}: (.*?)\r?$", self.head)
        assert len(found) <= 1
        return found[0] if found else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(proxy: Any, path: str = PATH, context: Any = None, head: str = "", method: str = "POST") -> Answer:
    body = context if isinstance(context, bytes) else json.dumps({"context": context or {}}).encode()
    start = f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{head}Content-Length: {len(body)}\r\n\r\n"
    return Answer(await exchange(proxy.port, start.encode() + body))


async def test_single_flag_is_evaluated_in_what_the_edge_knows_over_the_body(proxy: Any) -> None:
    found = await ask(proxy, f"{PATH}/checkout", {"targetingKey": "u", "region": "eu"})
    assert (found.status, found.field("content-type")) == (200, "application/json")
    assert found.json == {
        "key": "checkout", "reason": "TARGETING_MATCH", "variant": "on", "value": True, "metadata": {}
    }  # fmt: skip
    told = await ask(proxy, f"{PATH}/checkout", {"targetingKey": "u", "region": "eu"}, "X-Region: us\r\n")
    assert told.json["reason"] == "DEFAULT"
    dark = await ask(proxy, f"{PATH}/dark")
    assert dark.json == {"key": "dark", "reason": "DISABLED", "variant": "", "metadata": {}}


@pytest.mark.parametrize(
    ("path", "body", "method", "status", "part"),
    [
        (f"{PATH}/gone", b"{}", "POST", 404, b'"errorCode":"FLAG_NOT_FOUND"'),
        (f"{PATH}/secret", b"{}", "POST", 404, b'"errorCode":"FLAG_NOT_FOUND"'),
        (f"{PATH}/a/b", b"{}", "POST", 404, b'"key":"a/b"'),
        (f"{PATH}/../admin", b"{}", "POST", 404, b'"errorDetails":'),
        (f"{PATH}/checkout", b"{", "POST", 400, b'"errorCode":"PARSE_ERROR"'),
        (f"{PATH}/checkout", b"[]", "POST", 400, b'"errorCode":"INVALID_CONTEXT"'),
        (f"{PATH}/checkout", b'{"context":' * 10_000, "POST", 413, b'"errorDetails":'),
        (f"{PATH}/checkout", b'{"context":{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}}", "POST", 400, b"errorDetails"),
        (f"{PATH}/broken", b'{"context":{"kind":"none"}}', "POST", 400, b'"errorCode":"GENERAL"'),
        (f"{PATH}/checkout", b"", "GET", 405, b'"errorDetails":"ask by POST"'),
        ("/ofrep/v1/other", b"{}", "POST", 404, b'"errorDetails":'),
        (f"{PATH}/checkout", b"", "POST", 200, b'"variant":"off"'),
        (f"{PATH}/", b"{}", "POST", 200, b'"flags":['),
    ],
)
async def test_request_is_answered_as_the_protocol_has_it(
    proxy: Any, path: str, body: bytes, method: str, status: int, part: bytes
) -> None:
    found = await ask(proxy, path, body, method=method)
    assert (found.status, part in found.body) == (status, True), found.body
    assert found.field("content-type") == "application/json"
    assert found.field("allow") == ("POST" if status == 405 else None)


async def test_answer_is_that_of_the_route(proxy: Any) -> None:
    seen = set()
    for number in range(20):
        user = f"X-User-Id: user-{number}\r\n"
        route = Answer(
            await exchange(proxy.port, f"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{user}\r\n".encode())
        )
        served = await ask(proxy, f"{PATH}/half", {"targetingKey": "another"}, user)
        assert served.json["variant"] == {291: "a", 292: "b"}[route.status]
        seen.add(route.status)
    assert seen == {291, 292}


async def test_key_is_made_only_for_who_has_none(proxy: Any) -> None:
    own = await ask(proxy, f"{PATH}/half", {"targetingKey": "user-1"})
    assert own.field("set-cookie") is None
    assert own.json == (await ask(proxy, f"{PATH}/half", {}, "X-User-Id: user-1\r\n")).json
    made = await ask(proxy, PATH)
    cookie = (made.field("set-cookie") or "").partition(";")[0]
    assert re.fullmatch(r"sluice_id=[\w-]{22}", cookie)
    again = await ask(proxy, PATH, {}, f"Cookie: {cookie}\r\n")
    assert (again.field("set-cookie"), again.field("etag"), again.json) == (None, made.field("etag"), made.json)


async def test_all_flags_are_asked_for_at_once_and_not_again_while_nothing_changes(proxy: Any) -> None:
    first = await ask(proxy, PATH, {"targetingKey": "u"})
    assert [flag["key"] for flag in first.json["flags"]] == ["checkout", "half", "dark", "broken"]
    tag = first.field("etag")
    same = await ask(proxy, PATH, {"targetingKey": "u"}, f"If-None-Match: W/{tag}\r\n")
    assert (same.status, same.body, same.field("etag"), same.field("content-length")) == (304, b"", tag, None)
    other = await ask(proxy, PATH, {"targetingKey": "u", "region": "eu"}, f"If-None-Match: {tag}\r\n")
    assert other.status == 200


@pytest.mark.parametrize(
    ("head", "status", "sees_all"),
    [
        ("", 200, False),
        ("Authorization: Bearer a-long-token\r\n", 200, True),
        ("authorization: bearer  a-long-token\r\n", 200, True),
        ("X-API-Key: a-long-token\r\n", 200, True),
        ("Authorization: Basic eDp5\r\nX-API-Key: a-long-token\r\n", 200, True),
        ("Authorization: Basic eDp5\r\n", 200, False),
        ("Authorization: Bearer a-long-toke\r\n", 401, False),
        ("Authorization: Bearer \r\n", 401, False),
        ("X-API-Key: b\r\n", 401, False),
    ],
)
async def test_token_shows_all_flags(proxy: Any, head: str, status: int, sees_all: bool) -> None:
    found = await ask(proxy, f"/_flags{PATH}", {}, head)
    assert found.status == status
    if status == 401:
        assert (found.field("www-authenticate"), "errorDetails" in found.json) == ("Bearer", True)
    else:
        assert ("secret" in {flag["key"] for flag in found.json["flags"]}) is sees_all


async def test_pages_of_allowed_origins_may_ask_and_read(proxy: Any) -> None:
    wanted = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n"
    origin = "Origin: https://app.example.com\r\n"
    flight = await ask(proxy, PATH, b"", origin + wanted, "OPTIONS")
    assert (flight.status, flight.field("access-control-allow-origin")) == (204, "https://app.example.com")
    assert "POST" in (flight.field("access-control-allow-methods") or "")
    assert "if-none-match" in (flight.field("access-control-allow-headers") or "")
    for path, status in ((PATH, 200), (f"{PATH}/gone", 404)):
        found = await ask(proxy, path, {}, origin)
        assert (found.status, found.field("access-control-expose-headers")) == (status, "ETag, Retry-After")
        assert (found.field("access-control-allow-origin"), found.field("vary")) == (
            "https://app.example.com",
            "Origin",
        )
    foreign = await ask(proxy, PATH, {}, "Origin: https://evil.example\r\n")
    assert (foreign.field("access-control-allow-origin"), foreign.field("vary")) == (None, "Origin")


async def test_page_of_another_origin_reads_that_it_asks_too_often(sluice: Factory) -> None:
    origin, limit = "https://app.example.com", "rate_limit: {rate: 1/m, burst: 1}"
    filters = f"[{{cors: {{origins: ['{origin}'], expose: [ETag, Retry-After]}}}}, {{{limit}}}]"
    route = f'  - {{match: {{path: "/slow/*"}}, filters: {filters}, respond: {{ofrep: {{}}}}}}\n'
    proxy = await sluice(CONFIG.replace("routes:\n", f"routes:\n{route}"))
    answers = [await ask(proxy, f"/slow{PATH}", {}, f"Origin: {origin}\r\n") for _ in range(2)]
    assert [each.status for each in answers] == [200, 429]
    for each in answers:
        assert each.field("access-control-allow-origin") == origin
        assert each.field("access-control-expose-headers") == "ETag, Retry-After"
    assert re.fullmatch("[0-9]+", answers[1].field("retry-after") or "")


# -- bodies


async def test_body_comes_in_pieces_and_the_connection_goes_on(proxy: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    body = b'{"context":{"region":"eu"}}'
    head = f"POST {PATH}/checkout HTTP/1.1\r\nHost: a\r\n".encode()
    writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body))
    for byte in body:
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(0)
    assert b'"variant":"on"' in await _answer(reader)
    writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1b\r\n" + body[:10])
    await writer.drain()
    writer.write(body[10:] + b"\r\n0\r\nx-trailer: 1\r\n\r\n" + head + b"Content-Length: 2\r\n\r\n{}")
    assert b'"variant":"on"' in await _answer(reader)
    assert b'"variant":"off"' in await _answer(reader)
    writer.write(head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert b'"variant":"on"' in await _answer(reader)
    writer.close()


async def test_body_beyond_the_bound_is_refused_before_it_comes(proxy: Any) -> None:
    head = f"POST {PATH}/checkout HTTP/1.1\r\nHost: a\r\nConnection: close\r\n".encode()
    announced = await exchange(proxy.port, head + b"Expect: 100-continue\r\nContent-Length: 65537\r\n\r\n")
    assert announced.startswith(b"HTTP/1.1 413 ")
    chunks = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    streamed = await exchange(proxy.port, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks * 3)
    assert streamed.startswith(b"HTTP/1.1 413 ")
    assert b'"errorDetails":"the body is larger than 65536 bytes"' in streamed
    whole = await ask(proxy, f"{PATH}/checkout", b"{}".ljust(65_536))
    assert whole.status == 200


async def _answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(15):
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = re.findall(rb"(?i)content-length: (\d+)", head)
        return head + await reader.readexactly(int(length))
