"""Rollouts whose hooks lead back to ourselves, with their places."""

import pytest

from proxy.config.load import load_text

TEXT = """\
listeners: [{bind: 127.0.0.1:8080}]
status: {bind: 127.0.0.1:9901}
services: {shop: {pools: {blue: {endpoints: [10.0.0.1:80, 10.0.0.2:80]}}}}
routes: [{service: shop}]
rollouts:
  r:
    service: shop
    pool: blue
    hooks: {events: 'EVENTS'}
    strategy: {rolling: {update: {hook: 'HOOK'}}}
"""
FINE = "https://ci.example.com/update"
HOOKS: list[tuple[str, str, list[str]]] = [
    (FINE, FINE, []),
    (FINE, "http://127.0.0.1:8080/through/a/listener", []),
    (FINE, "http://ci.example.com:9900/", []),
    (
        FINE,
        "http://127.0.0.1:9900/x",
        ["10:41: 'http://127.0.0.1:9900/x' leads back to ourselves: the admin (by default)"],
    ),
    (FINE, "http://localhost:9901/", ["10:41: 'http://localhost:9901/' leads back to ourselves: status"]),
    (
        "http://127.0.0.1:9900",
        FINE,
        ["9:21: 'http://127.0.0.1:9900' leads back to ourselves: the admin (by default)"],
    ),
]


@pytest.mark.parametrize(("events", "hook", "problems"), HOOKS)
def test_hook_that_leads_to_the_admin_is_refused(events: str, hook: str, problems: list[str]) -> None:
    found = load_text(TEXT.replace("EVENTS", events).replace("HOOK", hook), "f", {}).problems
    hint = " listens there (a hook is another program's; name its address)"
    assert list(map(str, found)) == [f"f:{each}{hint}" for each in problems]


FLAGGED = """
listeners: [{bind: 127.0.0.1:1}]
services:
  shop:
    pools: {blue: {endpoints: [127.0.0.1:2]}, green: {endpoints: [127.0.0.1:3]}}
    split: {blue: 1, green: 0}
routes: [{service: shop}]
flag_rules: {checkout: {on_for: {percent: 5}, otherwise: off}}
rollouts:
  r: {service: shop, ROLLOUT}
"""


@pytest.mark.parametrize(
    ("rollout", "said"),
    [
        ("steps: [{flag: {key: checkout, percent: 5%}}]", None),
        ("steps: [{header: {flags: {checkout: on}}}]", None),
        ("strategy: {ab: {flags: {checkout: on}}}", None),
        ("steps: [{flag: {key: other, percent: 5%}}]", "f:10:43: there is no flag 'other' (there is checkout)"),
        ("steps: [{flag: {key: checkout, percent: 5%, to: b}}]", "f:10:43: flag checkout: 'b' is no variant of it"),
        ("steps: [flip, {header: {flags: {checkout: b}}}]", "f:10:36: 'b' is no variant of flag checkout"),
        ("strategy: {ab: {flags: {other: on}}}", "f:10:22: there is no flag 'other'"),
        ("steps: [{flag: {key: checkout, percent: 101%}}]", "f:10:"),
        ("steps: [{header: {headers: {x y: b}}}]", "f:10:30: match 'headers': 'x y' cannot be the name of a header"),
        ("steps: [{hook: 'http://127.0.0.1:9900/'}]", "f:10:37: 'http://127.0.0.1:9900/' leads back to ourselves"),
        ("steps: [{hook: {url: 'http://localhost:9900'}}]", "f:10:43: 'http://localhost:9900' leads back"),
        ("hooks: {before: 'http://'}", "f:10:38: 'http://' is not a URL"),
    ],
)
def test_steps_are_checked_with_their_place(rollout: str, said: str | None) -> None:
    found = [str(each) for each in load_text(FLAGGED.replace("ROLLOUT", rollout), "f", {}).problems]
    assert len(found) == (0 if said is None else 1)
    assert said is None or found[0].startswith(said)
