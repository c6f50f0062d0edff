from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from proxy.config.load import Loaded
from proxy.snapshot import document as doc

Load = Callable[..., Loaded]


def document(loaded: Load, text: str) -> doc.Document:
    result = loaded(text)
    assert result.problems == []
    assert result.document is not None
    return result.document


def test_what_is_not_written_has_the_defaults_of_the_document(loaded: Load) -> None:
    text = """\
listeners: [{bind: 127.0.0.1:1}]
services: {s: {pools: {p: {endpoints: [h:1]}}}}
routes: [{service: s}]
"""
    pool = doc.Pool("p", (doc.Endpoint("h:1"),))
    assert document(loaded, text) == doc.Document(
        listeners=(doc.Listener("127.0.0.1:1"),),
        services=(doc.Service("s", (pool,), {"p": 1.0}),),
        routes=(doc.Route(service="s"),),
    )


def test_everything_written_arrives(loaded: Load, tmp_path: Any) -> None:
    text = """\
listeners:
  - bind: "[::1]:0"
    trusted_proxies: [10.0.0.0/8, 192.0.2.1]
    limits: {head: 1KiB, fields: 2, target: 3B, body: 4MiB, head_timeout: 5s, keep_alive: 6m, min_rate: off,
             connections: 7, per_client: 8}
admin: {bind: 0.0.0.0:9, token: s3cret, hosts: [Admin.Example.COM]}
status: {bind: 127.0.0.1:10}
workers: auto
store: {path: state}
cookie_keys: [one, two]
shutdown: {delay: 1s, idle: 2s, grace: 3s}
restart: {grace: 2h}
dns: {interval: 1m}
access_log: {path: a.log, format: '{status}', sample: 10%, if: {status: [404, 500-599], slower_than: 1s}}
filters: [{response_headers: {set: {x-a: 1}}}]
services:
  s:
    pools:
      p: {endpoints: [{address: h:1, weight: 2.5}, "unix:a"]}
      q: {endpoints: [169.254.0.1:1], allow_link_local: true}
    split: {p: 2, q: 1}
    sticky: {cookie: c, ttl: 1h, on_change: hold, hold_for: 5m, endpoint: true}
    balance: {hash: {client: true}}
    health: {path: /h, interval: 1s, timeout: 2s, passes: 3, fails: 4, expect: [200, 300-399]}
    ejection: {consecutive_errors: 1, base: 1s, max: 2s, max_share: 10%}
    retry: {retries: 2, on: [5xx, 429], methods: [GET, POST], body: 1B, per_try: 1s, budget: 0.5}
    timeouts: {connect: 1s, response: off, body_idle: off, tunnel_idle: off, total: 9s, upstream_idle: 0s}
    limits: {connections: 1, pending: 0, pending_timeout: 1s}
    slow_start: 10s
    filters: [{rewrite: {host: h}}]
routes:
  - name: r
    match: {share: 10%, path: /a/*, headers: {x: true, y: {regex: "1"}}}
    service: s
    pool: q
    otherwise: split
    timeouts: {total: off}
    retry: {retries: 0}
    filters: [{request_headers: {add: {x: 0x1F}}}]
  - {match: {path: /b}, respond: {status: 418, body: 12}}
"""
    timeouts = doc.Timeouts(1.0, None, None, None, 9.0, 0.0)
    retry = doc.Retry(2, ("5xx", "429"), ("GET", "POST"), 1, 1.0, 0.5)
    headers = {"x": "true", "y": {"regex": "1"}}
    match = (
        doc.Plugin("share", {"value": 0.1}),
        doc.Plugin("path", {"value": "/a/*"}),
        doc.Plugin("headers", {"value": headers}),
    )
    expected = doc.Document(
        listeners=(
            doc.Listener(
                "[::1]:0",
                ("10.0.0.0/8", "192.0.2.1/32"),
                doc.ListenerLimits(1024, 2, 3, 4 * 2**20, 5.0, 360.0, None, 7, 8),
            ),
        ),
        services=(
            doc.Service(
                "s",
                (
                    doc.Pool("p", (doc.Endpoint("h:1", 2.5), doc.Endpoint(f"unix:{tmp_path}/a"))),
                    doc.Pool("q", (doc.Endpoint("169.254.0.1:1"),), allow_link_local=True),
                ),
                {"p": 2 / 3, "q": 1 / 3},
                doc.Sticky("c", None, 3600.0, "hold", 300.0, True),
                doc.Plugin("hash", {"client": True}),
                doc.Health("/h", 1.0, 2.0, 3, 4, ((200, 200), (300, 399))),
                doc.Ejection(1, 1.0, 2.0, 0.1),
                retry,
                timeouts,
                doc.Limits(1, 0, 1.0),
                10.0,
                (doc.Plugin("rewrite", {"host": "h"}),),
            ),
        ),
        routes=(
            doc.Route(
                name="r",
                match=match,
                service="s",
                pool="q",
                otherwise="split",
                timeouts=msgspec.structs.replace(timeouts, total=None),
                retry=msgspec.structs.replace(retry, retries=0),
                filters=(doc.Plugin("request_headers", {"add": {"x": "0x1F"}}),),
            ),
            doc.Route(
                match=(doc.Plugin("path", {"value": "/b"}),),
                action=doc.Plugin("respond", {"status": 418, "body": "12"}),
            ),
        ),
        filters=(doc.Plugin("response_headers", {"set": {"x-a": "1"}}),),
        admin=doc.Admin("0.0.0.0:9", "s3cret", ("admin.example.com",)),
        status="127.0.0.1:10",
        workers="auto",
        store=f"{tmp_path}/state",
        cookie_keys=("one", "two"),
        shutdown=doc.Shutdown(1.0, 2.0, 3.0),
        restart_grace=7200.0,
        dns_interval=60.0,
        access_log=doc.AccessLog(f"{tmp_path}/a.log", "{status}", 0.1, ((404, 404), (500, 599)), 1.0),
    )
    made = document(loaded, text)
    assert made == expected
    assert msgspec.json.decode(msgspec.json.encode(made), type=doc.Document) == expected


