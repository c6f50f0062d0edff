"""Header values that are made for each request, on a running proxy."""

from collections.abc import Awaitable, Callable
from typing import Any

Factory = Callable[..., Awaitable[Any]]

FILTERS = """
filters:
  - request_headers:
      set: {x-client: "{client.ip}", x-user: "{request.cookie.uid}", x-pool: "{route}/{service}/{pool}"}
      add: {x-raw: "{{pool}}"}
  - response_headers:
      set: {x-served-by: "{service}/{pool}", x-asked: '{"by": "{request.method}", "for": "{request.path}"}'}
"""


async def test_headers_tell_client_and_pool(sluice: Factory, origin: Factory) -> None:
    back = await origin()
    proxy = await sluice(
        f"""{FILTERS}
services:
  app:
    pools: {{blue: {{endpoints: ['{back.address}']}}, green: {{endpoints: ['{back.address}']}}}}
    split: {{blue: 1, green: 0}}
routes:
  - {{match: {{path: /green}}, service: app, pool: green}}
  - {{name: gone, match: {{path: /gone}}, respond: {{status: 410}}}}
  - {{name: all, service: app}}
"""
    )
    client = await proxy.connect()
    answer = await client.ask(b"GET /a HTTP/1.1\r\nHost: a\r\nCookie: uid=7\r\nX-Pool: forged\r\n\r\n")
    seen = back.requests[-1]
    assert (seen.one(b"x-client"), seen.one(b"x-user")) == (b"127.0.0.1", b"7")
    assert (seen.one(b"x-pool"), seen.one(b"x-raw")) == (b"all/app/blue", b"{pool}")
    assert answer.one(b"x-served-by") == b"app/blue"
    assert answer.one(b"x-asked") == b'{"by": "GET", "for": "/a"}'
    other = await client.ask(b"GET /green HTTP/1.1\r\nHost: a\r\nX-User: forged\r\n\r\n")
    assert other.one(b"x-served-by") == b"app/green"
    assert back.requests[-1].one(b"x-user") is None  # who has no cookie has no such field, whatever they say
    assert back.requests[-1].one(b"x-pool") == b"/app/green"
    gone = await client.ask(b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (gone.status, gone.one(b"x-served-by")) == (410, b"/")
    await client.close()
