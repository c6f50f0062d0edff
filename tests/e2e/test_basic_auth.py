"""`basic_auth` on real connections: who comes in, what a reload does, and what a full queue says."""

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import bcrypt

Factory = Callable[..., Awaitable[Any]]


def hashed(password: bytes, cost: int = 4) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


def get(pair: bytes = b"", more: bytes = b"") -> bytes:
    field = b"Authorization: Basic %b\r\n" % b64encode(pair) if pair else b""
    return b"GET / HTTP/1.1\r\nHost: a\r\n%b%b\r\n" % (field, more)


def text(address: str, options: str) -> str:
    return (
        f"services: {{app: {{pools: {{only: {{endpoints: ['{address}']}}}}}}}}\n"
        f"routes:\n  - service: app\n    filters: [{{basic_auth: {options}}}]\n"
    )


async def test_only_who_knows_the_password_comes_in_and_the_upstream_sees_the_name(
    sluice: Factory, origin: Factory, api: Callable[..., Any]
) -> None:
    back = await origin()
    users = f"{{ann: '{hashed(b'right')}'}}"
    proxy = await sluice(text(back.address, f"{{users: {users}, realm: the shop, user_header: x-user}}"))
    client = await proxy.connect()
    for request in (get(), get(b"ann:wrong"), get(b"nobody:right")):
        refused = await client.ask(request)
        assert (refused.status, refused.one(b"x-sluice-reason")) == (401, b"unauthorized")
        assert refused.one(b"www-authenticate") == b'Basic realm="the shop", charset="UTF-8"'
    assert back.requests == []
    for _ in range(3):
        assert (await client.ask(get(b"ann:right", b"X-User: root\r\n"))).status == 200
    assert [(each.one(b"authorization"), each.one(b"x-user")) for each in back.requests] == [(None, b"ann")] * 3
    shown = await api(proxy)("GET", "/v1/config")
    assert shown.status == 200
    assert "basic_auth" in str(shown.body)
    assert "$2b$" not in str(shown.body)
    assert "$2b$" not in proxy.output
    await client.close()


async def test_reload_takes_another_file_and_refuses_a_broken_one(
    sluice: Factory, origin: Factory, api: Callable[..., Any], tmp_path: Path
) -> None:
    back = await origin()
    passwords = tmp_path / "htpasswd"
    passwords.write_text(f"# who may\nann:{hashed(b'right')}\n")
    proxy = await sluice(text(back.address, "{file: htpasswd}"))
    assert (await proxy.ask(get(b"ann:right"))).status == 200
    passwords.write_text("ann:$apr1$abcdefgh$0123456789012345678901\n")
    refused = await api(proxy)("POST", "/v1/reload")
    assert refused.status == 422
    assert "MD5" in str(refused.body)
    assert "$apr1$" not in str(refused.body)
    assert (await proxy.ask(get(b"ann:right"))).status == 200
    passwords.write_text(f"bob:{hashed(b'other')}\n")
    assert (await api(proxy)("POST", "/v1/reload")).status == 200
    assert [(await proxy.ask(get(pair))).status for pair in (b"ann:right", b"bob:other")] == [401, 200]


async def test_too_many_checks_at_once_are_503_and_who_is_known_still_comes_in(
    sluice: Factory, origin: Factory
) -> None:
    back = await origin()
    users = f"{{ann: '{hashed(b'right', 12)}'}}"
    proxy = await sluice(text(back.address, f"{{users: {users}}}"))
    known = await proxy.connect()
    assert (await known.ask(get(b"ann:right"))).status == 200
    clients = [await proxy.connect() for _ in range(80)]
    for number, client in enumerate(clients):
        await client.send(get(b"ann:wrong %d" % number))
    answers = [asyncio.create_task(client.response()) for client in clients]
    done, pending = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED, timeout=15)
    assert [each.result().status for each in done][:1] in ([503], [401])
    while not any(each.result().one(b"x-sluice-reason") == b"auth_busy" for each in done):
        assert pending, "nobody was told that it is busy"
        more, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED, timeout=15)
        done |= more
    assert (await known.ask(get(b"ann:right"))).status == 200  # remembered: nothing to be checked
    for each in pending:
        each.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for client in (*clients, known):
        client.writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await client.close()
