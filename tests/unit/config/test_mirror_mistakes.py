"""Mistakes with `mirror`: where it stands, and the pool that it names."""

from collections.abc import Callable

import pytest

Problems = Callable[..., list[str]]

ROUTE = "  - service: shop"
SPLIT = "    split: {blue: 90, green: 10}"

# what is replaced in the plain configuration, by what, and all that is said then
MISTAKES = [
    (
        SPLIT,
        f"{SPLIT}\n    filters: [{{mirror: {{pool: gren}}}}]",
        ["8:16: there is no pool 'gren' in the service (there is blue, green)"],
    ),
    (
        ROUTE,
        "  - {service: shop, filters: [{mirror: {pool: gren}}]}",
        ["9:32: there is no pool 'gren' in the service (there is blue, green)"],
    ),
    (
        "routes:",
        "filters: [{mirror: {pool: green}}]\nroutes:",
        ["8:12: mirror copies to a pool of the same service (put it into a service or one of its routes)"],
    ),
    (
        ROUTE,
        "  - {respond: {status: 204}, filters: [{mirror: {pool: green}}]}",
        ["9:41: mirror needs a route that leads to a service (an action has no pools)"],
    ),
    (
        f"      green: {{endpoints: [127.0.0.1:9002]}}\n{SPLIT}",
        "    filters: [{mirror: {pool: blue}}]",
        ["6:16: blue is the only pool of the service (add the one to copy to)"],
    ),
    (ROUTE, "  - {service: shop, filters: [{mirror: {}}]}", ["9:40: pool is missing"]),
    (
        ROUTE,
        "  - {service: shop, filters: [{mirror: {pool: green, body: 2MiB}}]}",
        ["9:40: the body is kept in memory until it is copied (1MiB is the most)"],
    ),
    (
        ROUTE,
        "  - {service: shop, filters: [{mirror: {pool: green, share: 10}}]}",
        ["9:61: '10' is not a share between 0% and 100% (write it like 10%, 0.5% or 0.1)"],
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES)
def test_mistake_with_a_mirror_is_told_with_its_place(
    problems: Problems, plain: str, old: str, new: str, expected: list[str]
) -> None:
    assert old in plain
    assert problems(plain.replace(old, new, 1)) == expected


@pytest.mark.parametrize("where", ["service", "route"])
def test_mirror_to_another_pool_is_right(problems: Problems, plain: str, where: str) -> None:
    line = "filters: [{mirror: {pool: green, share: 10%, methods: [GET, POST], body: 1MiB, host_suffix: -shadow}}]"
    old = SPLIT if where == "service" else ROUTE
    assert problems(plain.replace(old, f"{old}\n    {line}")) == []
