"""A dark launch: whatever the shadow does, real clients get what they would get without it; the two are compared."""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]
Api = Callable[..., Any]

GET = b"GET /a?b HTTP/1.1\r\nHost: shop.example.com\r\nCookie: c=d\r\nAuthorization: Basic x\r\n\r\n"
BIG = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000
SLOW = "timeouts: {total: 2s}"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def config(blue: str, green: str, mirror: str = "{}", service: str = "", extra: str = "") -> str:
    """A service whose requests to blue are copied to green, unless `mirror` is empty."""
    options = mirror.removeprefix("{").removesuffix("}")
    filters = f"filters: [{{mirror: {{pool: green, {options}}}}}]" if mirror else ""
    return (
        f"{extra}\nservices:\n  shop:\n    pools:\n      blue: {{endpoints: [{blue}]}}\n"
        f"      green: {{endpoints: [{green}]}}\n    split: {{blue: 100}}\n    {service}\n    {filters}\n"
        "routes: [{service: shop}]\n"
    )


async def numbers(api: Api, proxy: Any) -> dict[str, int]:
    """What is counted of copies: `real 2xx`, `shadow 5xx`, and the reasons for which there were none."""
    text = (await api(proxy)("GET", "/metrics")).body
    found = {}
    for labels, count in re.findall(r"^sluice_mirror_(?:requests|skipped)_total{([^}]*)} (\d+)", text, re.MULTILINE):
        told = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        assert (told["service"], told["pool"]) == ("shop", "green")
        name = told["reason"] if "reason" in told else f"{told['side']} {told['code']}"
        if int(float(count)):
            found[name] = int(float(count))
    return found


async def until_numbers(api: Api, proxy: Any, wanted: dict[str, int]) -> None:
    """Until exactly this is counted."""
    async with asyncio.timeout(15):
        while (found := await numbers(api, proxy)) != wanted:
            assert all(found[name] <= wanted.get(name, 0) for name in found), found
            await asyncio.sleep(0.02)


# -- shadows that behave badly


