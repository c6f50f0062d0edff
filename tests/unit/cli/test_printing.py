"""What people are shown."""

from typing import Any

import pytest

from proxy.cli import printing
from proxy.cli.admin import service_path
from proxy.cli.top import rows

ENDPOINT = {
    "address": "a:1", "name": None, "state": "up", "weight": 1.0, "in_flight": 2, "tunnels": 0, "why": "GET /: 200",
}  # fmt: skip
LEAVING = {**ENDPOINT, "state": "draining", "tunnels": 3, "why": None}
SERVICE: dict[str, Any] = {
    "name": "shop",
    "split": {"blue": 99.5, "canary": 0.5},
    "split_from": "override",
    "pools": {
        "blue": {"weight": 99.5, "state": "active", "endpoints": [ENDPOINT, LEAVING]},
        "canary": {"weight": 0.5, "state": "active", "endpoints": []},
    },
}  # fmt: skip


def test_service_is_a_line_and_one_for_each_endpoint() -> None:
    assert list(printing.service(SERVICE)) == [
        "shop: blue 99.5 %, canary 0.5 % (override)",
        "  blue  a:1  up        weight 1  2 in flight",
        "  blue  a:1  draining  weight 1  2 in flight, 3 tunnels",
    ]


def test_service_says_why_an_endpoint_is_not_up_and_what_its_name_is() -> None:
    down = {**ENDPOINT, "name": "shop:80", "state": "down", "why": "GET /: 503"}
    view = {**SERVICE, "pools": {"blue": {"weight": 100, "state": "active", "endpoints": [ENDPOINT, down]}}}
    assert list(printing.service(view))[1:] == [
        "  blue  a:1            up    weight 1  2 in flight",
        "  blue  a:1 (shop:80)  down  weight 1  2 in flight  GET /: 503",
    ]


OVERRIDES = [
    (
        "split",
        {"a": 90, "b": 10},
        {"b": 5, "a": 95},
        None,
        None,
        "split of shop: a 95 %, b 5 % (the file: a 90 %, b 10 %)",
    ),
    ("split", {"blue": 100}, {"blue": 5}, None, None, "split of shop: blue 5 % (the file: blue 100 %)"),
    ("endpoint", 1, None, "blue", "a:1", "endpoint shop blue a:1: not there (the file: weight 1)"),
    ("endpoint", None, 2, "blue", "a:1", "endpoint shop blue a:1: weight 2 (the file: not there)"),
    ("drain", None, {}, "blue", None, "drain of shop blue"),
    (
        "route",
        None,
        {"headers": {"x-a": "1"}, "flags": {"f": "on"}},
        "blue",
        None,
        "requests of shop with x-a: 1, f: on go to blue",
    ),
    ("mirror", None, 0.5, "blue", None, "50 % of the requests of shop are copied to blue"),
]


@pytest.mark.parametrize(("field", "file", "value", "pool", "address", "line"), OVERRIDES)
def test_override_is_one_line(field: str, file: Any, value: Any, pool: Any, address: Any, line: str) -> None:
    each = {"service": "shop", "field": field, "file": file, "value": value, "pool": pool, "address": address}
    assert printing.override(each) == line


@pytest.mark.parametrize(
    ("file", "value", "line"),
    [
        ((1, False), (1, True), "weight 1, backup (the file: weight 1)"),
        ((1, True), (2, False), "weight 2 (the file: weight 1, backup)"),
        ((None, False), (1, True), "weight 1, backup (the file: not there)"),
        ((1, True), (None, False), "not there (the file: weight 1, backup)"),
    ],
)
def test_override_of_an_endpoint_says_whether_it_is_a_backup(file: Any, value: Any, line: str) -> None:
    each = {"service": "shop", "field": "endpoint", "pool": "blue", "address": "a:1"}
    now = {"value": value[0], "backup": value[1], "file": file[0], "file_backup": file[1]}
    assert printing.override({**each, **now}) == f"endpoint shop blue a:1: {line}"


