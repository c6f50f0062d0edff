"""A split written back into the text: what is changed, what is refused, and that nothing else moves."""

import re

import pytest

from proxy.config.persist import has_service, persisted
from proxy.config.problems import WrongError

FLOW = "services:\n  shop:\n    split: {blue: 95, green: 0, canary: 5} # keep\n"
WANTED = {"blue": 90, "green": 0, "canary": 10}

TEXTS = [
    (FLOW, FLOW.replace("95", "90").replace("canary: 5}", "canary: 10}")),
    (
        "services:\r\n  shop:\r\n    split:\r\n      blue: 95   # ü\r\n      green: 0.0\r\n      canary: 5\r\n",
        "services:\r\n  shop:\r\n    split:\r\n      blue: 90   # ü\r\n      green: 0.0\r\n      canary: 10\r\n",
    ),
    (
        "a: 'ä😀'\nservices: {shop: {split: {blue: 95%, green: 0%, canary: 5%}}}",
        "a: 'ä😀'\nservices: {shop: {split: {blue: 90%, green: 0%, canary: 10%}}}",
    ),
    (
        "services: {shop: {split: {blue: \"95\", 'green': '0', canary: '5'}}}",
        "services: {shop: {split: {blue: \"90\", 'green': '0', canary: '10'}}}",
    ),
    (
        "services: {shop: {split: {blue: 19, green: 0, canary: 1}}}",
        "services: {shop: {split: {blue: 90, green: 0, canary: 10}}}",
    ),
    (
        "services: {shop: {split: {canary: 5, blue: 95}}, other: {split: {blue: 95, canary: 5}}}",
        "services: {shop: {split: {canary: 10, blue: 90}}, other: {split: {blue: 95, canary: 5}}}",
    ),
    (
        "services: {shop: {pools: {a: &anchor {endpoints: [$${x}]}}, split: {blue: 95, canary: 5}}}",
        "services: {shop: {pools: {a: &anchor {endpoints: [$${x}]}}, split: {blue: 90, canary: 10}}}",
    ),
    (
        "services: {shop: {pools: ['${A}', \"${B:-#}\"], split: {blue: 95, canary: 5}}}",
        "services: {shop: {pools: ['${A}', \"${B:-#}\"], split: {blue: 90, canary: 10}}}",
    ),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_persisted_text_differs_in_the_shares_alone(text: str, expected: str) -> None:
    assert persisted(text, "shop", WANTED) == expected


SAME = [
    "services: {shop: {split: {blue: 9, green: 0, canary: 1}}}",
    "services: {shop: {split: {blue: 90.0, canary: 10.000}}}",
    "services: {shop: {split: {blue: 90%, canary: 10%}}}",
]


@pytest.mark.parametrize("text", SAME)
def test_text_that_says_it_already_stays_as_it_is(text: str) -> None:
    assert persisted(text, "shop", WANTED) == text


REFUSED = [
    ("services: {shop: {split: {blue: &a 95, canary: 5}}, b: [*a]}", "the share of blue is an anchor or alias"),
    ("x: &a 95\nservices: {shop: {split: {blue: *a, canary: 5}}}", "the share of blue is an anchor or alias"),
    ("x: &a {blue: 95, canary: 5}\nservices: {shop: {split: *a}}", "services.shop.split is an alias"),
    ("x: &a {split: {blue: 95, canary: 5}}\nservices: {shop: *a}", "services.shop is an alias"),
    ("x: &a {shop: {split: {blue: 95, canary: 5}}}\nservices: *a", "services is an alias"),
    ("services: {shop: {split: &a {blue: 95, canary: 5}}, b: {split: *a}}", "the anchor &a is used"),
    ("services: {shop: &a {split: {blue: 95, canary: 5}}, b: *a}", "the anchor &a is used"),
    ("services: &a {shop: {split: {blue: 95, canary: 5}}}\nb: *a", "the anchor &a is used"),
    ("services: {shop: {split: {blue: '${BLUE}', canary: 5}}}", "the share of blue comes from a variable"),
    ("services: {shop: {split: {blue: ${BLUE:-95}, canary: 5}}}", "the share of blue comes from a variable"),
    ("services: {shop: {split: {<<: {blue: 95}, canary: 5}}}", "does not stand there literally"),
    ("services: {shop: {split: {'${P}': 95, canary: 5}}}", "is not named literally"),
    ("services:\n  shop:\n    split:\n      blue: |\n        95\n      canary: 5\n", "does not stand there literally"),
    ("services: {shop: {split: {blue: !!str 95, canary: 5}}}", "does not stand there literally"),
    ('services: {shop: {split: {blue: "9\\x35", canary: 5}}}', "does not stand there literally"),
    ("services: {shop: {split: {blue: , canary: 5}}}", "does not stand there literally"),
    ("services: {shop: {split: {blue: [95], canary: 5}}}", "does not stand there literally"),
    ("services: {shop: {split: {blue: 100}}}", "does not name canary"),
    ("services: {shop: {split: 5}}", "is not a mapping"),
    ("services: {shop: {pools: {}}}", "services.shop.split is not in the file"),
    ("services: {other: {}}", "services.shop is not in the file"),
    ("[]", "services is not in the file"),
    ("services: {shop: {split: {blue: 95", "not YAML"),
    ("", "not one document"),
    ("a: 1\n---\nb: 1\n", "not one document"),
    ("[" * 200 + "]" * 200, "nested deeper"),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED)
def test_what_is_not_literally_there_is_refused(text: str, expected: str) -> None:
    with pytest.raises(WrongError, match=re.escape(expected)) as told:
        persisted(text, "shop", WANTED)
    assert told.value.hint


def test_share_that_is_too_small_to_be_written_is_refused() -> None:
    with pytest.raises(WrongError, match="too small"):
        persisted(FLOW, "shop", {"blue": 100 - 1e-14, "canary": 1e-14})


def test_thirds_add_up_to_exactly_100_per_cent() -> None:
    text = "services: {shop: {split: {a: 20%, b: 30%, c: 50%}}}"
    made = persisted(text, "shop", dict.fromkeys("abc", 100 / 3))
    assert made == text.replace("20%", "33.333333333334%").replace("30%", "33.333333333333%").replace(
        "50%", "33.333333333333%"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [(FLOW, True), ("services: {shop: }", True), ("services: {a: 1}", False), ("{", False), ("services: *a", False)],
)
def test_service_is_found_where_it_stands(text: str, *, expected: bool) -> None:
    assert has_service(text, "shop") is expected