@pytest.fixture
def dead() -> Iterator[str]:
    """An address that refuses every connection."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address that takes connections and reads nothing."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen(128)
        yield f"127.0.0.1:{held.getsockname()[1]}"


async def hangs(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.Event().wait()


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


async def closes(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def babbles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\0\0what?\r\n\r\n")
    await reader.read()


async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\nhalf")
    await writer.drain()


async def never_ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        await writer.drain()


async def trickles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000:
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(0.01)


async def answers_of(proxy: Any) -> list[bytes]:
    """Real answers as they came, several to a connection."""
    found = []
    for _ in range(3):
        client = await proxy.connect()
        found += [(await client.ask(request)).raw for request in (GET, BIG, GET)]
        await client.close()
    return found


SHADOWS = [
    (hangs, "shadow 5xx"),
    (resets, "shadow 5xx"),
    (closes, "shadow 5xx"),
    (babbles, "shadow 5xx"),
    (trickles, "shadow 5xx"),
    (breaks_off, "shadow 4xx"),
    (never_ends, "shadow 2xx"),
    ("dead", "shadow 5xx"),
    ("deaf", "shadow 5xx"),
    (BUSY, "shadow 5xx"),
]


@pytest.mark.parametrize(("shadow", "counted"), SHADOWS, ids=lambda it: getattr(it, "__name__", None))
async def test_real_answers_are_the_same_whatever_the_shadow_does(
    sluice: Factory, origin: Factory, api: Api, request: pytest.FixtureRequest, shadow: Any, counted: str
) -> None:
    blue = await origin()
    if isinstance(shadow, str):
        green = request.getfixturevalue(shadow)
    else:
        green = (await (origin(answer=shadow) if isinstance(shadow, bytes) else origin(serve=shadow))).address
    alone = await sluice(config(blue.address, green, ""))
    mirrored = await sluice(config(blue.address, green, "{methods: [GET, POST], body: 1MiB}", SLOW))
    wanted = await answers_of(alone)
    assert await answers_of(mirrored) == wanted
    await until_numbers(api, mirrored, {"real 2xx": 9, counted: 9})
    view = await api(mirrored).service()
    assert [each["state"] for each in view["pools"]["green"]["endpoints"]] == ["up"]
    metrics = (await api(mirrored)("GET", "/metrics")).body
    assert 'sluice_requests_total{code="2xx",pool="blue",service="shop"} 9.0' in metrics
    assert (
        re.findall(r'^sluice_(?:requests|retries|ejections)_total{.*pool="green".*} [1-9].*', metrics, re.MULTILINE)
        == []
    )


async def test_client_never_waits_for_a_shadow_that_hangs(sluice: Factory, origin: Factory, api: Api) -> None:
    blue, green = await origin(), await origin(serve=hangs)
    proxy = await sluice(config(blue.address, green.address))  # patience for a copy: a minute
    client = await proxy.connect()
    for _ in range(20):
        assert (await client.ask(GET)).body == b"echo"
    await client.close()
    await green.until(lambda: len(green.streams) == 20)
    assert await numbers(api, proxy) == {}
    assert await proxy.stop() == 0  # long before a copy's patience is over


# -- what is copied


async def test_copy_carries_no_credentials_and_says_what_it_is(sluice: Factory, origin: Factory, api: Api) -> None:
    blue, green = await origin(), await origin()
    proxy = await sluice(config(blue.address, green.address, "{host_suffix: -shadow}"))
    await proxy.ask(GET)
    await until_numbers(api, proxy, {"real 2xx": 1, "shadow 2xx": 1})
    (real,), (copy,) = blue.requests, green.requests
    assert copy.start == real.start == b"GET /a?b HTTP/1.1"
    assert (real.one(b"cookie"), real.one(b"authorization"), real.one(b"x-sluice-shadow")) == (b"c=d", b"Basic x", None)
    assert (copy.one(b"cookie"), copy.one(b"authorization"), copy.one(b"x-sluice-shadow")) == (None, None, b"1")
    assert (real.one(b"host"), copy.one(b"host")) == (b"shop.example.com", b"shop-shadow.example.com")
    assert real.one(b"x-request-id") == copy.one(b"x-request-id")


async def test_session_cookie_is_never_copied(sluice: Factory, origin: Factory, api: Api) -> None:
    blue, green = await origin(), await origin()
    proxy = await sluice(config(blue.address, green.address, "{credentials: true}", "sticky: {cookie: sid}"))
    answer = await proxy.ask(GET)
    session = answer.one(b"set-cookie").partition(b";")[0]
    assert session.startswith(b"sid=")
    await proxy.ask(GET.replace(b"c=d", b"c=d; " + session))
    await until_numbers(api, proxy, {"real 2xx": 2, "shadow 2xx": 2})
    assert [copy.one(b"cookie") for copy in green.requests] == [b"c=d", b"c=d"]
    assert all(copy.one(b"authorization") == b"Basic x" for copy in green.requests)


def chunked(size: int) -> bytes:
    """A request with a chunked body of so many bytes."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    half = size // 2
    pieces = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (half, b"a" * half, size - half, b"b" * (size - half))
    return head + pieces


def sized(size: int) -> bytes:
    """A request with a body of so many bytes."""
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (size, b"a" * size)


async def test_body_is_copied_up_to_the_cap(sluice: Factory, origin: Factory, api: Api) -> None:
    blue, green = await origin(), await origin()
    proxy = await sluice(config(blue.address, green.address, "{methods: [POST], body: 1000}"))
    for request in (sized(1000), sized(1001), chunked(1000), chunked(1001), sized(0)):
        assert (await proxy.ask(request)).body == b"echo"
    await until_numbers(api, proxy, {"real 2xx": 3, "shadow 2xx": 3, "body": 2})
    assert [len(each.body) for each in blue.requests] == [1000, 1001, 1000, 1001, 0]
    assert sorted(each.body for each in green.requests) == [b"", b"a" * 1000, b"a" * 500 + b"b" * 500]


