"""Mistakes in the YAML itself, in listeners and the rest of the root, and several at once."""

# ruff: noqa: E501 - a line of the table is the line that is told

from collections.abc import Callable

import pytest

Problems = Callable[..., list[str]]

SECRET = {"SECRET": "hunter2!"}

# what is replaced in the plain configuration, by what, and all that is said then
MISTAKES = [
    ("split: {blue: 90, green: 10}", "split:", ["7:11: no value stands here (remove the key, or give it a value)"]),
    (
        "  shop:",
        "  shop: {}\n  shop:",
        ["3:9: pools is missing", "4:3: the key 'shop' stands here twice (first at 3:3)"],
    ),
    (
        "  - service: shop",
        "  - service: ${NOPE}",
        ["9:14: the variable NOPE is not set (set it, or write ${NOPE:-default})"],
    ),
    (
        "  - service: shop",
        "  - service: ${SECRET}",
        [
            "9:14: '***' is not a name (a name is letters, digits and . _ - and begins with a letter, a digit or _; at most 64 of them)",
            "9:14: there is no service ***",
        ],
    ),
    (
        "[127.0.0.1:9001]",
        "[${SECRET}:9001, ${SECRET}]",
        [
            "5:26: '***' is not an address with a port (write it like 10.0.0.1:8080, [::1]:8080 or unix:/run/shop.sock)",
            "5:42: '***' is not an address with a port (write it like 10.0.0.1:8080, [::1]:8080 or unix:/run/shop.sock)",
        ],
    ),
    (
        "listeners: [{bind: 127.0.0.1:8080}]",
        "listeners: [{bind: 127.0.0.1:8080}]\nadmin: {token: 'hunt er2', hosts: [x]}",
        ["2:16: the secret is empty, or holds more than printable ASCII (make one: openssl rand -hex 32)"],
    ),
    (
        "  - service: shop",
        "  - service: shop\n ---\n a: 1",
        ["10:2: not YAML: did not find expected key while parsing a block mapping"],
    ),
    (
        "  - service: shop",
        "  - <<: {service: shop}",
        [
            "9:5: merge keys (<<) are not part of YAML 1.2 (write the keys out; anchors and aliases stand for whole values only)"
        ],
    ),
    (
        "  - service: shop",
        "  - service: shop\n\tx: 1",
        ["10:1: not YAML: found a tab character that violates indentation while scanning a plain scalar"],
    ),
    (
        "  - service: shop",
        "  - service: [shop",
        [
            "10:1: not YAML: did not find expected ',' or ']' while parsing a flow sequence (close every [ and {, and quote addresses such as \"[::1]:8080\")"
        ],
    ),
    ("  - service: shop", "  - service: *x", ["9:14: no anchor &x ends before this alias"]),
    ("  - service: shop", "  - &x {service: *x}", ["9:18: no anchor &x ends before this alias"]),
    (
        "  - service: shop",
        "  - !!python/object:os.system {service: shop}",
        ["9:5: the tag 'tag:yaml.org,2002:python/object:os.system' is not taken (leave it out)"],
    ),
    ("  - service: shop", "  - [1]: 2", ["9:5: a list cannot be a key (keys are texts)"]),
    (
        "listeners: [{bind: 127.0.0.1:8080}]",
        "listeners: [{bind: 127.0.0.1:8080}, {bind: '127.0.0.1:8080'}]",
        ["1:44: '127.0.0.1:8080' is taken by a listener already (give each its own port)"],
    ),
    (
        "listeners: [{bind: 127.0.0.1:8080}]",
        "listeners: [{bind: 127.0.0.1:9900}]",
        ["1:20: '127.0.0.1:9900' is taken by the admin (by default) already (give each its own port)"],
    ),
    (
        "listeners: [{bind: 127.0.0.1:8080}]",
        "listeners: [{bind: 127.0.0.1:8080}]\nadmin: {bind: 0.0.0.0:9900}",
        [
            "2:15: the admin can be reached from other machines, and has no token (add token: ${SLUICE_TOKEN}, or bind it to 127.0.0.1 or a unix socket)"
        ],
    ),
    (
        "listeners: [{bind: 127.0.0.1:8080}]",
        "listeners: [{bind: ':8080'}]",
        ["1:20: ':8080' names no address (write 0.0.0.0:8080 for every one, or [::]:8080)"],
    ),
    (
        "listeners: [{bind: 127.0.0.1:8080}]",
        "listeners: [{bind: shop:8080}]",
        ["1:20: 'shop:8080' is not an address to listen at (write an IP address such as 127.0.0.1, not a name)"],
    ),
    ("listeners: [{bind: 127.0.0.1:8080}]", "listeners: []", ["1:12: at least one belongs here"]),
    (
        "listeners: [{bind: 127.0.0.1:8080}]",
        "x: 1",
        [
            "1:1: listeners is missing (where to listen: listeners: [{bind: 127.0.0.1:8080}])",
            "1:1: unknown key 'x' (there is listeners, admin, status, workers, store, cookie_keys, shutdown, restart, dns, access_log, plugins, services, filters, flags, flag_rules, flag_settings, …)",
        ],
    ),
    (
        "listeners: [{bind: 127.0.0.1:8080}]",
        "listeners: [{bind: 127.0.0.1:8080, limits: {head: 5x, body: no, fields: 0, head_timeout: 5, min_rate: -1}, trusted_proxies: [10.0.0.1/8, a]}]",
        [
            "1:51: '5x' is not a size (write it like 240B, 64KiB, 1MiB or 2GiB)",
            "1:61: 'no' is not a size (write it like 240B, 64KiB, 1MiB or 2GiB)",
            "1:73: '0' is not between 1 and 1000000000",
            "1:90: '5' is not a duration (write it like 250ms, 5s, 10m, 1h or 30d)",
            "1:103: '-1' is not a size (write it like 240B, 64KiB, 1MiB or 2GiB)",
            "1:126: '10.0.0.1/8' is not a network (did you mean 10.0.0.0/8?)",
            "1:138: 'a' is not a network (write it like 10.0.0.0/8, 10.1.2.3 or 2001:db8::/32)",
        ],
    ),
    (
        "listeners: [{bind: 127.0.0.1:8080}]",
        "listeners: [{bind: 127.0.0.1:8080}]\nflag_settings: {public: [x]}\nflags: {flagz: {}}\nworkers: 0\naccess_log: [1]\nadmin: {token: '', hosts: [a/b]}",
        [
            "2:26: there is no flag 'x' (there is none)",
            "3:9: unknown key (there is flags, metadata, $evaluators, $schema)",
            "4:10: '0' is not between 1 and 1024",
            "5:13: a mapping belongs here, not a list (write key: value, one to a line, or {key: value})",
            "6:16: the secret is empty, or holds more than printable ASCII (make one: openssl rand -hex 32)",
            "6:28: 'a/b' is not a host (write it without scheme, port and path)",
        ],
    ),
    (
        "listeners: [{bind: 127.0.0.1:8080}]",
        "listeners: [{bind: 127.0.0.1:8080}]\nflags: {flags: null}\nflag_rules: {a: {on_for: {percent: 10}, otherwise: off}}",
        [
            "2:9: must be a map of keys to flags",
            "3:13: flag_rules need flags that are a mapping (write flags: {key: …})",
        ],
    ),
    (
        "listeners: [{bind: 127.0.0.1:8080}]",
        "listeners: [{bind: 127.0.0.1:8080}]\nflag_settings: {public: [checkout]}\nflag_rules: {\U00014647checkout: {on_for: {percent: 1}, otherwise: off}}",
        [
            r"2:26: there is no flag 'checkout' (did you mean \U00014647checkout?)",
            "3:14: a key stands in a URL: use 1 to 256 of A-Z a-z 0-9 . _ -",
        ],
    ),
    (
        "listeners: [{bind: 127.0.0.1:8080}]",
        "listeners: [{bind: 127.0.0.1:8080}]\naccess_log: {path: a.log, format: '{statsu}', iff: {}, sample: 2, if: {status: 600, slower_then: 1s}}",
        [
            "2:35: there is no field {statsu} (there is time, client, scheme, method, target, host, protocol, status, reason, route, service, pool, endpoint, attempts, bucket, connect, first_byte, total, received, sent, request_id, trace_id, user_agent, referer, path, request, clf_time, bytes)",
            "2:47: unknown key 'iff' (did you mean if?)",
            "2:64: '2' is not a share between 0% and 100% (write it like 10%, 0.5% or 0.1)",
            "2:80: '600' is not a range of statuses (write it like 200 or 200-399)",
            "2:85: unknown key 'slower_then' (did you mean slower_than?)",
        ],
    ),
    (
        "listeners: [{bind: 127.0.0.1:8080}]",
        "listeners: [{bind: 127.0.0.1:8080}]\naccess_log: {path: a.log, if: {}}",
        ["2:31: no condition stands here (write status: 500-599, slower_than: 1s, or both)"],
    ),
    (
        "listeners: [{bind: 127.0.0.1:8080}]",
        "listeners: [{bind: 127.0.0.1:8080}, {bind: '0.0.0.0:8080'}]",
        ["1:44: '0.0.0.0:8080' is taken by a listener already (give each its own port)"],
    ),
    (
        "listeners: [{bind: 127.0.0.1:8080}]",
        "listeners: [{bind: unix:/run/a}, {bind: unix:/run/a}]",
        ["1:41: 'unix:/run/a' is taken by a listener already"],
    ),
    (
        "listeners: [{bind: 127.0.0.1:8080}]",
        "listeners: [{bind: 127.0.0.1:8080}]\nstatus: {bind: 127.0.0.1:8080}",
        ["2:16: '127.0.0.1:8080' is taken by a listener already (give each its own port)"],
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES)
def test_mistake_is_told_with_its_place_and_a_remedy(
    problems: Problems, plain: str, old: str, new: str, expected: list[str]
) -> None:
    assert old in plain
    assert problems(plain.replace(old, new, 1), SECRET) == expected


def test_plain_configuration_has_no_problem(problems: Problems, plain: str) -> None:
    assert problems(plain) == []


def test_problems_of_every_kind_are_told_at_once(problems: Problems) -> None:
    text = """\
listeners: [{bind: 127.0.0.1:8080, limits: {haed: 1KiB}}]
admin: {bind: 0.0.0.0:9900}
services:
  shop:
    pools: {blue: {endpoints: [127.0.0.1:8080]}, green: {endpoints: [nowhere]}}
    split: {blue: 50%, green: 40%}
    timeouts: {connect: 2}
    timeouts: {connect: 3s}
routes:
  - {service: shop, pool: bleu}
  - {service: ${NOPE}}
"""
    assert problems(text) == [
        "1:45: unknown key 'haed' (did you mean head?)",
        (
            "2:15: the admin can be reached from other machines, and has no token"
            " (add token: ${SLUICE_TOKEN}, or bind it to 127.0.0.1 or a unix socket)"
        ),
        "5:32: '127.0.0.1:8080' leads back to ourselves: a listener listens there (requests would go in circles)",
        (
            "5:70: 'nowhere' is not an address with a port"
            " (write it like 10.0.0.1:8080, [::1]:8080 or unix:/run/shop.sock)"
        ),
        "6:12: the split adds up to 90%, not 100% (or leave the % out: parts are relative then)",
        "7:25: '2' is not a duration (write it like 250ms, 5s, 10m, 1h or 30d)",
        "8:5: the key 'timeouts' stands here twice (first at 7:5)",
        "10:27: the service 'shop' has no pool 'bleu' (did you mean blue?)",
        "11:15: the variable NOPE is not set (set it, or write ${NOPE:-default})",
    ]


@pytest.mark.parametrize(
    "row",
    [
        ("127.0.0.1:9001", "${SECRET}"),
        ("127.0.0.1:9001", "x${SECRET}:70000"),
        ("{blue: 90", "{blue: ${SECRET}"),
        ("{blue: 90, green: 10}", "{'${SECRET}': 90}"),  # here only the mask stands before it
        ("service: shop", "service: ${SECRET}"),
        ("service: shop", "{service: shop, pool: '${SECRET}'}"),
        ("service: shop", "{service: shop, match: {client: ['${SECRET}']}}"),
        ("service: shop", "{service: shop, match: {path: '~(${SECRET}+)+'}}"),
        ("service: shop", "{service: shop, '${SECRET}': 1}"),
        ("service: shop", "{service: shop, match: {headers: {'${SECRET} x': 1}}}"),
        ("service: shop", "{service: shop, filters: ['${SECRET}']}"),
        ("shop:", "${SECRET}:\n    x: 1\n  ${SECRET}:\n    y: 2\n  shop:"),
        ("listeners:", "admin: {token: 'a hunter2! b'}\nlisteners:"),
        ("listeners:", "cookie_keys: ['a hunter2! b']\nlisteners:"),
        ("listeners:", "workers: ${SECRET}\nlisteners:"),
        ("bind: 127.0.0.1", "bind: ${SECRET}"),
        ("bind: 127.0.0.1:8080", "bind: 127.0.0.1:8080, limits: {head: '${SECRET}'}"),
    ],
)
def test_secret_is_never_told(problems: Problems, plain: str, row: tuple[str, str]) -> None:
    said = problems(plain.replace(*row, 1), SECRET)
    assert said
    assert not [line for line in said if "hunter2" in line.lower()]