SPLITS = [
    ("{blue: 90, green: 10}", {"blue": 0.9, "green": 0.1}),
    ("{green: 10%, blue: 90%}", {"green": 0.1, "blue": 0.9}),
    ("{blue: 0.5, green: 1.5}", {"blue": 0.25, "green": 0.75}),
    ("{blue: 33.3%, green: 66.7%}", {"blue": 0.333, "green": 0.667}),
    ("{blue: 100, green: 0}", {"blue": 1.0, "green": 0.0}),
    ("{blue: 100}", {"blue": 1.0}),
    ("{blue: 100%}", {"blue": 1.0}),
    ("{blue: '1', green: '3'}", {"blue": 0.25, "green": 0.75}),
]


@pytest.mark.parametrize(("written", "shares"), SPLITS)
def test_split_becomes_shares_in_the_order_written(
    loaded: Load, plain: str, written: str, shares: dict[str, float]
) -> None:
    made = document(loaded, plain.replace("{blue: 90, green: 10}", written)).services[0].split
    assert list(made.items()) == list(shares.items())


@pytest.mark.parametrize(
    ("written", "key"),
    [("{header: X-User}", doc.StickyKey("header", "X-User")), ("{cookie: uid}", doc.StickyKey("cookie", "uid"))],
)
def test_sticky_key_arrives(loaded: Load, plain: str, written: str, key: doc.StickyKey) -> None:
    made = document(loaded, plain.replace("    split:", f"    sticky: {{key: {written}}}\n    split:"))
    assert made.services[0].sticky == doc.Sticky(key=key)


def test_sections_can_be_off(loaded: Load, plain: str) -> None:
    off = "    sticky: off\n    health: off\n    ejection: off\n    slow_start: off\n    split:"
    service = document(loaded, plain.replace("    split:", off)).services[0]
    assert (service.sticky, service.health, service.ejection, service.slow_start) == (None, None, None, None)


def test_address_that_cannot_be_had_finds_its_place(loaded: Load, plain: str) -> None:
    result = loaded(f"{plain}admin: {{bind: localhost:9000}}\nstatus: {{bind: unix:a}}\n")
    assert result.document is not None
    assert result.document.status is not None
    binds = [result.document.listeners[0].bind, result.document.admin.bind, result.document.status]
    places = [(place.line, place.column) for place in map(result.place_of_bind, binds)]
    assert places == [(1, 20), (10, 15), (11, 16)]
    default = loaded(plain).place_of_bind("127.0.0.1:9900")
    assert (default.line, default.column) == (0, 0)