async def test_bodies_of_copies_are_bounded_in_all_and_real_requests_go_on(
    sluice: Factory, origin: Factory, api: Api
) -> None:
    blue, green = await origin(), await origin(serve=hangs)
    proxy = await sluice(config(blue.address, green.address, "{methods: [POST], body: 1MiB}"))
    client = await proxy.connect()
    for _ in range(40):  # of 1 MiB each, whose copies nobody answers: 32 are held
        assert (await client.ask(sized(1024 * 1024))).status == 200
    await client.close()
    await until_numbers(api, proxy, {"memory": 8})
    assert len(blue.requests) == 40


async def test_status_shows_the_shadow_beside_the_real_one(sluice: Factory, origin: Factory, api: Api) -> None:
    blue, green = await origin(), await origin(answer=BUSY)
    proxy = await sluice(config(blue.address, green.address, extra="workers: 2"))
    for _ in range(10):
        await proxy.ask(GET)
    await until_numbers(api, proxy, {"real 2xx": 10, "shadow 5xx": 10})
    (mirror,) = (await api(proxy)("GET", "/v1/status")).body["traffic"]["mirrors"]
    assert (mirror["service"], mirror["pool"], mirror["skipped"]) == ("shop", "green", {})
    assert (mirror["real"]["statuses"], mirror["shadow"]["statuses"]) == ({"2xx": 10}, {"5xx": 10})
    for words in (["status"], ["top"]):
        told = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-P", "-m", "proxy", *words, "--admin", f"http://127.0.0.1:{proxy.admin_port}"],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        wanted = {"status": r"mirror shop to green: real 10 2xx, median [\d.]+ ms, 95 % [\d.]+ ms; shadow 10 5xx, ",
                  "top": r"green: shadow +mirror"}  # fmt: skip
        assert re.search(wanted[words[0]], told.stdout), told.stdout


async def test_request_that_was_tried_twice_is_copied_once(
    sluice: Factory, origin: Factory, api: Api, dead: str
) -> None:
    blue, green = await origin(), await origin()
    service = "balance: round_robin\n    ejection: off"
    proxy = await sluice(config(f"{dead}, {blue.address}", green.address, service=service))
    for _ in range(4):
        assert (await proxy.ask(GET)).status == 200
    await until_numbers(api, proxy, {"real 2xx": 4, "shadow 2xx": 4})
    assert (len(blue.requests), len(green.requests)) == (4, 4)
    metrics = (await api(proxy)("GET", "/metrics")).body
    assert re.search(r'^sluice_retries_total{pool="blue",service="shop"} [1-9]', metrics, re.MULTILINE)


async def test_upgrade_is_not_copied(sluice: Factory, origin: Factory, api: Api) -> None:
    async def switches(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHED if b"websocket" in head else BUSY)
        await reader.read()

    blue, green = await origin(serve=switches), await origin()
    proxy = await sluice(config(blue.address, green.address))
    upgrade = GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert (await proxy.ask(upgrade)).status == 101
    assert (await proxy.ask(GET)).status == 503
    await until_numbers(api, proxy, {"real 5xx": 1, "shadow 2xx": 1})
    assert len(green.requests) == 1


async def test_client_that_leaves_is_compared_all_the_same(sluice: Factory, origin: Factory, api: Api) -> None:
    blue, green = await origin(serve=hangs), await origin()
    proxy = await sluice(config(blue.address, green.address))
    client = await proxy.connect()
    await client.send(GET)
    await green.until(lambda: len(green.requests) == 1)
    await client.close()
    await until_numbers(api, proxy, {"real 4xx": 1, "shadow 2xx": 1})


# -- copies of copies


