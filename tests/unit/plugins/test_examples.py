"""The plug-ins under config/plugins, hook by hook."""

import asyncio
import importlib.util
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.http1.message import NO_BODY, RequestHead, ResponseHead
from proxy.plugins import Answer, Facts, Reply, Request, Response

EXAMPLES = Path(__file__).parents[3] / "config/plugins"


def example(name: str, cls: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, cls)


class Known:
    """What the data plane's exchange is to a plug-in; `says` is what a service answers that is asked."""

    def __init__(self, path: str = "/", block: bytes = b"", cookie: bytes | None = None, **others: Any) -> None:
        self.head = RequestHead(
            others.pop("method", b"GET"), path.encode(), 1, b"a", NO_BODY, 0, block, cookie, None, 0
        )
        self.path, _, self.query = path.encode().partition(b"?")
        self.host, self.now, self.client, self.pool_name = b"a", 0.0, "192.0.2.7", "blue"
        self.notes: dict[object, Any] = {}
        self.says: Callable[[], Coroutine[Any, Any, tuple[int, bytes]]] = others.pop("says", None)
        for name, value in others.items():
            setattr(self, name, value)

    async def ask(self, _service: str, _head: RequestHead, _body: bytes) -> tuple[ResponseHead, bytes]:
        status, body = await self.says()
        return response(status, b"Content-Type: text/x\r\n"), body


def response(status: int = 200, block: bytes = b"") -> ResponseHead:
    return ResponseHead(status, b"", 1, NO_BODY, 0, block, 0)


def hear(plugin: Any, known: Any) -> tuple[Request, Any]:
    """The request as the hook leaves it, and what the hook says."""
    request = Request(known)
    said = plugin.on_request(request, Facts(known, "its"))
    return request, asyncio.run(said) if asyncio.iscoroutine(said) else said


# -- by_header

ByHeader = example("by_header", "ByHeader")


@pytest.mark.parametrize(
    ("block", "named"),
    [
        (b"X-User: ann\r\n", True),
        (b"x-user: \xff\r\n", True),
        (b"X-User: ann\r\nX-User: bob\r\n", True),
        (b"X-User: \r\n", False),
        (b"X-Other: ann\r\n", False),
        (b"", False),
    ],
)
def test_by_header_names_a_pool_for_who_has_the_header(block: bytes, named: bool) -> None:
    plugin = ByHeader("x-user", ["blue", "green"])
    pools = {hear(plugin, Known(block=block))[0].pool for _ in range(3)}
    assert len(pools) == 1
    assert (pools <= {"blue", "green"}) is named


def test_by_header_shares_values_evenly() -> None:
    plugin = ByHeader("x-user", ["blue", "green"])
    named = [hear(plugin, Known(block=b"x-user: %d\r\n" % each))[0].pool for each in range(1000)]
    assert 400 < named.count("blue") < 600


