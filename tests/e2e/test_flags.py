"""Feature flags on the way of a request: routes and pools by flag, conditions, the upstream header, made identities."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.e2e.live import exchange

Factory = Callable[..., Awaitable[Any]]

FLAGS = """
flags:
  flags:
    checkout:
      state: ENABLED
      variants: {on: true, off: false}
      defaultVariant: off
      targeting: {if: [{in: [{var: region}, [eu]]}, on]}
    Dark: {state: DISABLED, variants: {on: true, off: false}, defaultVariant: off}
flag_rules:
  search-v3: {on_for: {users: [ann]}, otherwise: off}
  half: {on_for: {percent: 50}, otherwise: off}
flag_settings:
  key_from: [{cookie: uid}, {header: x-user-id}, generate]
  context: {region: {header: x-region}}
  upstream_header: x-flags
"""


@pytest.fixture
async def fronted(sluice: Factory, origin: Factory) -> Callable[..., Awaitable[Any]]:
    """A proxy before one origin that answers with the head it was sent: await fronted(routes)."""

    async def start(routes: str) -> Any:
        async def serve(reader: Any, writer: Any) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(head) + head)

        server = await origin(serve=serve)
        service = f"services: {{app: {{pools: {{only: {{endpoints: ['{server.address}']}}}}}}}}\n"
        return await sluice(FLAGS + service + routes)

    return start


async def ask(proxy: Any, head: str, method: str = "GET") -> str:
    found = await exchange(proxy.port, f"{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{head}\r\n".encode())
    return found.decode()


def told(answer: str) -> str:
    return next(iter(re.findall(r"(?mi)^x-flags: (.*?)\r$", answer)), "")


ROUTES = """
routes:
  - {match: {flags: {search-v3: on}}, respond: {status: 299, body: search}}
  - {match: {flags: {Dark: [on, off]}}, respond: {status: 298, body: dark}}
  - {match: {when: {and: [{"==": [{var: request.method}, PUT]}, {"==": [{var: region}, eu]}]}}, respond: {status: 297}}
  - {match: {when: {"==": [{var: request.cookies.plan}, pro]}}, respond: {status: 296}}
  - service: app
"""


@pytest.mark.parametrize(
    ("method", "head", "status"),
    [
        ("GET", "X-User-Id: ann\r\n", 299),
        ("GET", "Cookie: uid=ann\r\n", 299),
        ("GET", "Cookie: uid=bob\r\nX-User-Id: ann\r\n", 200),
        ("GET", "X-User-Id: bob\r\n", 200),
        ("PUT", "X-Region: eu\r\nContent-Length: 0\r\n", 297),
        ("PUT", "X-Region: us\r\nContent-Length: 0\r\n", 200),
        ("GET", "X-Region: eu\r\n", 200),
        ("GET", "Cookie: a=1; plan=pro\r\n", 296),
        ("GET", "Cookie: a=1; plan=free\r\n", 200),
    ],
)
async def test_routes_are_chosen_by_flags_and_conditions(fronted: Factory, method: str, head: str, status: int) -> None:
    proxy = await fronted(ROUTES)
    assert (await ask(proxy, head, method)).split()[1] == str(status)


async def test_upstream_is_told_the_outcomes_and_never_by_the_client(fronted: Factory) -> None:
    proxy = await fronted("routes: [{service: app}]")
    found = await ask(proxy, "X-User-Id: bob\r\nX-Region: eu\r\nX-Flags: checkout=off, search-v3=on\r\n")
    assert re.sub("half=o(n|ff);", "half=?;", told(found)) == (
        "checkout=on;r=TARGETING_MATCH, search-v3=off;r=DEFAULT, half=?;r=TARGETING_MATCH"
    )
    assert len(re.findall("(?i)x-flags", found)) == 1


async def test_identity_is_made_once_and_decides_ever_after(fronted: Factory) -> None:
    proxy = await fronted("routes: [{service: app}]")
    first = await ask(proxy, "")
    (cookie,) = re.findall(
        r"(?m)^Set-Cookie: (sluice_id=[\w-]{22}); Max-Age=31536000; Path=/; HttpOnly; SameSite=Lax\r$", first
    )
    again = await ask(proxy, f"Cookie: {cookie}\r\n")
    assert "Set-Cookie" not in again
    assert told(again) == told(first)
    assert cookie in again  # the application may ask with it, too
    forged = await ask(proxy, "Cookie: sluice_id=me\r\n")
    assert "Set-Cookie: sluice_id=" in forged
    drawn = {told(await ask(proxy, "")) for _ in range(40)}
    assert {"half=on" in each for each in drawn} == {True, False}


async def test_flags_of_a_file_are_taken_anew_when_it_changes(sluice: Factory, tmp_path: Any) -> None:
    file = tmp_path / "flags.json"
    text = '{"flags": {"f": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "%s"}}}'
    file.write_text(text % "off")
    proxy = await sluice(
        f"flags: {{file: {file}}}\n"
        "routes: [{match: {flags: {f: on}}, respond: {status: 299}}, {respond: {status: 298}}]\n"
    )
    assert (await ask(proxy, "")).split()[1] == "298"
    file.write_text(text % "on")
    while (await ask(proxy, "")).split()[1] != "299":
        assert proxy.process.returncode is None


async def test_identity_comes_with_replies_of_our_own(sluice: Factory) -> None:
    """Who is sent elsewhere, answered or refused by a flag is not drawn again by the next request."""
    proxy = await sluice(
        f"{FLAGS}services: {{app: {{pools: {{only: {{endpoints: ['127.0.0.1:1']}}}}}}}}\n"
        "routes:\n"
        '  - {match: {flags: {half: on}, path: "/sent"}, redirect: {path: /on}}\n'
        '  - {match: {flags: {half: on}, path: "/answered"}, respond: {status: 299}}\n'
        '  - {match: {path: "/refused"}, service: app}\n'
        "  - {respond: {status: 298}}\n"
    )
    for path in ("/sent", "/answered", "/refused"):
        request = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        first = (await exchange(proxy.port, f"{request}\r\n".encode())).decode()
        (cookie,) = re.findall(r"(?m)^Set-Cookie: (sluice_id=[\w-]{22});", first)
        for _ in range(3):
            again = (await exchange(proxy.port, f"{request}Cookie: {cookie}\r\n\r\n".encode())).decode()
            assert (again.split()[1], "Set-Cookie" in again) == (first.split()[1], False)


async def test_upstream_is_told_by_no_client_behind_a_body_either(sluice: Factory, origin: Factory) -> None:
    server = await origin()
    proxy = await sluice(
        f"{FLAGS}services: {{app: {{pools: {{only: {{endpoints: ['{server.address}']}}}}}}}}\n"
        "routes: [{service: app}]\n"
    )
    head = b"POST / HTTP/1.1\r\nHost: a\r\nX-User-Id: bob\r\nTransfer-Encoding: chunked\r\n\r\n"
    end = b"0\r\nX-Flags: search-v3=on\r\nX-Sum: 1\r\n\r\n"
    client = await proxy.connect()
    await client.ask(head + b"1\r\na\r\n" + end)
    await client.send(head + b"1\r\na\r\n")
    await server.until(lambda: server.received.count(b"POST / ") == 2)
    await client.ask(end)
    await client.close()
    assert [each.trailers for each in server.requests] == [((b"X-Sum", b"1"),)] * 2
    assert b"search-v3=on" not in server.received
