"""Mistakes in services and their splits, and the line that a person is told."""

# ruff: noqa: E501 - a line of the table is the line that is told

from collections.abc import Callable

import pytest

Problems = Callable[..., list[str]]

# what is replaced in the plain configuration, by what, and all that is said then
MISTAKES = [
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
        "    split:",
        "    filters: [{rewrite: {path: /new/*}}]\n    split:",
        ["7:16: `*` in '/new/*' needs a route whose match has a path that ends in /*"],
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
]


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES)
def test_mistake_in_a_service_is_told_with_its_place_and_a_remedy(
    problems: Problems, plain: str, old: str, new: str, expected: list[str]
) -> None:
    assert old in plain
    assert problems(plain.replace(old, new, 1)) == expected


def test_unknown_key_that_is_like_nothing_lists_what_there_is(problems: Problems, plain: str) -> None:
    assert problems(plain.replace("pools:", "split: {}\n    zzz: 1\n    pools:", 1))[1].endswith(
        "unknown key 'zzz' (there is pools, split, sticky, balance, health, ejection, retry, timeouts, limits,"
        " slow_start, filters)"
    )
