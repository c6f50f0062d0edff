"""Whatever the split and however it is written: the text says the new one, and only its scalars differ."""

import re
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from proxy.config.persist import persisted
from proxy.config.tree import Mapping, Scalar
from proxy.config.yaml import parse

POOLS = ("blue", "green", "canary", "weiß")
NOISE = st.sampled_from(("", "# ü 😀 95 {blue : 1}", "#\t*a &b", "#"))
QUOTES = st.sampled_from(("", '"', "'"))


@st.composite
def splits(draw: st.DrawFn) -> dict[str, float]:
    """Shares in per cent, as a running proxy has them."""
    parts = draw(st.lists(st.integers(0, 10_000), min_size=1, max_size=4).filter(any))
    return {name: 100 * part / sum(parts) for name, part in zip(POOLS, parts, strict=False)}


@st.composite
def texts(draw: st.DrawFn, pools: tuple[str, ...]) -> tuple[str, bool]:
    """A configuration with a split of these pools, and whether it is in per cents."""
    percent, line = draw(st.booleans()), draw(st.sampled_from(("\n", "\r\n")))
    numbers = [100] + [0] * (len(pools) - 1) if percent else draw(
        st.lists(st.integers(1, 999), min_size=len(pools), max_size=len(pools))
    )  # fmt: skip
    written = []
    for name, number in zip(draw(st.permutations(pools)), numbers, strict=True):
        quote, key = draw(QUOTES), draw(QUOTES)
        written.append(f"{key}{name}{key}: {quote}{number}{'%' if percent else ''}{quote}")
    head = [
        "# grüße 😀",
        "other: {split: {blue: 1}}",
        f"'é😀': [x, \"y\"] {draw(NOISE)}",
        "services:",
        "  a: {split: {blue: 95}}",
    ]
    if draw(st.booleans()):
        body = [f"  shop: {{pools: 1, split: {{ {', '.join(written)} }}}} {draw(NOISE)}"]
    else:
        body = [
            "  shop:",
            f"    split: {draw(NOISE)}",
            *(f"      {each}  {draw(NOISE)}" for each in written),
            "    pools: 1",
        ]
    return line.join([*head, *body, "  z: {split: {blue: 95}}", draw(NOISE)]), percent  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, bool, dict[str, float]]:
    shares = draw(splits())
    text, percent = draw(texts(tuple(shares)))
    return text, percent, shares


def _split(text: str) -> dict[str, str]:
    parsed = parse(text, "f", {})
    assert parsed.problems == []
    assert isinstance(parsed.tree, Mapping)
    found: Any = parsed.tree["services"]["shop"]["split"]
    assert all(isinstance(value, Scalar) for value in found.values())
    return {name: str(value) for name, value in found.items()}


def _values(split: dict[str, str]) -> dict[str, Fraction]:
    return {name: Fraction(value.rstrip("%")) for name, value in split.items()}


@given(cases())
def test_persisted_split_is_read_back_and_all_else_is_the_same(case: tuple[str, bool, dict[str, float]]) -> None:
    text, percent, shares = case
    made = persisted(text, "shop", shares)
    split = _split(made)
    assert list(split) == list(_split(text))
    assert {value.endswith("%") for value in split.values()} == {percent}
    values = _values(split)
    total = sum(values.values())
    assert all(
        abs(values[name] / total * 100 - Fraction(share)) < Fraction(1, 10**10) for name, share in shares.items()
    )
    assert not percent or total == 100
    # What is left when every number of the split is taken out is the same text.
    old, new = (_without(each, _split(each)) for each in (text, made))
    assert old == new


def _without(text: str, split: dict[str, str]) -> str:
    begin = text.index("shop:")
    for name, value in split.items():
        pattern = rf"({re.escape(name)}['\"]?: ['\"]?){re.escape(value)}"
        text = text[:begin] + re.sub(pattern, r"\1", text[begin:], count=1)
    return text
