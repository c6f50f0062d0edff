"""Every kind of mistake, and the line that a person is told."""

# ruff: noqa: E501 - a line of the table is the line that is told

from collections.abc import Callable

import pytest

from proxy.config.load import Loaded

Problems = Callable[..., list[str]]

SECRET = {"SECRET": "hunter2!"}

# what is replaced in the plain configuration, by what, and all that is said then
MISTAKES = [
    (
        "endpoints: [127.0.0.1:9001]",
        "endpoint: [127.0.0.1:9001]",
        ["5:14: unknown key 'endpoint' (did you mean endpoints?)"],
    ),
    ("  - service: shop", "  - servise: shop", ["9:5: unknown key 'servise' (did you mean service?)"]),
    ("  - service: shop", "  - service: shp", ["9:14: there is no service 'shp' (did you mean shop?)"]),
    (
        "  - service: shop",
        "  - {service: shop, pool: gren}",
        ["9:27: the service 'shop' has no pool 'gren' (did you mean green?)"],
    ),
    (
        "  - service: shop",
        "  - {service: shop, redirect: {path: /x}}",
        ["9:21: the route has both service and redirect (a route has one of service, redirect or respond)"],
    ),
    ("  - service: shop", "  - {redirect: {pth: /x}}", ["9:17: unknown key 'pth' (did you mean path?)"]),
    ("  - service: shop", "  - {redirect: {}}", ["9:16: redirect takes either a path or a url"]),
    (
        "  - service: shop",
        "  - {redirect: {path: /new/*}}",
        ["9:6: `*` in '/new/*' needs a route whose match has a path that ends in /*"],
    ),
    (
        "  - service: shop",
        "  - {pool: blue}",
        ["9:5: the route leads nowhere (add service, redirect or respond)", "9:6: pool needs a service beside it"],
    ),
    ("  - service: shop", "  - {service: shop, otherwise: split}", ["9:21: otherwise needs a pool beside it"]),
    (
        "  - service: shop",
        "  - {service: shop, match: {client: [10.0.0.0/8, 10.0.0.1/8]}}",
        ["9:50: '10.0.0.1/8' has bits beyond its mask (did you mean 10.0.0.0/8?)"],
    ),
    (
        "  - service: shop",
        "  - {service: shop, match: {client: [10.0.0.0/33]}}",
        ["9:38: '10.0.0.0/33' is not a network (write it like 10.0.0.0/8, 10.1.2.3 or 2001:db8::/32)"],
    ),
    (
        "  - service: shop",
        "  - {service: shop, match: {share: 10%}}",
        ["9:29: share needs a route with a name (who is in depends on it; add name: …)"],
    ),
    (
        "  - service: shop",
        "  - {service: shop, name: a, match: {share: 10}}",
        ["9:45: '10' is not a share between 0% and 100% (write it like 10%, 0.5% or 0.1)"],
    ),
    (
        "  - service: shop",
        "  - {service: shop, match: {paths: /x}}",
        ["9:29: unknown key 'paths' (did you mean path?)"],
    ),
    (
        "  - service: shop",
        "  - {service: shop, match: {path: {a: 1}}}",
        ["9:35: one value or a list belongs here, not a mapping"],
    ),
    (
        "  - service: shop",
        "  - {service: shop, match: {headers: {x: {regx: 1}}}}",
        ["9:43: unknown key 'regx' (did you mean regex?)"],
    ),
    (
        "  - service: shop",
        "  - {service: shop, match: {headers: {x: [1]}}}",
        ["9:42: one value or a mapping belongs here, not a list"],
    ),
    (
        "  - service: shop",
        "  - {service: shop, match: {headers: {x: {regex: '(a)\\1'}}}}",
        ["9:50: regex '(a)\\\\1' may take for ever: it refers back to a group (write the group out again)"],
    ),
    (
        "  - service: shop",
        "  - {service: shop, filters: [{rewrit: {host: a}}]}",
        ["9:32: unknown key 'rewrit' (did you mean rewrite?)"],
    ),
    (
        "  - service: shop",
        "  - {service: shop, filters: [rewrite]}",
        ["9:31: a mapping belongs here, not 'rewrite' (write key: value, one to a line, or {key: value})"],
    ),
    (
        "  - service: shop",
        "  - {service: shop, filters: [{rewrite: {host: a}, request_headers: {remove: [x]}}]}",
        ["9:31: exactly one filter belongs here, not 2 (there is request_headers, response_headers, rewrite)"],
    ),
    (
        "  - service: shop",
        "  - {service: shop, filters: [{request_headers: {set: {content-length: 1}}}]}",
        ["9:56: header 'content-length' is a matter of framing, which is the proxy's own (leave it out)"],
    ),
    (
        "  - service: shop",
        "  - {service: shop, name: a}\n  - {service: shop, name: a}",
        ["10:27: two routes are called 'a' (first at 9:27)"],
    ),
    (
        "split: {blue: 90, green: 10}",
        "split: {blue: 90%, green: 20%}",
        ["7:12: the split adds up to 110%, not 100% (or leave the % out: parts are relative then)"],
    ),
    (
        "split: {blue: 90, green: 10}",
        "split: {blue: 90%, green: 10}",
        ["7:12: the split mixes per cents and plain numbers (give all of them a %, or none)"],
    ),
    (
        "split: {blue: 90, green: 10}",
        "split: {blue: 0, green: 0}",
        ["7:12: the split gives nothing to any pool (give at least one more than 0)"],
    ),
    (
        "split: {blue: 90, green: 10}",
        "split: {blue: 90}",
        ["7:12: the split names blue alone, and gives it 90 (name the others too, or write 100)"],
    ),
    (
        "split: {blue: 90, green: 10}",
        "split: {blue: 90, gren: 10}",
        ["7:23: there is no pool 'gren' (did you mean green?)"],
    ),
    (
        "split: {blue: 90, green: 10}",
        "split: {blue: -1, green: x}",
        [
            "7:19: '-1' is not a part of a split (write it like 90, 0.5 or 90%)",
            "7:30: 'x' is not a part of a split (write it like 90, 0.5 or 90%)",
        ],
    ),
    (
        "split: {blue: 90, green: 10}",
        "split: [1]",
        ["7:12: a mapping belongs here, not a list (write key: value, one to a line, or {key: value})"],
    ),
    (
        "    split: {blue: 90, green: 10}\n",
        "",
        ["3:3: the service 'shop' has several pools and no split (write split: {blue: 100, green: 0})"],
    ),
    (
        "split: {blue: 90, green: 10}",
        "split: {}",
        ["7:12: the split names no pool (write {blue: 90, canary: 10}, or leave it out where there is one pool)"],
    ),
    ("split: {blue: 90, green: 10}", "split:", ["7:11: no value stands here (remove the key, or give it a value)"]),
    ("[127.0.0.1:9001]", "[]", ["5:25: at least one belongs here"]),
    (
        "[127.0.0.1:9001]",
        "127.0.0.1:9001",
        ["5:25: a list belongs here, not '127.0.0.1:9001' (write [one, two], or one to a line after a dash)"],
    ),
    (
        "[127.0.0.1:9001]",
        "[127.0.0.1]",
        [
            "5:26: '127.0.0.1' is not an address with a port (write it like 10.0.0.1:8080, [::1]:8080 or unix:/run/shop.sock)"
        ],
    ),
    ("[127.0.0.1:9001]", "[127.0.0.1:0]", ["5:26: '127.0.0.1:0' has port 0 (an endpoint's port is 1 to 65535)"]),
    (
        "[127.0.0.1:9001]",
        "[127.0.0.1:70000]",
        [
            "5:26: '127.0.0.1:70000' has a port beyond 65535 (write it like 10.0.0.1:8080, [::1]:8080 or unix:/run/shop.sock)"
        ],
    ),
    (
        "[127.0.0.1:9001]",
        "['::1:9001']",
        ["5:26: '::1:9001' is not an address with a port (put IPv6 addresses in brackets: [::1]:8080)"],
    ),
    (
        "[127.0.0.1:9001]",
        "['[::1:9001']",
        [
            "5:26: '[::1:9001' is not an address with a port (write it like 10.0.0.1:8080, [::1]:8080 or unix:/run/shop.sock)"
        ],
    ),
    (
        "[127.0.0.1:9001]",
        "[0x7f000001:9001]",
        [
            "5:26: '0x7f000001:9001' has neither an IP address nor a host name before the port (write it like 10.0.0.1:8080, [::1]:8080 or unix:/run/shop.sock)"
        ],
    ),
    (
        "[127.0.0.1:9001]",
        "[127.1:9001]",
        [
            "5:26: '127.1:9001' has neither an IP address nor a host name before the port (write it like 10.0.0.1:8080, [::1]:8080 or unix:/run/shop.sock)"
        ],
    ),
    (
        "[127.0.0.1:9001]",
        "[http://a:9001]",
        [
            "5:26: 'http://a:9001' is not an address with a port (leave scheme and path out: write it like 10.0.0.1:8080)"
        ],
    ),
    ("[127.0.0.1:9001]", "['unix:']", ["5:26: 'unix:' names no socket (write it like unix:/run/shop.sock)"]),
    (
        "[127.0.0.1:9001]",
        "[169.254.169.254:80]",
        [
            "5:26: '169.254.169.254:80' is a link-local address (cloud machines give out their credentials there; if it is meant: allow_link_local: true in the pool)"
        ],
    ),
    (
        "[127.0.0.1:9001]",
        "['[::ffff:169.254.169.254]:80']",
        [
            "5:26: '[::ffff:169.254.169.254]:80' is a link-local address (cloud machines give out their credentials there; if it is meant: allow_link_local: true in the pool)"
        ],
    ),
    (
        "[127.0.0.1:9001]",
        "[127.0.0.1:9001, 127.0.0.1:9001]",
        ["5:42: '127.0.0.1:9001' is an endpoint of 'blue' twice (first at 5:26; a weight gives it more)"],
    ),
    (
        "[127.0.0.1:9001]",
        "[localhost:9900]",
        [
            "5:26: 'localhost:9900' leads back to ourselves: the admin (by default) listens there (requests would go in circles)"
        ],
    ),
    (
        "[127.0.0.1:9001]",
        "[127.0.0.1:8080]",
        ["5:26: '127.0.0.1:8080' leads back to ourselves: a listener listens there (requests would go in circles)"],
    ),
    (
        "[127.0.0.1:9001]",
        "[{address: 127.0.0.1:9001, weight: 0}]",
        ["5:60: '0' is no weight (a weight is more than 0; drain or remove what shall take nothing)"],
    ),
    (
        "[127.0.0.1:9001]",
        "[{address: 127.0.0.1:9001, weight: '2'}]",
        ["5:60: '2' is not a number (write it in digits, without quotes)"],
    ),
    ("[127.0.0.1:9001]", "[{adress: 127.0.0.1:9001}]", ["5:27: unknown key 'adress' (did you mean address?)"]),
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
            "1:1: unknown key 'x' (there is listeners, admin, status, workers, store, cookie_keys, shutdown, restart, dns, access_log, services, filters, routes)",
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
        "listeners: [{bind: 127.0.0.1:8080}]\nrollouts: {}\nflags: {}\nworkers: 0\naccess_log: [1]\nadmin: {token: '', hosts: [a/b]}",
        [
            "2:1: unknown key 'rollouts' (not in this version)",
            "3:1: unknown key 'flags' (not in this version)",
            "4:10: '0' is not between 1 and 1024",
            "5:13: one value belongs here, not a list",
            "6:16: the secret is empty, or holds more than printable ASCII (make one: openssl rand -hex 32)",
            "6:28: 'a/b' is not a host (write it without scheme, port and path)",
        ],
    ),
    (
        "    split:",
        "    sticky: {}\n    split:",
        ["7:13: sticky needs exactly one of cookie and key (write {cookie: sluice_shop}, for example)"],
    ),
    (
        "    split:",
        "    sticky: {cookie: a, key: {header: b}}\n    split:",
        ["7:13: sticky needs exactly one of cookie and key (write {cookie: sluice_shop}, for example)"],
    ),
    (
        "    split:",
        "    sticky: {key: {header: b, cookie: c}, on_change: hold}\n    split:",
        ["7:19: a key is exactly one of header and cookie (write {header: x-user-id} or {cookie: uid})"],
    ),
    (
        "    split:",
        "    sticky: {cookie: 'a b', on_change: holt}\n    split:",
        [
            "7:22: 'a b' cannot be the name of a cookie or header (write letters, digits, - and _)",
            "7:40: 'holt' is not known here (write move or hold)",
        ],
    ),
    ("    split:", "    balance: rnd\n    split:", ["7:14: 'rnd' is not known here (did you mean random?)"]),
    (
        "    split:",
        "    balance: {hash: {}}\n    split:",
        ["7:21: hash takes exactly one key (write it like {header: x-user-id} or {cookie: uid})"],
    ),
    (
        "    split:",
        "    balance: hash\n    split:",
        ["7:14: hash takes exactly one key (write it like {header: x-user-id} or {cookie: uid})"],
    ),
    (
        "    split:",
        "    retry: {on: [conect], methods: all, budget: 200%}\n    health: {path: x, expect: 9}\n    timeouts: {connect: off}\n    split:",
        [
            "7:18: 'conect' is not something to retry on (write connect, reset, timeout, 5xx or a status from 400 to 599)",
            "7:36: 'all' is not known here (write idempotent)",
            "7:49: '200%' is not a share between 0% and 100% (write it like 10%, 0.5% or 0.1)",
            "8:20: 'x' is not a path (it begins with a slash and is ASCII without blanks)",
            "8:31: '9' is not a range of statuses (write it like 200 or 200-399)",
            "9:25: 'off' is not a duration (write it like 250ms, 5s, 10m, 1h or 30d)",
        ],
    ),
    (
        "    split:",
        "    ejection: of\n    split:",
        ["7:15: a mapping belongs here, not 'of' (write key: value, one to a line, or {key: value})"],
    ),
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
    (
        "  - service: shop",
        "  - {service: shop, timeouts: {respons: 5s}}",
        ["9:32: unknown key 'respons' (did you mean response?)"],
    ),
    (
        "  - service: shop",
        "  - {respond: {status: 700}}",
        ["9:15: 700 is not a status to respond with (use 200 to 599)"],
    ),
    ("  - service: shop", "  - {respond: {}, timeouts: {}}", ["9:19: timeouts needs a service beside it"]),
    (
        "    split:",
        "    filters: [{rewrite: {path: /new/*}}]\n    split:",
        ["7:16: `*` in '/new/*' needs a route whose match has a path that ends in /*"],
    ),
    (
        "[127.0.0.1:9001]",
        "['unix:/run/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx']",
        [
            "5:26: the path of 'unix:/run/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is longer than 107 bytes (the system takes no longer ones)"
        ],
    ),
    (
        "  shop:",
        "  'shop floor':\n    pools: {a: {endpoints: [a:1]}}\n  shop:",
        [
            "3:3: 'shop floor' is not a name (a name is letters, digits and . _ - and begins with a letter, a digit or _; at most 64 of them)"
        ],
    ),
    (
        "split: {blue: 90, green: 10}",
        "split: {blue: {a: 1}, green: [1]}",
        ["7:19: one value belongs here, not a mapping", "7:34: one value belongs here, not a list"],
    ),
    ("  - service: shop", "  - [1]: 2", ["9:5: a list cannot be a key (keys are texts)"]),
]


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES)
def test_mistake_is_told_with_its_place_and_a_remedy(
    problems: Problems, plain: str, old: str, new: str, expected: list[str]
) -> None:
    assert old in plain
    assert problems(plain.replace(old, new, 1), SECRET) == expected


