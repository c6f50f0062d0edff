"""A flood of evaluation requests that make no sense, on both listeners: ordinary traffic does not notice."""

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]
PATH = "/ofrep/v1/evaluate/flags"
FLOODERS, ROUNDS, CLIENTS = 6, 6, 4

CONFIG = """
workers: 1
flags:
  flags:
    checkout:
      state: ENABLED
      variants: {on: true, off: false}
      defaultVariant: off
      targeting: {if: [{in: [{var: region}, [eu]]}, on]}
flag_settings: {key_from: [{header: x-user-id}], public: [checkout]}
routes:
  - {match: {path: "/ofrep/*"}, respond: {ofrep: {}}}
  - {match: {flags: {checkout: on}}, respond: {status: 500}}
  - {respond: {body: ordinary}}
"""


def _deep(opening: bytes, closing: bytes, times: int = 10_000) -> bytes:
    return b'{"context":{"a":' + opening * times + b"1" + closing * times + b"}}"


JSON = "Content-Type: application/json\r\n"
MALFORMED = {
    "lists 10,000 deep": _deep(b"[", b"]"),
    "lists 10,000 deep without an end": _deep(b"[", b""),
    "maps 10,000 deep": _deep(b'{"":', b"}"),
    "lists one level too deep": _deep(b"[", b"]", 64),
    "a context 10,000 deep": b'{"context":' * 5_900,
    "nothing but openings": b"[" * 65_536,
    "half a body": b'{"context":{"targetingKey":',
    "no JSON": b"targetingKey=ann",
    "no UTF-8": b'{"context":{"targetingKey":"\xff\xfe"}}',
    "half a character": b'{"context":{"targetingKey":"\xc3"}}',
    "half an escape": rb'{"context":{"targetingKey":"\ud800"}}',
    "not a number": b'{"context":{"n":NaN}}',
    "too large a number": b'{"context":{"n":' + b"9" * 60_000 + b"e999999}}",
    "a list": b'[{"context":{}}]',
    "a context that is none": b'{"context":[]}',
    "zeros": b"\0" * 65_536,
    "two bodies": b'{"context":{}}{"context":{}}',
}


@pytest.mark.parametrize("listener", ["traffic", "admin"])
async def test_flood_of_malformed_requests_costs_ordinary_ones_nothing(
    sluice: Factory, connect: Factory, listener: str
) -> None:
    proxy = await sluice(CONFIG)
    worker = proxy.worker
    port = proxy.port if listener == "traffic" else proxy.admin_port
    flood = asyncio.gather(*[_flood(await connect(port)) for _ in range(FLOODERS)])
    ordinary = asyncio.gather(*(_ask_on(proxy, flood) for _ in range(CLIENTS)))
    refused = list(itertools.chain(*await flood))
    answered = await ordinary
    assert len(refused) == FLOODERS * ROUNDS * len(MALFORMED)
    assert [each for each in refused if each[1:] != (400, True)] == []
    assert min(answered) > ROUNDS
    assert proxy.worker == worker
    client = await connect(proxy.admin_port)
    status = await client.ask(b"GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await client.close()
    assert status.status == 200
    assert "Traceback" not in proxy.output


async def _flood(client: Any) -> list[tuple[str, int, bool]]:
    """What each of them is answered with, and whether the protocol's words are in it."""
    found = []
    for turn in range(ROUNDS):
        path = PATH if turn % 2 else f"{PATH}/checkout"
        for name, body in MALFORMED.items():
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{JSON}Content-Length: {len(body)}\r\n\r\n"
            answer = await client.ask(head.encode() + body)
            words = rb'"errorCode":"(PARSE_ERROR|INVALID_CONTEXT)","errorDetails":"[^"]{5,300}"'
            found.append((name, answer.status, re.search(words, answer.body) is not None))
    await client.close()
    return found


async def _ask_on(proxy: Any, flood: "asyncio.Future[Any]") -> int:
    """Ask on one connection for as long as the flood lasts; how often it was answered, each time as it should be."""
    client = await proxy.connect()
    asked = 0
    while not flood.done():
        answer = await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX-User-Id: ann\r\n\r\n")
        assert (answer.status, answer.body) == (200, b"ordinary")
        asked += 1
    await client.close()
    return asked