@pytest.mark.parametrize("options", [("", ["blue"]), ("x-user", [])])
def test_by_header_refuses_what_names_nothing(options: tuple[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="at least one pool"):
        ByHeader(*options)


# -- timing

Timing = example("timing", "Timing")


@pytest.mark.parametrize(
    ("pool", "now", "block", "line"),
    [
        ("blue", 0.25, b"", b"server-timing: blue;dur=250.0\r\n"),
        ("", 0.0, b"", b"server-timing: proxy;dur=0.0\r\n"),
        ("blue", 1.0, b"Server-Timing: db;dur=1\r\n", b"Server-Timing: db;dur=1\r\nserver-timing: blue;dur=1000.0\r\n"),
    ],
)
def test_timing_adds_how_long_it_took(pool: str, now: float, block: bytes, line: bytes) -> None:
    plugin, known, head = Timing(), Known(pool_name=pool), response(block=block)
    hear(plugin, known)
    known.now = now
    plugin.on_response(Response(head), Facts(known, "its"))  # type: ignore[arg-type]
    assert head.block == line


def test_timing_leaves_alone_what_it_has_not_seen_begin() -> None:
    plugin, head = Timing(), response(503)
    plugin.on_response(Response(head), Facts(Known(), "its"))  # type: ignore[arg-type]
    assert head.block == b""


@pytest.mark.parametrize(("total", "slow"), [(0.5, 0), (1.0, 0), (1.5, 1)])
def test_timing_counts_the_slow(total: float, slow: int) -> None:
    plugin = Timing()
    plugin.on_end(SimpleNamespace(total=total))
    assert plugin.counters["slow"] == slow


# -- small_cache

SmallCache = example("small_cache", "SmallCache")


class Service:
    """Answers its status, and counts; `failing` raises instead."""

    def __init__(self, status: int = 200, failing: type[Exception] | None = None, *, hangs: bool = False) -> None:
        self.status, self.failing, self.hangs, self.asked = status, failing, hangs, 0

    async def __call__(self) -> tuple[int, bytes]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.hangs:
            await asyncio.Event().wait()
        if self.failing:
            raise self.failing
        return self.status, b"beta"


@pytest.mark.parametrize(
    ("asks", "asked"),
    [
        ([("/a", 0.0), ("/a", 9.9)], 1),
        ([("/a", 0.0), ("/a?b", 1.0)], 1),
        ([("/a", 0.0), ("/a", 10.0)], 2),
        ([("/a", 0.0), ("/b", 0.0), ("/a", 1.0), ("/b", 1.0)], 2),
        ([("/a", 0.0), ("/b", 0.0), ("/c", 0.0), ("/a", 1.0)], 4),  # only two are kept
        ([("/other", 0.0)], 0),
    ],
)
def test_small_cache_asks_once_in_a_while(asks: list[tuple[str, float]], asked: int) -> None:
    service, plugin = Service(), SmallCache("s", ["/a", "/b", "/c"], most=2)
    said = [hear(plugin, Known(path, now=now, says=service))[1] for path, now in asks]
    assert service.asked == asked
    assert all(each == Reply(200, b"beta", {"content-type": "text/x"}) for each in said) is bool(asked)


def test_small_cache_asks_once_for_all_who_come_at_the_same_time() -> None:
    service, plugin = Service(), SmallCache("s", ["/a"])

    async def crowd() -> list[Any]:
        each = [Known("/a", says=service) for _ in range(20)]
        return await asyncio.gather(*(plugin.on_request(Request(one), Facts(one, "its")) for one in each))  # type: ignore[arg-type]

    assert [reply.status for reply in asyncio.run(crowd())] == [200] * 20
    assert service.asked == 1
    assert plugin.counters == {"misses": 1, "hits": 19}


@pytest.mark.parametrize("method", [b"POST", b"OPTIONS"])
def test_small_cache_answers_only_who_reads(method: bytes) -> None:
    assert hear(SmallCache("s", ["/a"]), Known("/a", method=method, says=Service()))[1] is None


def test_small_cache_keeps_no_failure() -> None:
    service, plugin = Service(500), SmallCache("s", ["/a"])
    assert [hear(plugin, Known("/a", says=service))[1] for _ in range(2)] == [None, None]
    assert service.asked == 2


@pytest.mark.parametrize("options", [{"most": 0}, {"seconds": 0.0}])
def test_small_cache_refuses_to_keep_nothing(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is none"):
        SmallCache("s", [], **options)


# -- ask_first

AskFirst = example("ask_first", "AskFirst")


@pytest.mark.parametrize(
    ("service", "cookie", "tier", "asked"),
    [
        (Service(), b"user=ann", "beta", 1),
        (Service(), b"a=b; user=ann", "beta", 1),
        (Service(404), b"user=ann", None, 2),
        (Service(failing=ConnectionError), b"user=ann", None, 2),
        (Service(hangs=True), b"user=ann", None, 2),
        (Service(), b"user=", None, 0),
        (Service(), b"other=ann", None, 0),
        (Service(), None, None, 0),
    ],
)
def test_ask_first_marks_whom_the_service_knows(
    service: Service, cookie: bytes | None, tier: str | None, asked: int
) -> None:
    plugin = AskFirst("tiers", patience=0.01)
    for _ in range(2):
        known = Known(block=b"X-Tier: beta\r\n", cookie=cookie, says=service)
        assert hear(plugin, known)[0].headers.get("x-tier") == tier
    assert service.asked == asked


# -- block_list

BlockList = example("block_list", "BlockList")


@pytest.mark.parametrize(
    ("client", "is_refused"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("2001:db8::1%eth0", True),
        ("unknown", True),
        ("", False),
    ],
)
def test_block_list_refuses_who_is_on_it(tmp_path: Path, client: str, is_refused: bool) -> None:
    listed = tmp_path / "blocked"
    listed.write_text("# bad\n10.0.0.0/8\n\n 192.0.2.7 \n2001:db8::/32\n")
    plugin = BlockList(str(listed))
    plugin.open()
    said = hear(plugin, Known(client=client))[1]
    assert (said is not None and said.status == 403) is is_refused
    assert plugin.counters["blocked"] == is_refused


@pytest.mark.parametrize("line", ["10.0.0.1/8", "nowhere", "10.0.0.0/33"])
def test_block_list_refuses_to_open_with_a_bad_line(tmp_path: Path, line: str) -> None:
    listed = tmp_path / "blocked"
    listed.write_text(line)
    with pytest.raises(ValueError, match=line):
        BlockList(str(listed)).open()


def test_answer_of_the_stand_in_is_what_plug_ins_get() -> None:
    async def ask() -> Answer:
        return await Facts(Known(says=Service(404)), object()).ask("s", "/a")  # type: ignore[arg-type]

    assert asyncio.run(ask()).status == 404
