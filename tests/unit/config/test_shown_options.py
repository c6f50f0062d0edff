"""Options of plug-ins, shown as they are written."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from proxy.config.shown_options import shown_options
from proxy.core.markers import Marker
from proxy.core.units import Unit


@dataclass
class Inner:
    """Options within options."""

    wait: Annotated[float, Unit.DURATION] = 0.0
    status: int = 503


@dataclass
class Options:
    """Every kind of option."""

    wait: Annotated[float, Unit.DURATION] | None = None
    size: Annotated[int, Unit.SIZE] = 0
    share: Annotated[float, Unit.SHARE] = 0.0
    mode: Literal["a", "b"] | Inner = "a"
    inner: Inner | None = None
    users: Annotated[dict[str, str], Marker.SECRET] | None = None
    file: Annotated[str, Marker.CONTENT, Marker.SECRET] = ""
    plain: dict[str, str] | None = None
    names: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"wait": 0.25}, {"wait": "250ms"}),
        ({"wait": 30.0}, {"wait": "30s"}),
        ({"wait": None}, {"wait": None}),
        ({"size": 65536}, {"size": "64KiB"}),
        ({"share": 0.1}, {"share": "10%"}),
        ({"mode": "b"}, {"mode": "b"}),
        ({"mode": {"wait": 1.0}}, {"mode": {"wait": "1s"}}),
        ({"inner": {"wait": 2.0, "status": 500}}, {"inner": {"wait": "2s", "status": 500}}),
        ({"users": {"ann": "hash"}}, {"users": {"ann": "***"}}),
        ({"file": "ann:hash"}, {"file": "***"}),
        ({"plain": {"a": "b"}}, {"plain": {"a": "b"}}),
        ({"names": ["a"]}, {"names": ["a"]}),
        ({}, {}),
    ],
)
def test_option_is_shown_as_it_is_written(given: dict[str, Any], shown: dict[str, Any]) -> None:
    assert shown_options(Options, given) == shown
