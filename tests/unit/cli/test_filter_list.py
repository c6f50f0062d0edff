"""`sluice explain --filters`: every filter with its options."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from proxy.cli.filter_list import Option, options_of, print_filters
from proxy.core.units import Unit
from proxy.filters import FILTERS


@dataclass(frozen=True)
class Inner:
    path: str


@dataclass(frozen=True)
class Outer:
    needed: str
    count: int = 3
    ratio: float = 0.5
    wait: Annotated[float, Unit.DURATION] = 90.0
    cap: Annotated[int, Unit.SIZE] | None = 65536
    part: Annotated[float, Unit.SHARE] = 0.1
    never: Annotated[float, Unit.DURATION] | None = None
    how: Literal["on", "off"] = "on"
    text: str = ""
    flag: bool = True
    one: str | tuple[str, ...] = ("a", "b")
    numbers: frozenset[int] = frozenset()
    values: dict[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    inner: Inner = Inner("/")
    maybe: Inner | None = None


INNER = (Option("path", "text", None),)


def test_options_are_told_as_people_write_them() -> None:
    assert options_of(Outer) == (
        Option("needed", "text", None),
        Option("count", "whole number", "3"),
        Option("ratio", "number", "0.5"),
        Option("wait", "duration", "90s"),
        Option("cap", "size", "64KiB"),
        Option("part", "share", "10%"),
        Option("never", "duration", "none"),
        Option("how", "on or off", "on"),
        Option("text", "text", '""'),
        Option("flag", "true or false", "true"),
        Option("one", "text or list of text", "a, b"),
        Option("numbers", "list of whole number", "none"),
        Option("values", "mapping of name: text", "none"),
        Option("options", "mapping of name: anything", "none"),
        Option("inner", "mapping", "as below", INNER),
        Option("maybe", "mapping", "none", INNER),
    )


def test_list_has_every_filter(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_filters(as_json=True) == 0
    listed = json.loads(capsys.readouterr().out)["filters"]
    assert [each["name"] for each in listed] == sorted(FILTERS.names())
    assert all(each["doc"] for each in listed)
    (size,) = next(each["options"] for each in listed if each["name"] == "max_body")
    assert size == {"name": "size", "type": "size", "required": True}


def test_text_tells_the_same(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FILTERS, "_kinds", {"outer": Outer})
    Outer.__doc__ = "What it does.\n\n    And how."
    assert print_filters(as_json=False) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:5] == ["outer", "  What it does.", "", "  And how.", ""]
    assert "    needed      text                       required" in said
    assert "    inner.path  text                       required" in said
    assert "    cap         size                       default: 64KiB" in said
