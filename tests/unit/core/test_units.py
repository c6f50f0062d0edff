"""Durations, sizes, shares: what is read, what is refused with a remedy; formatting is the inverse."""

import pytest

from proxy.core.units import (
    format_duration,
    format_share,
    format_size,
    parse_duration,
    parse_share,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds", "again"),
    [
        ("0s", 0.0, "0s"),
        ("250ms", 0.25, "250ms"),
        ("1ms", 0.001, "1ms"),
        ("0.5ms", 0.0005, "0.0005s"),
        ("5s", 5.0, "5s"),
        ("1.5s", 1.5, "1500ms"),
        ("90s", 90.0, "90s"),
        ("10m", 600.0, "10m"),
        ("1h", 3_600.0, "1h"),
        ("24h", 86_400.0, "1d"),
        ("30d", 2_592_000.0, "30d"),
        ("0.00001s", 0.00001, "0.00001s"),
    ],
)
def test_duration_is_read_and_written(text: str, seconds: float, again: str) -> None:
    assert parse_duration(text) == seconds
    assert format_duration(seconds) == again
    assert parse_duration(again) == seconds


BAD = [
    None,
    True,
    [],
    "",
    " ",
    "x",
    "+1{}",
    "-1{}",
    " 1{}",
    "1 {}",
    "1{} ",
    "1_0{}",
    "1e3{}",
    "0x1{}",
    ".5{}",
    "1.{}",
]
BAD += ["1{}\n", "\u0661{}", "\u00b2{}", "1{}1{}", "nan{}", "inf{}", "9" * 40 + "{}", float("nan"), -1, -0.5]


def filled(unit: str) -> list[object]:
    return [value.replace("{}", unit) if isinstance(value, str) else value for value in BAD]


@pytest.mark.parametrize("value", [*filled("s"), 5, 0, 5.0, "5", "5S", "5sec", "5 s", "5us", "1h30m"], ids=repr)
def test_duration_is_refused_with_a_remedy(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration; write it like 250ms, 5s, 10m, 1h or 30d"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("value", "size", "again"),
    [
        (0, 0, "0B"),
        (1_000, 1_000, "1000B"),
        ("240B", 240, "240B"),
        ("64KiB", 65_536, "64KiB"),
        ("1024KiB", 1_048_576, "1MiB"),
        ("2GiB", 2_147_483_648, "2GiB"),
        ("1500", 1_500, "1500B"),
    ],
)
def test_size_is_read_and_written(value: object, size: int, again: str) -> None:
    assert parse_size(value) == size
    assert format_size(size) == again
    assert parse_size(again) == size


@pytest.mark.parametrize(
    "value", [*filled("KiB"), *filled("B"), 1.0, "1.5KiB", "1KB", "1kib", "1k", "1M", 2**63, "9999999999GiB"], ids=repr
)
def test_size_is_refused_with_a_remedy(value: object) -> None:
    with pytest.raises(ValueError, match="is not a size; write it like 240B, 64KiB, 1MiB or 2GiB"):
        parse_size(value)


@pytest.mark.parametrize(
    ("value", "share", "again"),
    [
        (0, 0.0, "0%"),
        ("0%", 0.0, "0%"),
        ("10%", 0.1, "10%"),
        ("0.5%", 0.005, "0.5%"),
        ("29%", 0.29, "29%"),
        ("100%", 1.0, "100%"),
        (0.2, 0.2, "20%"),
        ("0.2", 0.2, "20%"),
        (1.0, 1.0, "100%"),
        (1 / 3, 1 / 3, "0.3333333333333333"),
        (1e-7, 1e-7, "0.0000001"),
    ],
)
def test_share_is_read_and_written(value: object, share: float, again: str) -> None:
    assert parse_share(value) == share
    assert format_share(share) == again
    assert parse_share(again) == share


@pytest.mark.parametrize("value", [*filled("%"), 1, 10, "1", "10", 1.01, "101%", "1.1", "%", float("inf")], ids=repr)
def test_share_is_refused_with_a_remedy(value: object) -> None:
    with pytest.raises(ValueError, match=r"is not a share between 0% and 100%; write it like 10%, 0.5% or 0.1"):
        parse_share(value)


def test_refusal_shows_only_the_beginning_of_a_long_value() -> None:
    with pytest.raises(ValueError, match=r"xxx\.\.\. is not a size") as refused:
        parse_size("x" * 10_000)
    assert len(str(refused.value)) < 150
