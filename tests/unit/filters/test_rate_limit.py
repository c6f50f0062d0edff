"""Filter `rate_limit`: what is granted, to whom, and what a refusal says."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.core.registry import BadOptionsError
from proxy.filters import FILTERS
from proxy.filters.buckets import Buckets
from proxy.filters.effects import Reply
from proxy.filters.site import Site, States
from proxy.http1.facts import Facts

RequestOf = Callable[..., Facts]
Ask = Callable[..., Reply | None]


def limited(request_of: RequestOf, site: Site | None = None, **options: Any) -> Ask:
    """Asks the filter at a time; the refusal, or None."""
    found = FILTERS.build("rate_limit", options).compile(site or Site(where="route a")).request
    assert found is not None

    def ask(now: float, client: str = "192.0.2.7", block: bytes = b"", cookie: bytes | None = None) -> Reply | None:
        facts: Any = request_of("/", block, cookie)
        facts.now, facts.client = now, client
        effect = found.on_request(facts)
        assert effect is None or isinstance(effect, Reply)
        return effect

    return ask


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({}, "rate"),
        ({"rate": "100"}, "write it like 100/s"),
        ({"rate": "0/s"}, "write it like 100/s"),
        ({"rate": "1_0/s"}, "write it like 100/s"),
        ({"rate": "10/w"}, "write it like 100/s"),
        ({"rate": "10/s\n"}, "write it like 100/s"),
        ({"rate": "1/s", "burst": 0}, "at least 1"),
        ({"rate": "1/s", "keys": 0}, "keys is between"),
        ({"rate": "1/s", "ipv6_prefix": 0}, "128 bits"),
        ({"rate": "1/s", "ipv6_prefix": 129}, "128 bits"),
        ({"rate": "1/s", "by": {"cookie": "a=b"}}, "not a name"),
        ({"rate": "1/s", "by": {"header": "X-Forwarded-For"}}, "filters do not see the header 'X-Forwarded-For'"),
        ({"rate": "1/s", "by": {"header": "content-length"}}, "filters do not see"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint):
        FILTERS.build("rate_limit", options)


@pytest.mark.parametrize(
    ("options", "at_once", "seconds"),
    [
        ({"rate": "100/s"}, 100, 0.01),
        ({"rate": "6000/m"}, 100, 0.01),
        ({"rate": "6000/m", "burst": 7}, 7, 0.01),
        ({"rate": "1/s"}, 1, 1.0),
        ({"rate": "10/m"}, 1, 6.0),
        ({"rate": "1/h", "burst": 3}, 3, 3600.0),
        ({"rate": "2/d"}, 1, 43_200.0),
    ],
)
def test_burst_is_granted_at_once_and_then_the_rate(
    request_of: RequestOf, options: dict[str, Any], at_once: int, seconds: float
) -> None:
    ask = limited(request_of, **options)
    now = 86_400.0 * 365  # a machine that has run for a year
    assert [ask(now) is None for _ in range(at_once + 2)] == [True] * at_once + [False] * 2
    assert ask(now + seconds * 0.99) is not None
    assert [ask(now + seconds * 1.001) is None for _ in range(2)] == [True, False]
    assert [ask(now + seconds * (at_once + 99)) is None for _ in range(at_once + 1)] == [True] * at_once + [False]


@pytest.mark.parametrize(
    ("rate", "later", "seconds", "policy"),
    [
        ("1/s", 0.0, b"1", b"q=1;w=1"),
        ("100/s", 0.0, b"1", b"q=100;w=1"),
        ("1/m", 0.0, b"60", b"q=1;w=60"),
        ("1/m", 0.5, b"60", b"q=1;w=60"),
        ("1/m", 59.7, b"1", b"q=1;w=60"),
        ("4/h", 600.0, b"300", b"q=4;w=3600"),
    ],
)
def test_refusal_says_when_to_come_again(
    request_of: RequestOf, rate: str, later: float, seconds: bytes, policy: bytes
) -> None:
    ask = limited(request_of, rate=rate)
    while ask(1000.0) is None:
        pass
    refused = ask(1000.0 + later) if later else ask(1000.0)
    assert refused is not None
    assert (refused.status, refused.reason) == (429, "rate_limited")
    lines = refused.block.split(b"\r\n")
    assert b"Retry-After: " + seconds in lines
    assert b'RateLimit: "default";r=0;t=' + seconds in lines
    assert b'RateLimit-Policy: "default";' + policy in lines
    assert ask(1000.0 + later + float(seconds)) is None  # it was no lie


def test_each_client_has_its_own_and_an_ipv6_network_is_one(request_of: RequestOf) -> None:
    ask = limited(request_of, rate="1/s")
    clients = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "::ffff:192.0.2.1"]
    assert [ask(0.0, client) is None for client in clients] == [True, True, True, False, True, False]
    wider = limited(request_of, rate="1/s", ipv6_prefix=48)
    assert [wider(0.0, client) is None for client in ("2001:db8::1", "2001:db8:0:1::1")] == [True, False]


def test_requests_without_the_header_or_cookie_share_one_bucket(request_of: RequestOf) -> None:
    ask = limited(request_of, rate="1/s", by={"header": "X-Api-Key"})
    blocks = [b"x-api-key: a\r\n", b"x-api-key: b\r\n", b"X-API-KEY: a\r\n", b"", b""]
    assert [ask(0.0, block=block) is None for block in blocks] == [True, True, False, True, False]
    ask = limited(request_of, rate="1/s", by={"cookie": "uid"})
    cookies = [b"uid=1", b"a=b; uid=2", b"uid=1; a=b", None, b"a=b"]
    assert [ask(0.0, cookie=cookie) is None for cookie in cookies] == [True, True, False, True, False]


def test_refused_requests_cost_nothing(request_of: RequestOf) -> None:
    ask = limited(request_of, rate="1/s")
    assert ask(0.0) is None
    assert all(ask(number / 100) is not None for number in range(1, 99))
    assert ask(1.0) is None


def test_reload_that_changes_nothing_keeps_the_buckets(request_of: RequestOf) -> None:
    site = Site(where="service shop", states=States())
    before, after = (limited(request_of, site, rate="1/s") for _ in range(2))
    assert (before(0.0), after(0.0) is None) == (None, False)
    other = limited(request_of, Site(where="service other", states=site.states), rate="1/s")
    assert other(0.0) is None


def test_buckets_are_bounded_and_the_one_nearest_to_full_makes_room() -> None:
    buckets = Buckets(1.0, 3, 3)
    for key, count in ((b"one", 3), (b"two", 1), (b"three", 2)):
        for _ in range(count):
            assert buckets.take(key, 0.0) == 0.0
    assert buckets.take(b"new", 0.0) == 0.0
    assert len(buckets) == 3
    assert [buckets.left(key, 0.0) for key in (b"one", b"two", b"three", b"new")] == [0, 3, 1, 2]
    for number in range(100):
        buckets.take(b"%d" % number, 0.0)
        buckets.hear({b"told %d" % number: 1}, 0.0)
    assert len(buckets) == 3
    assert buckets.left(b"one", 0.0) == 0


def test_what_is_told_is_told_once_and_in_portions() -> None:
    buckets = Buckets(1.0, 9, 3)
    for key in (b"a", b"b", b"a", b"c", b"d"):  # of d no note is taken: there is no room for it
        buckets.take(key, 0.0)
    assert buckets.tell(2) == {b"a": 2, b"b": 1}
    assert buckets.tell(2) == {b"c": 1}
    assert buckets.tell(2) == {}


def test_what_others_took_can_be_more_than_there_was() -> None:
    buckets = Buckets(2.0, 4, 9)
    buckets.hear({b"a": 10}, 0.0)
    assert buckets.left(b"a", 0.0) == -6
    assert buckets.take(b"a", 0.0) == pytest.approx(3.5, abs=0.01)
    assert buckets.take(b"a", 3.4) > 0
    assert buckets.take(b"a", 3.5) == 0.0
    assert buckets.tell(9) == {b"a": 1}  # what was heard is not told again
