"""Splits as people type them."""

import pytest

from proxy.cli.shares import TypedWrongError, read_shares

NOW = {"blue": 60, "green": 30, "canary": 10}

TYPED = [
    ("blue=90 canary=10", {"blue": 90, "canary": 10}),
    ("blue=9 canary=1", {"blue": 9, "canary": 1}),
    ("blue=90% canary=10%", {"blue": 90, "canary": 10}),
    ("blue=66.6% canary=33.4%", {"blue": 66.6, "canary": 33.4}),
    ("canary=5", {"canary": 5}),
    ("canary=10 rest", {"canary": 10, "blue": 60, "green": 30}),
    ("rest canary=5.5%", {"canary": 5.5, "blue": 63, "green": 31.5}),
    ("canary=100 rest", {"canary": 100, "blue": 0, "green": 0}),
    ("new=0 rest", {"new": 0, "blue": 60, "green": 30, "canary": 10}),
    ("blue=50 green=50 canary=0 rest", {"blue": 50, "green": 50, "canary": 0}),
]


@pytest.mark.parametrize(("words", "expected"), TYPED)
def test_split_is_read_as_it_is_typed(words: str, expected: dict[str, float]) -> None:
    assert read_shares(words.split(), NOW) == expected


WRONG = [
    ("", "no pool is named"),
    ("rest", "no pool is named"),
    ("canary", "not POOL=SHARE"),
    ("=5", "not POOL=SHARE"),
    ("canary=", "not POOL=SHARE"),
    ("canary=-5", "not POOL=SHARE"),
    ("canary=5e1", "not POOL=SHARE"),
    ("canary=nan", "not POOL=SHARE"),
    ("canary=\u0665", "not POOL=SHARE"),
    ("canary=5 canary=6", "twice"),
    ("canary=5% blue=95", "all of the shares a %, or none"),
    ("canary=5% blue=90%", "add up to 95 %"),
    ("canary=5%", "add up to 5 %"),
    ("canary=101 rest", "more than 100 %"),
    ("blue=50 green=25 canary=5 rest", "nobody to take the rest; leave `rest` out"),
]


@pytest.mark.parametrize(("words", "problem"), WRONG)
def test_wrong_split_is_told(words: str, problem: str) -> None:
    with pytest.raises(TypedWrongError, match=problem.replace("(", r"\(")):
        read_shares(words.split(), NOW)


def test_rest_without_anybody_who_has_something_is_told() -> None:
    with pytest.raises(TypedWrongError, match="green have nothing now"):
        read_shares(["blue=50", "rest"], {"blue": 100, "green": 0})