def test_words_of_a_plugin_get_the_place_of_the_value_they_quote(problems: Problems, plain: str) -> None:
    (said,) = problems(f"{plain}    match: {{path: [/a, '~(a+)+']}}\n")
    assert said.startswith("10:24: regex '(a+)+' ")


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


def test_unknown_key_that_is_like_nothing_lists_what_there_is(problems: Problems, plain: str) -> None:
    assert problems(plain.replace("pools:", "split: {}\n    zzz: 1\n    pools:", 1))[1].endswith(
        "unknown key 'zzz' (there is pools, split, sticky, balance, health, ejection, retry, timeouts, limits,"
        " slow_start, filters)"
    )


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


WARNINGS = [
    ("listeners:", "store: {path: a}\nlisteners:", ["1:1: store has no effect in this version"]),
    ("listeners:", "dns: {interval: 1s}\nlisteners:", ["1:1: dns has no effect in this version"]),
    ("listeners:", "access_log: json\nlisteners:", ["1:1: access_log has no effect in this version"]),
    ("listeners:", "access_log: off\nstatus: off\nlisteners:", []),
    ("listeners:", "workers: auto\nlisteners:", ["1:10: this version has one worker (workers has no effect yet)"]),
    ("listeners:", "workers: 1\nlisteners:", []),
    ("    split:", "    health: {path: /}\n    split:", ["7:5: health has no effect in this version"]),
    ("    split:", "    slow_start: 5s\n    split:", ["7:5: slow_start has no effect in this version"]),
    ("    split:", "    health: off\n    slow_start: off\n    split:", []),
    (
        "    split:",
        "    sticky: {key: {header: a}, endpoint: true}\n    split:",
        ["7:42: sticky.endpoint has no effect in this version"],
    ),
    (
        "    split:",
        "    sticky: {cookie: a}\n    split:",
        ["7:22: no cookie_keys are set (one is made; sticky holds for this instance only, until it ends)"],
    ),
    (
        "listeners:",
        "cookie_keys: [short]\nlisteners:",
        ["1:15: a cookie key shorter than 16 characters (openssl rand -hex 32)"],
    ),
    ("  shop:", "  idle: {pools: {a: {endpoints: [a:1]}}}\n  shop:", ["3:3: no route leads to the service 'idle'"]),
    (
        "  - service: shop",
        "  - service: shop\n  - {name: late, service: shop}",
        ["10:5: this route is never reached (the one before it matches every request)"],
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), WARNINGS)
def test_warning_is_given(
    warnings: Callable[[str], list[str]], plain: str, old: str, new: str, expected: list[str]
) -> None:
    assert old in plain
    assert warnings(plain.replace(old, new, 1)) == expected