async def test_two_that_mirror_each_other_make_no_loop(
    sluice: Factory, origin: Factory, api: Api, free_port: Callable[[], int]
) -> None:
    one, two = await origin(), await origin()
    ports = free_port(), free_port()
    pairs = (ports[0], one.address, ports[1]), (ports[1], two.address, ports[0])
    first, second = [
        await sluice(
            config(
                real,
                f"127.0.0.1:{other}",
                extra=f"listeners: [{{bind: 127.0.0.1:{own}, trusted_proxies: [127.0.0.0/8]}}]",
            )
        )
        for own, real, other in pairs
    ]
    first.port = ports[0]
    for _ in range(3):
        assert (await first.ask(GET)).status == 200
    await until_numbers(api, first, {"real 2xx": 3, "shadow 2xx": 3})
    assert await numbers(api, second) == {}
    assert (len(one.requests), len(two.requests)) == (3, 3)
    assert [each.one(b"x-sluice-shadow") for each in (*one.requests, *two.requests)] == [None] * 3 + [b"1"] * 3


async def test_mark_of_a_client_is_not_believed_and_not_copied(sluice: Factory, origin: Factory, api: Api) -> None:
    blue, green = await origin(), await origin()
    proxy = await sluice(config(blue.address, green.address))
    marked = GET.replace(b"\r\n\r\n", b"\r\nX-Sluice-Shadow: 1\r\nConnection: x-sluice-shadow\r\n\r\n")
    assert (await proxy.ask(marked)).status == 200
    assert (await proxy.ask(GET)).status == 200
    await until_numbers(api, proxy, {"real 2xx": 1, "shadow 2xx": 1})
    assert [each.one(b"x-sluice-shadow") for each in blue.requests] == [None, None]


# -- a service that changes


async def test_drain_of_the_shadow_does_not_wait_for_copies(sluice: Factory, origin: Factory, api: Api) -> None:
    blue, green = await origin(), await origin(serve=hangs)
    proxy = await sluice(config(blue.address, green.address))
    for _ in range(5):
        assert (await proxy.ask(GET)).status == 200
    await green.until(lambda: len(green.streams) == 5)
    ask = api(proxy)
    assert (await ask("POST", "/v1/services/shop/pools/green/drain", {"deadline": "1h"})).status == 200
    await ask.until("/v1/services/shop", lambda view: view["pools"]["green"]["state"] == "drained")
    assert (await proxy.ask(GET)).status == 200
    await until_numbers(api, proxy, {"cut": 5, "unusable": 1})
    assert (await ask("POST", "/v1/services/shop/pools/green/restore")).status == 200
    assert (await proxy.ask(GET)).status == 200
    await green.until(lambda: len(green.streams) == 6)


async def test_reload_that_removes_the_pool_ends_its_copies(sluice: Factory, origin: Factory, api: Api) -> None:
    blue, green = await origin(), await origin(serve=hangs)
    proxy = await sluice(config(blue.address, green.address))
    for _ in range(5):
        assert (await proxy.ask(GET)).status == 200
    await green.until(lambda: len(green.streams) == 5)
    kept = [line for line in proxy.config.read_text().splitlines() if "green" not in line]
    proxy.config.write_text("\n".join(kept) + "\n")
    assert (await api(proxy)("POST", "/v1/reload")).status == 200
    await api(proxy).until("/v1/services/shop", lambda view: list(view["pools"]) == ["blue"])
    assert (await proxy.ask(GET)).status == 200
    assert await numbers(api, proxy) == {}


async def test_reload_that_changes_the_filter_keeps_what_was_counted(
    sluice: Factory, origin: Factory, api: Api
) -> None:
    blue, green = await origin(), await origin()
    proxy = await sluice(config(blue.address, green.address, extra="workers: 2"))
    for _ in range(10):
        assert (await proxy.ask(GET)).status == 200
    await until_numbers(api, proxy, {"real 2xx": 10, "shadow 2xx": 10})
    proxy.config.write_text(proxy.config.read_text().replace("pool: green, ", "pool: green, share: 0%"))
    assert (await api(proxy)("POST", "/v1/reload")).body["changed"]
    assert (await proxy.ask(GET)).status == 200
    assert await numbers(api, proxy) == {"real 2xx": 10, "shadow 2xx": 10}
    assert (len(blue.requests), len(green.requests)) == (11, 10)
