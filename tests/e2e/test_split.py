"""The split, the canary header and the sticky cookie, end to end."""

import math
from collections import Counter
from collections.abc import Awaitable, Callable
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest

Factory = Callable[..., Awaitable[Any]]

POOLS = ("blue", "green", "canary")


@pytest.fixture
def shop(sluice: Factory, origin: Factory) -> Factory:
    """A factory of a proxy before three coloured pools: await shop(split, keys of the service)."""

    async def start(split: str, service: str = "") -> Any:
        backs = {pool: await origin(answer=_coloured(pool)) for pool in POOLS}
        pools = "".join(f"      {pool}: {{endpoints: ['{back.address}']}}\n" for pool, back in backs.items())
        proxy = await sluice(
            f"services:\n  shop:\n    pools:\n{pools}    split: {split}\n    {service}\n"
            "cookie_keys: [0123456789abcdef0123456789abcdef]\n"
            "routes:\n"
            "  - {match: {headers: {x-canary: true}}, service: shop, pool: canary}\n"
            "  - {service: shop}\n"
        )
        return proxy, backs

    return start


def _coloured(pool: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nX-Colour: {pool}\r\nContent-Length: 0\r\n\r\n".encode()


async def _colours(proxy: Any, count: int, field: bytes = b"") -> Counter[str]:
    client = await proxy.connect()
    seen: Counter[str] = Counter()
    for _ in range(count):
        response = await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % field)
        seen[response.one(b"x-colour").decode()] += 1
    await client.close()
    return seen


def _assert_shares(seen: Counter[str], shares: dict[str, float]) -> None:
    """Each count within 5 sigma of its share: one run in a million is wrong by chance."""
    total = seen.total()
    for pool, share in shares.items():
        assert abs(seen[pool] - total * share) <= 5 * math.sqrt(total * share * (1 - share)), (pool, seen)


@pytest.mark.parametrize("service", ["balance: round_robin", "sticky: {cookie: s, ttl: 1h}"])
async def test_shares_are_those_of_the_split(shop: Factory, service: str) -> None:
    proxy, _ = await shop("{blue: 62.5, green: 25, canary: 12.5}", service)
    _assert_shares(await _colours(proxy, 2000), {"blue": 0.625, "green": 0.25, "canary": 0.125})


async def test_pool_without_weight_gets_nothing_but_what_a_route_sends(shop: Factory) -> None:
    proxy, _ = await shop("{blue: 1, canary: 0}")
    assert await _colours(proxy, 50) == {"blue": 50}
    assert await _colours(proxy, 50, b"X-Canary: true\r\n") == {"canary": 50}


async def test_route_that_names_a_pool_leaves_the_cookie_alone(shop: Factory) -> None:
    proxy, backs = await shop("{blue: 100}", "sticky: {cookie: s}")
    response = await proxy.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX-Canary: true\r\n\r\n")
    assert (response.one(b"x-colour"), response.all(b"set-cookie")) == (b"canary", [])
    assert len(backs["canary"].requests) == 1


async def test_client_with_a_cookie_jar_stays_where_it_was(shop: Factory) -> None:
    proxy, backs = await shop("{blue: 50, green: 50}", "sticky: {cookie: s, ttl: 1h}")
    homes = set()
    for _ in range(20):
        async with httpx.AsyncClient(base_url=proxy.url, trust_env=False) as client:
            colours = {(await client.get("/")).headers["x-colour"] for _ in range(5)}
            assert len(colours) == 1
            homes |= colours
    assert homes == {"blue", "green"}
    assert not any(request.all(b"cookie") for back in backs.values() for request in back.requests)


async def test_sticky_cookie_is_set_once_and_kept_from_scripts_and_caches(shop: Factory) -> None:
    proxy, _ = await shop("{blue: 50, green: 50}", "sticky: {cookie: s, ttl: 1h}")
    first = await proxy.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    morsel = SimpleCookie(first.one(b"set-cookie").decode())["s"]
    assert (morsel["httponly"], morsel["samesite"], morsel["path"], morsel["max-age"]) == (
        True,
        "Lax",
        "/",
        "3600",
    )
    assert not morsel["secure"]
    assert b"private" in first.one(b"cache-control")
    again = await proxy.ask(b"GET / HTTP/1.1\r\nHost: a\r\nCookie: s=%b\r\n\r\n" % morsel.value.encode())
    assert (again.all(b"set-cookie"), again.one(b"x-colour")) == ([], first.one(b"x-colour"))


@pytest.mark.parametrize("value", [b"forged.value", b"", b"=", b'"', b"a" * 4000, b"\xff\xfe", b"..", b"1.2.3.4.5"])
async def test_forged_cookie_is_ignored_and_replaced(shop: Factory, value: bytes) -> None:
    proxy, backs = await shop("{blue: 100}", "sticky: {cookie: s}")
    head = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: mine=1; s=%b; other=2\r\n\r\n"
    response = await proxy.ask(head % value)
    assert response.status == 200
    assert response.one(b"set-cookie").startswith(b"s=")
    assert backs["blue"].requests[0].one(b"cookie") == b"mine=1; other=2"


async def test_user_key_keeps_a_user_without_a_cookie_of_ours(shop: Factory) -> None:
    proxy, _ = await shop("{blue: 50, green: 50}", "sticky: {key: {header: x-user-id}}")
    homes = [await _colours(proxy, 5, b"X-User-Id: user-%d\r\n" % user) for user in range(30)]
    assert all(len(home) == 1 for home in homes)
    assert {pool for home in homes for pool in home} == {"blue", "green"}
