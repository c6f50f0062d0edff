"""Mistakes in routes, their matches, filters and actions, and the line that a person is told."""

from collections.abc import Callable

import pytest

from proxy.filters import FILTERS

Problems = Callable[..., list[str]]

# what is replaced in the plain configuration, by what, and all that is said then
MISTAKES = [
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
        [f"9:31: exactly one filter belongs here, not 2 (there is {', '.join(FILTERS.names())})"],
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
]


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES)
def test_mistake_in_a_route_is_told_with_its_place_and_a_remedy(
    problems: Problems, plain: str, old: str, new: str, expected: list[str]
) -> None:
    assert old in plain
    assert problems(plain.replace(old, new, 1)) == expected


def test_words_of_a_plugin_get_the_place_of_the_value_they_quote(problems: Problems, plain: str) -> None:
    (said,) = problems(f"{plain}    match: {{path: [/a, '~(a+)+']}}\n")
    assert said.startswith("10:24: regex '(a+)+' ")