def test_cookie_of_two_services_is_warned_about(warnings: Callable[[str], list[str]]) -> None:
    text = """\
listeners: [{bind: 127.0.0.1:8080}]
cookie_keys: [0123456789abcdef]
services:
  a: {pools: {x: {endpoints: [h:1]}}, sticky: {cookie: s}}
  b: {pools: {x: {endpoints: [h:1]}}, sticky: {cookie: s}}
routes: [{match: {path: /a}, service: a}, {service: b}]
"""
    assert warnings(text) == [
        "5:56: two services use the cookie 's' (the sessions of one mean nothing to the other, and each replaces them)"
    ]


def test_address_that_cannot_be_had_finds_its_place(loaded: Callable[..., Loaded], plain: str) -> None:
    result = loaded(f"{plain}admin: {{bind: localhost:9000}}\nstatus: {{bind: unix:a}}\n")
    assert result.document is not None
    assert result.document.status is not None
    binds = [result.document.listeners[0].bind, result.document.admin.bind, result.document.status]
    places = [(place.line, place.column) for place in map(result.place_of_bind, binds)]
    assert places == [(1, 20), (10, 15), (11, 16)]
    default = loaded(plain).place_of_bind("127.0.0.1:9900")
    assert (default.line, default.column) == (0, 0)