def test_event_is_one_line() -> None:
    each = {
        "id": 7,
        "at": 0.0,
        "kind": "split",
        "service": "shop",
        "by": "ci",
        "before": {"blue": 1},
        "after": {"blue": 2},
    }
    said = printing.event({**each, "text": "", "reason": "x"})
    assert said == "1970-01-01 00:00:00Z #7 split shop by ci: blue 1 -> blue 2; because x"
    said = printing.event({**each, "before": None, "after": None, "text": "r paused: x", "reason": "x"})
    assert said.endswith("by ci: r paused: x")
    bare = {**each, "service": None, "before": None, "after": None, "text": "", "reason": None}
    assert printing.event(bare) == "1970-01-01 00:00:00Z #7 split by ci"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0s"), (59, "59s"), (60, "1m"), (7200, "2h"), (200_000, "2d")])
def test_duration_is_short(seconds: float, text: str) -> None:
    assert printing.duration(seconds) == text


def test_url_of_a_service_is_encoded() -> None:
    found = service_path("a/b", "pools", "p", "endpoints", "unix:/run/é b")
    assert found == "/v1/services/a%2Fb/pools/p/endpoints/unix%3A%2Frun%2F%C3%A9%20b"


def _status(requests: int, errors: int, seconds: float) -> dict[str, Any]:
    pool = {"service": "shop", "pool": "blue", "requests": requests, "errors": errors, "seconds": seconds}
    return {"traffic": {"pools": [{**pool, "in_flight": 4, "tunnels": 1}], "mirrors": []}}


RATES: list[tuple[Any, Any, tuple[str, ...]]] = [
    (None, _status(5, 1, 1.0), ("-", "-", "-")),
    (_status(100, 10, 1.0), _status(120, 11, 1.5), ("10.0", "0.5", "25.0 ms")),
    (_status(100, 10, 1.0), _status(100, 10, 1.0), ("0.0", "0.0", "-")),
    (_status(100, 10, 1.0), _status(3, 0, 0.1), ("0.0", "0.0", "-")),
]


@pytest.mark.parametrize(("before", "after", "expected"), RATES)
def test_rates_are_differences_and_never_negative(before: Any, after: Any, expected: tuple[str, ...]) -> None:
    blue, canary = rows(before, after, [SERVICE], 2.0)
    assert blue == ("shop", "blue", "99.5 %", "active", *expected, "4", "1", "1 up, 1 draining")
    assert canary == ("shop", "canary", "0.5 %", "active", "-", "-", "-", "0", "0", "")


def _side(ok: int, failed: int, seconds: float) -> dict[str, Any]:
    return {"statuses": {"2xx": ok, "5xx": failed}, "seconds": seconds, "median": 0.0031, "slowest": 0.0099}


def _mirrored(real: dict[str, Any], shadow: dict[str, Any]) -> dict[str, Any]:
    mirror = {"service": "shop", "pool": "canary", "real": real, "shadow": shadow, "skipped": {"body": 3, "full": 1}}
    return {"traffic": {"pools": [], "mirrors": [mirror]}}


def test_mirror_shows_the_shadow_beside_the_real_one() -> None:
    (mirror,) = _mirrored(_side(118, 0, 1.0), _side(112, 6, 1.0))["traffic"]["mirrors"]
    assert printing.mirror(mirror) == (
        "shop to canary: real 118 2xx, 0 5xx, median 3.1 ms, 95 % 9.9 ms; shadow 112 2xx, 6 5xx, median 3.1 ms,"
        " 95 % 9.9 ms; not copied: 3 body, 1 full"
    )
    none = {"statuses": {}, "seconds": 0.0, "median": None, "slowest": None}
    assert printing.mirror({**mirror, "real": none, "shadow": none, "skipped": {}}) == (
        "shop to canary: real none; shadow none"
    )


def test_mirror_has_a_row_for_each_side() -> None:
    before = _mirrored(_side(10, 0, 1.0), _side(8, 2, 2.0))
    after = _mirrored(_side(20, 0, 1.1), _side(14, 6, 2.5))
    assert rows(before, after, [], 2.0) == [
        ("shop", "canary: real", "", "mirror", "5.0", "0.0", "10.0 ms", "", "", ""),
        ("shop", "canary: shadow", "", "mirror", "5.0", "2.0", "50.0 ms", "", "", ""),
    ]
    assert rows(None, after, [], 2.0)[1][4:7] == ("-", "-", "-")


def test_what_is_left_of_a_drain_is_counted() -> None:
    assert printing.left_on(SERVICE, "blue", None) == (4, 3, False)
    drained = {"pools": {"blue": {"endpoints": [{**ENDPOINT, "in_flight": 0, "state": "drained"}]}}}
    assert printing.left_on(drained, "blue", "a:1") == (0, 0, True)
