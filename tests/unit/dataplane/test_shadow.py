"""Copies: what they carry, where they go, when there is none, and that nobody but their filter hears of them."""

import asyncio
import gc
from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from proxy.dataplane.exchange import Exchange
from proxy.dataplane.failures import ConnectFailed, UpstreamFailure, UpstreamReset
from proxy.dataplane.shadow import LONGEST, MOST_AT_ONCE, MOST_READ
from proxy.filters.effects import refusal
from proxy.filters.registry import RequestFilter
from proxy.http1.message import CHUNKED, EXPECT_CONTINUE, NO_BODY, WEBSOCKET, RequestHead
from proxy.pools.endpoint import Signal
from proxy.pools.state import PoolLimits
from proxy.snapshot.document import Endpoint, Limits, Plugin, Pool, Retry, Sticky, Timeouts
from proxy.telemetry.counters import MirrorCounters

A, B = "127.0.0.1:1", "127.0.0.1:2"
BLUE, GREEN = Pool("blue", (Endpoint(A),)), Pool("green", (Endpoint(B),))


class Mirrored:
    """A stage whose service is copied from blue to green."""

    def __init__(self, stage: Any, loop: asyncio.AbstractEventLoop, method: bytes) -> None:
        self.stage = stage
        self.loop = loop
        self.real, self.shadow = stage.servers[A], stage.servers[B]
        head = RequestHead(method, b"/", 1, b"h", NO_BODY, 0, b"", None, None, 0)
        facts: Any = Exchange(stage.plane, stage.client, head, ("", b"http", b""), 0.0)
        effect: Any = stage.plane.snapshot.router.rows[0].route.request_filters[0].on_request(facts)
        self.counters: MirrorCounters = effect.comparison

    @property
    def plane(self) -> Any:
        return self.stage.plane

    @property
    def pairs(self) -> tuple[list[int], list[int]]:
        """Classes of status: those of real ones, and those of copies."""
        real, shadow = self.counters.real, self.counters.shadow
        assert sum(real.requests) == real.duration.count == sum(shadow.requests) == shadow.duration.count
        return _classes(real.requests), _classes(shadow.requests)

    @property
    def without(self) -> dict[str, int]:
        """What was not copied, by reason."""
        return dict(self.counters.without)

    def turn(self) -> None:
        """One turn of the loop."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def begin(self, *args: Any, **options: Any) -> Exchange:
        """A request of another client, and a turn of the loop."""
        self.stage.next_client()
        exchange: Exchange = self.stage.begin(*args, **options)
        self.turn()
        return exchange

    @property
    def copy(self) -> Exchange:
        """What is on its way to the shadow."""
        assert self.shadow.exchange is not None
        copy: Exchange = self.shadow.exchange
        return copy

    def answer(self, exchange: Exchange, status: int = 200) -> None:
        """A whole response."""
        exchange.response(self.stage.head(status), b"ok", True)


def _classes(counts: list[int]) -> list[int]:
    return [status for status, count in enumerate(counts) for _ in range(count)]


@pytest.fixture
def mirrored(make: Any, loop: asyncio.AbstractEventLoop) -> Callable[..., Mirrored]:
    """A factory of those: mirrored(options of the filter, **of the service)."""

    def build(options: dict[str, Any] | None = None, more: tuple[Plugin, ...] = (), **service: Any) -> Mirrored:
        filters = (Plugin("mirror", {"pool": "green", **(options or {})}), *more)
        method = filters[0].options.get("methods", ("GET",))[0].encode()
        return Mirrored(make(**{"pools": (BLUE, GREEN), "filters": filters, **service}), loop, method)

    return build


# -- what a copy is


def test_copy_is_the_request_without_credentials(mirrored: Any) -> None:
    it = mirrored()
    it.begin()
    assert it.real.sent == [b"Accept: */*\r\nCookie: a=b\r\nX-Forwarded-For: 127.0.0.1\r\n"]
    assert it.shadow.sent == [b"Accept: */*\r\nX-Forwarded-For: 127.0.0.1\r\nx-sluice-shadow: 1\r\n"]
    assert (it.copy.head.method, it.copy.head.target, it.copy.head.host) == (b"GET", b"/x?y", b"h")
    assert (it.copy.path, it.copy.query, it.copy.client) == (b"/x", b"y", "127.0.0.1")


def test_copy_sets_out_after_the_request(mirrored: Any) -> None:
    it = mirrored()
    it.stage.begin()
    assert (len(it.real.sent), it.shadow.sent) == (1, [])
    it.turn()
    assert len(it.shadow.sent) == 1


def begin_with(it: Mirrored, block: bytes, cookie: bytes | None, host: bytes = b"h", flags: int = 0) -> Exchange:
    """A request with these fields."""
    head = RequestHead(b"GET", b"/", 1, host, NO_BODY, flags, block, cookie, None, 0)
    exchange = Exchange(it.plane, it.stage.client, head, ("", b"http", b""), it.plane.clock())
    exchange.begin(b"", True)
    it.turn()
    return exchange


FIELDS = b"Authorization: Basic x\r\nProxy-Authorization: y\r\nExpect: 100-continue\r\nX-A: 1\r\n"


@pytest.mark.parametrize(
    ("credentials", "block"),
    [
        (False, b"X-A: 1\r\nx-sluice-shadow: 1\r\n"),
        (True, b"Authorization: Basic x\r\nProxy-Authorization: y\r\nX-A: 1\r\nCookie: a=b\r\nx-sluice-shadow: 1\r\n"),
    ],
)
def test_credentials_are_copied_only_where_that_is_said(mirrored: Any, credentials: bool, block: bytes) -> None:
    it = mirrored({"credentials": credentials})
    begin_with(it, FIELDS, b"a=b", flags=EXPECT_CONTINUE)
    assert it.shadow.sent == [block]
    assert not it.copy.head.flags & EXPECT_CONTINUE


def test_copy_never_has_the_session_cookie(mirrored: Any) -> None:
    it = mirrored({"credentials": True}, sticky=Sticky(cookie="sid"), table=None)
    begin_with(it, b"", b"sid=mine; a=b")
    assert it.shadow.sent == [b"Cookie: a=b\r\nx-sluice-shadow: 1\r\n"]
    assert it.copy.set_cookie is None


def test_mark_of_a_trusted_peer_is_no_second_one(mirrored: Any) -> None:
    it = mirrored(more=(Plugin("request_headers", {"set": {"x-a": "2"}}),))
    begin_with(it, b"X-A: 1\r\nX-Sluice-Shadow: 0\r\n", None)
    assert it.shadow.sent == [b"x-a: 2\r\nx-sluice-shadow: 1\r\n"]


def test_copy_has_what_later_filters_changed(mirrored: Any) -> None:
    more = (Plugin("rewrite", {"prefix": {"/x": "/y"}, "host": "other"}),)
    it = mirrored(more=more)
    it.begin()
    assert (it.copy.head.target, it.copy.head.host, it.copy.path) == (b"/y?y", b"other", b"/y")


@pytest.mark.parametrize(
    ("host", "shadow"),
    [
        (b"shop.example.com", b"shop-shadow.example.com"),
        (b"shop.example.com:8080", b"shop-shadow.example.com:8080"),
        (b"shop", b"shop-shadow"),
        (b"shop:80", b"shop-shadow:80"),
        (b"127.0.0.1:80", b"127.0.0.1:80"),
        (b"[::1]:80", b"[::1]:80"),
        (b"", b""),
    ],
)
def test_host_suffix_stands_behind_the_first_label(mirrored: Any, host: bytes, shadow: bytes) -> None:
    it = mirrored({"host_suffix": "-shadow"})
    exchange = begin_with(it, b"", None, host)
    assert (exchange.head.host, it.copy.head.host) == (host, shadow)


@pytest.mark.parametrize("length", [6, CHUNKED])
def test_body_is_copied_whole_when_all_of_it_is_here(mirrored: Any, length: int) -> None:
    it = mirrored({"methods": ("POST",), "body": 6})
    exchange = it.begin(b"POST", length, b"ab", False)
    exchange.request_data(b"cd")
    it.turn()
    assert it.shadow.sent == []
    exchange.request_data(b"ef")
    exchange.request_end(b"t: 1\r\n" if length == CHUNKED else b"")
    it.turn()
    assert (it.shadow.bodies, it.copy.head.length, it.copy.request_trailers) == ([b"abcdef"], 6, b"")
    assert it.real.bodies == [b"abcdef"]


def test_body_that_came_with_the_head_is_copied_once(mirrored: Any) -> None:
    it = mirrored({"methods": ("POST",)})
    it.begin(b"POST", 4, b"body", True)
    assert (it.real.bodies, it.shadow.bodies) == ([b"body"], [b"body"])


@pytest.mark.parametrize("length", [7, CHUNKED])
def test_body_beyond_the_cap_is_not_copied(mirrored: Any, length: int) -> None:
    it = mirrored({"methods": ("POST",), "body": 6})
    exchange = it.begin(b"POST", length, b"abc", False)
    exchange.request_data(b"defg")
    exchange.request_end(b"")
    it.turn()
    it.answer(exchange)
    assert (it.shadow.sent, it.without, it.pairs) == ([], {"body": 1}, ([], []))
    assert (it.real.bodies, it.stage.client.status) == ([b"abcdefg"], 200)


def test_bodies_of_all_copies_together_are_bounded(mirrored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.dataplane.shadow.MOST_HELD", 10)
    it = mirrored({"methods": ("POST",)})
    it.answer(it.begin(b"POST", 6, b"abcdef", True))  # six bytes, held until its copy has ended
    second = it.begin(b"POST", CHUNKED, b"ghij", False)
    assert it.plane.shadows.held == 10
    second.request_data(b"k")
    assert it.plane.shadows.held == 6
    second.request_end(b"")
    it.turn()
    assert (it.without, it.real.bodies) == ({"memory": 1}, [b"abcdef", b"ghijk"])
    it.answer(second)
    it.answer(it.copy)
    assert it.plane.shadows.held == 0
    it.answer(it.begin(b"POST", 10, b"0123456789", True))
    it.answer(it.copy)
    assert (it.plane.shadows.held, it.pairs) == (0, ([2, 2], [2, 2]))


ENDS = [
    (lambda _it, real: real.abandon(), False),
    (lambda it, real: it.answer(real), False),
    (lambda _it, real: [real.request_data(b"x" * 9), real.request_end(b"")], False),
    (lambda it, _real: it.plane.shadows.close(), True),
    (lambda it, _real: it.copy.attempt_failed(ConnectFailed(), False), True),
    (lambda it, _real: it.copy.expire(inf), True),
]


@pytest.mark.parametrize(("end", "is_whole"), ENDS)
def test_body_is_let_go_however_it_ends(mirrored: Any, end: Any, is_whole: bool) -> None:
    it = mirrored({"methods": ("POST",), "body": 8})
    it.stage.client.drains = False
    it.stage.next_client = lambda: it.stage.client
    real = it.begin(b"POST", 4 if is_whole else CHUNKED, b"body", is_whole)
    assert it.plane.shadows.held == 4
    end(it, real)
    it.turn()
    assert it.plane.shadows.held == 0


def test_copy_that_cannot_be_sent_holds_nothing(mirrored: Any) -> None:
    it = mirrored({"methods": ("POST",)})
    it.shadow.endpoint.shared.limits = PoolLimits(connections=1)
    it.begin(b"POST", 4, b"body", True)
    assert (it.plane.shadows.held, it.without) == (0, {"full": 1})


# -- what is counted


@pytest.mark.parametrize("copy_first", [True, False])
def test_both_are_counted_when_both_have_ended(mirrored: Any, copy_first: bool) -> None:
    it = mirrored()
    exchange = it.begin()
    first, second = ((it.copy, 503), (exchange, 200)) if copy_first else ((exchange, 200), (it.copy, 503))
    it.answer(*first)
    assert it.pairs == ([], [])
    it.answer(*second)
    assert (it.pairs, it.without) == (([2], [5]), {})


def test_copy_counts_for_nobody_else(mirrored: Any) -> None:
    it = mirrored()
    exchange = it.begin()
    it.shadow.endpoint.consecutive_errors = 2
    it.answer(it.copy)
    assert it.shadow.endpoint.consecutive_errors == 2
    it.answer(exchange)
    for status in (500, 502):
        exchange = it.begin()
        it.answer(it.copy, status)
        it.answer(exchange)
    counters = it.shadow.endpoint.shared.counters
    assert (counters.total, counters.upstream.count, counters.duration.count) == (0, 0, 0)
    assert (it.shadow.endpoint.consecutive_errors, it.plane.unrouted.total, it.plane.refusals) == (2, 0, {})
    assert it.real.endpoint.shared.counters.total == 3
    assert it.stage.places == [(0, 0), (0, 0)]


@pytest.mark.parametrize("failure", [UpstreamReset(), ConnectFailed()])
def test_copy_that_fails_is_tried_once_and_blames_nobody(mirrored: Any, failure: UpstreamFailure) -> None:
    it = mirrored(retry=Retry(3, ("connect", "reset", "5xx")))
    it.answer(it.begin())
    it.copy.attempt_failed(failure, False)
    shared = it.shadow.endpoint.shared
    assert (it.shadow.events, it.shadow.endpoint.consecutive_errors) == (["done"], 0)
    assert (shared.counters.retries, dict(shared.counters.failures), it.plane.refusals) == (0, {}, {})
    assert (it.pairs, it.stage.places) == (([2], [5]), [(0, 0)] * 2)


def test_copies_cost_no_retry_of_the_budget(mirrored: Any) -> None:
    it = mirrored(retry=Retry(3, ("reset",), budget=0.0))
    for _ in range(5):
        it.answer(it.begin())
        it.copy.attempt_failed(UpstreamReset(), False)
        it.shadow.endpoint.idle.append(it.shadow)
    assert [it.shadow.endpoint.shared.may_retry(0.0) for _ in range(4)] == [True, True, True, False]


def test_stale_connection_is_no_fault_of_the_shadow(mirrored: Any) -> None:
    it = mirrored({"methods": ("PUT",)}, retry=Retry(0, (), body=0))
    made: list[Any] = []
    it.plane.connect = made.append
    it.answer(it.begin(b"PUT", 4, b"body", True))
    it.copy.attempt_failed(UpstreamReset(), True)
    fresh = it.stage.connect(B)
    assert made[0].connected(fresh)
    assert fresh.bodies == [b"body"]
    it.answer(fresh.exchange)
    assert (it.pairs, it.stage.places) == (([2], [2]), [(0, 0)] * 2)


def test_retried_request_is_copied_once(mirrored: Any) -> None:
    it = mirrored(retry=Retry(1, ("reset",)))
    it.plane.connect = lambda _: None
    exchange = it.begin()
    exchange.attempt_failed(UpstreamReset(), False)
    it.turn()
    second = it.stage.connect(A)
    assert exchange.attempt.connected(second)
    it.turn()
    it.answer(exchange)
    it.answer(it.copy)
    assert (len(it.shadow.sent), it.pairs, it.without) == (1, ([2], [2]), {})


def test_client_that_leaves_does_not_end_the_copy(mirrored: Any) -> None:
    it = mirrored()
    it.begin().abandon()
    it.answer(it.copy)
    assert (it.pairs, it.shadow.events) == (([4], [2]), ["done", "released"])


def test_client_that_leaves_before_its_body_is_whole_is_not_copied(mirrored: Any) -> None:
    it = mirrored({"methods": ("POST",)})
    it.begin(b"POST", 4, b"bo", False).abandon()
    assert (it.shadow.sent, it.without, it.pairs) == ([], {"unfinished": 1}, ([], []))


def test_early_answer_ends_the_hope_of_a_copy(mirrored: Any) -> None:
    it = mirrored({"methods": ("POST",)})
    it.stage.client.drains = False
    it.stage.next_client = lambda: it.stage.client
    it.answer(it.begin(b"POST", 4, b"bo", False))
    assert (it.shadow.sent, it.without) == ([], {"unfinished": 1})


def test_durations_end_with_the_head_of_the_response(mirrored: Any) -> None:
    it = mirrored()
    now = [100.0]
    it.plane.clock = lambda: now[0]
    exchange = it.begin()
    now[0] = 101.0
    exchange.response(it.stage.head(length=4), b"", False)
    now[0] = 103.0
    it.answer(it.copy)
    now[0] = 150.0  # a client that reads slowly says nothing of the endpoint
    exchange.response_end(b"full", b"")
    assert (it.counters.real.duration.total, it.counters.shadow.duration.total) == (1.0, 3.0)


# -- when there is none


def test_request_that_a_later_filter_answers_is_not_copied(mirrored: Any) -> None:
    it = mirrored()
    route = it.plane.snapshot.router.rows[0].route
    refuses = RequestFilter(lambda _: refusal(403, "no", "no"))
    object.__setattr__(route, "request_filters", (*route.request_filters, refuses))
    it.begin()
    assert (it.stage.client.status, it.shadow.sent, it.without) == (403, [], {})


def test_upgrade_is_never_copied(mirrored: Any) -> None:
    it = mirrored()
    begin_with(it, b"", None, flags=WEBSOCKET)
    assert (len(it.real.sent), it.shadow.sent, it.without) == (1, [], {})


def test_request_of_the_shadow_pool_itself_is_not_copied(mirrored: Any) -> None:
    it = mirrored(split={"green": 1.0})
    it.begin()
    assert (len(it.shadow.sent), it.without) == (1, {"own_pool": 1})


def test_request_that_spilled_to_the_shadow_pool_is_not_copied(mirrored: Any) -> None:
    it = mirrored(split={"blue": 0.9, "green": 0.1})
    it.real.endpoint.signal(Signal.DRAIN)
    it.real.endpoint.shared.refresh()
    it.begin()
    assert (len(it.shadow.sent), it.without) == (1, {"own_pool": 1})


@pytest.mark.parametrize("signal", [Signal.DRAIN, Signal.EJECT, Signal.FAIL, Signal.REMOVE])
def test_shadow_that_is_not_usable_gets_no_copy_and_spills_nowhere(mirrored: Any, signal: Signal) -> None:
    it = mirrored()
    it.shadow.endpoint.signal(signal)
    it.shadow.endpoint.shared.refresh()
    it.answer(it.begin())
    assert (len(it.real.sent), it.shadow.sent, it.without) == (1, [], {"unusable": 1})
    assert it.shadow.endpoint.shared.counters.panicked == it.shadow.endpoint.shared.counters.spilled == 0


def test_shadow_that_goes_within_the_turn_gets_no_copy(mirrored: Any) -> None:
    it = mirrored()
    it.stage.begin()
    it.shadow.endpoint.signal(Signal.EJECT)
    it.shadow.endpoint.shared.refresh()
    it.turn()
    assert (it.shadow.sent, it.without, len(it.plane.shadows)) == ([], {"unusable": 1}, 0)


@pytest.mark.parametrize(
    ("limit", "taken", "copies"), [(1, 0, 0), (2, 0, 1), (2, 1, 0), (3, 0, 1), (8, 3, 1), (8, 4, 0), (8, 8, 0)]
)
def test_copies_leave_half_of_the_pool_to_real_requests(mirrored: Any, limit: int, taken: int, copies: int) -> None:
    it = mirrored(limits=Limits(connections=limit))
    it.shadow.endpoint.shared.connections += taken
    it.begin()
    assert (len(it.shadow.sent), it.without) == (copies, {} if copies else {"full": 1})
    assert not it.shadow.endpoint.shared.pending


def test_copies_of_one_turn_take_no_more_than_half(mirrored: Any) -> None:
    it = mirrored(limits=Limits(connections=8))
    made: list[Any] = []
    it.plane.connect = made.append
    for _ in range(8):
        it.stage.next_client()
        it.stage.begin()
    it.turn()
    assert (it.shadow.endpoint.shared.connections, it.without) == (4, {"full": 4})


def test_copies_at_once_have_a_limit(mirrored: Any) -> None:
    it = mirrored(limits=Limits(connections=10_000))
    it.plane.connect = lambda _: None
    for _ in range(MOST_AT_ONCE + 3):
        it.begin()
    assert (len(it.plane.shadows), it.without) == (MOST_AT_ONCE, {"full": 3})
    it.plane.shadows.close()
    assert (it.without, it.shadow.endpoint.in_flight) == ({"full": 3, "cut": MOST_AT_ONCE}, 0)


def test_copy_never_waits_for_a_place(mirrored: Any) -> None:
    it = mirrored()
    it.begin()
    shared = it.shadow.endpoint.shared
    shared.limits = PoolLimits(0, 10)  # lowered by a reload, while a stale connection is replaced
    it.copy.attempt_failed(UpstreamReset(), True)
    assert (list(shared.pending), len(it.plane.shadows), shared.counters.overflowed) == ([], 0, 0)


def test_second_chance_of_a_copy_leads_nowhere_else(mirrored: Any) -> None:
    it = mirrored()
    it.begin()
    copy = it.copy
    it.shadow.endpoint.signal(Signal.EJECT)
    it.shadow.endpoint.shared.refresh()
    it.real.endpoint.idle.append(it.stage.connect(A))
    copy.attempt_failed(UpstreamReset(), True)
    shared = it.shadow.endpoint.shared
    assert (len(it.plane.shadows), it.stage.places) == (0, [(1, 1), (0, 0)])
    assert (shared.counters.spilled, shared.counters.panicked, len(it.real.endpoint.idle)) == (0, 0, 1)


def test_request_that_waits_for_a_place_is_copied_once_it_has_one(mirrored: Any) -> None:
    it = mirrored(limits=Limits(connections=1))
    it.shadow.endpoint.shared.limits = PoolLimits()
    first = it.begin()
    it.answer(it.copy)
    second = it.begin()
    assert len(it.shadow.sent) == 1
    it.answer(first)
    it.turn()
    assert (second.attempts, len(it.shadow.sent)) == (1, 2)


def test_request_that_finds_no_place_is_not_copied(mirrored: Any) -> None:
    it = mirrored(limits=Limits(connections=1, pending=0))
    it.shadow.endpoint.shared.limits = PoolLimits()
    it.begin()
    it.begin()
    assert (it.stage.client.reason, len(it.shadow.sent), it.without) == ("overloaded", 1, {})


# -- copies that do not end by themselves


@pytest.mark.parametrize(("total", "patience"), [(None, LONGEST), (5.0, 5.0), (LONGEST * 9, LONGEST)])
def test_copy_that_hangs_ends(mirrored: Any, total: float | None, patience: float) -> None:
    it = mirrored(timeouts=Timeouts(total=total))
    now = it.plane.clock()
    it.plane.clock = lambda: now
    it.answer(it.begin())
    it.plane.wheel.tick(now + patience - 0.5)
    assert len(it.plane.shadows) == 1
    it.plane.clock = lambda: now + patience
    it.plane.wheel.tick(now + patience + 0.5)
    assert (len(it.plane.shadows), it.pairs, it.shadow.events) == (0, ([2], [5]), ["done", "closed"])
    assert (it.stage.places, it.shadow.endpoint.consecutive_errors, it.plane.refusals) == ([(0, 0)] * 2, 0, {})


def test_copy_is_not_read_for_ever(mirrored: Any) -> None:
    it = mirrored()
    it.answer(it.begin())
    copy = it.copy
    copy.response(it.stage.head(length=10 * MOST_READ), b"", False)
    copy.response_data(b"x" * MOST_READ)
    assert it.pairs == ([], [])
    copy.response_data(b"x")
    assert (it.pairs, it.shadow.events, it.stage.places) == (([2], [2]), ["done", "closed"], [(0, 0)] * 2)


def test_copy_whose_answer_breaks_counts_what_it_said(mirrored: Any) -> None:
    it = mirrored()
    it.answer(it.begin())
    copy = it.copy
    copy.response(it.stage.head(503, length=10), b"", False)
    copy.response_broken("upstream_reset")
    assert (it.pairs, it.shadow.endpoint.consecutive_errors, it.stage.places) == (([2], [5]), 0, [(0, 0)] * 2)


@pytest.mark.parametrize("signal", [Signal.DRAIN, Signal.REMOVE])
def test_copies_end_with_what_they_go_to(mirrored: Any, signal: Signal) -> None:
    it = mirrored()
    exchange = it.begin()
    it.plane.shadows.leave_what_ends()
    assert len(it.plane.shadows) == 1
    it.shadow.endpoint.signal(signal)
    it.plane.shadows.leave_what_ends()
    it.answer(exchange)
    assert (it.without, it.pairs, it.shadow.events) == ({"cut": 1}, ([], []), ["done", "closed"])
    assert (it.stage.places, it.stage.client.status) == ([(0, 0)] * 2, 200)


def test_end_of_the_worker_ends_copies_that_have_not_set_out(mirrored: Any) -> None:
    it = mirrored()
    it.stage.begin()
    it.plane.shadows.close()
    it.turn()
    assert (it.shadow.sent, it.without) == ([], {"cut": 1})


def test_fault_in_a_copy_stays_its_own(mirrored: Any, caplog: pytest.LogCaptureFixture) -> None:
    it = mirrored()
    it.shadow.endpoint.idle[:] = [None]
    it.answer(it.begin())
    assert (it.stage.client.status, it.without, len(it.plane.shadows)) == (200, {"failed": 1}, 0)
    assert "a copy failed" in caplog.text


ENDS: dict[str, Callable[[Mirrored, Exchange], None]] = {
    "answered": lambda it, copy: it.answer(copy),
    "failing": lambda it, copy: it.answer(copy, 500),
    "reset": lambda _, copy: copy.attempt_failed(UpstreamReset(), False),
    "too long": lambda _, copy: copy.spoil("total_timeout"),
    "cut": lambda _, copy: copy.abandon(),
    "broken": lambda it, copy: (copy.response(it.stage.head(length=9), b"", False), copy.response_broken("reset"))[1],
    "endless": lambda it, copy: (
        copy.response(it.stage.head(length=9), b"", False),
        copy.response_data(b"x" * (MOST_READ + 1)),
    )[1],
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_nothing_is_left_of_either(mirrored: Any, end: Callable[[Mirrored, Exchange], None]) -> None:
    it = mirrored()
    gc.collect()
    gc.disable()
    try:
        exchange = it.begin()
        end(it, it.copy)
        it.answer(exchange)
        del exchange
        it.shadow.exchange = None  # a real connection lets go of what it has failed
        left = [each for each in gc.get_objects() if isinstance(each, Exchange)]
    finally:
        gc.enable()
    assert left == []
