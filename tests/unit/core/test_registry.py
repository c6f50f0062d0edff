"""A registry: what is registered is built from plain data, everything else is refused with a remedy."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import pytest

from proxy.core.registry import BadOptionsError, Registry, UnknownKindError
from proxy.core.units import Seconds


class Shape(Protocol):
    """What the tests' plug-ins are."""


def shapes() -> Registry[Shape]:
    registry: Registry[Shape] = Registry("shape")

    @registry.register("circle")
    @dataclass(frozen=True, slots=True)
    class Circle:
        radius: Seconds = 1.0
        label: str | None = None

        def __post_init__(self) -> None:
            if self.radius < 0:
                raise ValueError("radius is negative")

    @registry.register("square")
    @dataclass(frozen=True, slots=True)
    class Square:
        side: int

    return registry


@pytest.mark.parametrize(
    ("kind", "options", "built"),
    [
        ("circle", {}, ("Circle", {"radius": 1.0, "label": None})),
        ("circle", {"radius": 2, "label": "a"}, ("Circle", {"radius": 2.0, "label": "a"})),
        ("square", {"side": 3}, ("Square", {"side": 3})),
    ],
)
def test_registry_builds_from_plain_data(kind: str, options: dict[str, Any], built: tuple[str, Any]) -> None:
    shape: Any = shapes().build(kind, options)
    assert (type(shape).__name__, asdict(shape)) == built


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("circle", {"radius": "2"}, "Expected `float`, got `str`"),
        ("circle", {"radius": -1.0}, "radius is negative"),
        ("circle", {"radios": 1.0}, "shape 'circle' has no option 'radios'; did you mean 'radius'?"),
        ("circle", {"zzz": 1.0}, "shape 'circle' has no option 'zzz'; there is radius, label"),
        ("square", {}, "missing required field `side`"),
        ("square", {"side": 1.5}, "Expected `int`, got `float`"),
        ("square", {"side": "1"}, "Expected `int`, got `str`"),
    ],
)
def test_registry_refuses_options_that_do_not_fit(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOptionsError) as refused:
        shapes().build(kind, options)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "near", "message"),
    [
        ("cirkle", "circle", "unknown shape 'cirkle'; did you mean 'circle'?"),
        ("zzz", None, "unknown shape 'zzz'; there is circle, square"),
    ],
)
def test_registry_suggests_a_name(kind: str, near: str | None, message: str) -> None:
    with pytest.raises(UnknownKindError) as refused:
        shapes().build(kind, {})
    assert (refused.value.near, str(refused.value)) == (near, message)


def test_registry_without_plugins_says_so() -> None:
    with pytest.raises(UnknownKindError, match="there is none"):
        Registry[Shape]("shape").get("circle")


def test_registry_lists_in_order_of_registration() -> None:
    registry = shapes()
    assert registry.names() == ("circle", "square")
    assert [(name, cls.__name__) for name, cls in registry] == [("circle", "Circle"), ("square", "Square")]
    assert ("circle" in registry, "zzz" in registry, len(registry)) == (True, False, 2)


def test_registry_refuses_a_name_twice() -> None:
    with pytest.raises(ValueError, match="shape 'square' is registered twice"):
        shapes().register("square")(dataclass(type("Other", (), {})))


def test_registry_refuses_what_is_not_a_dataclass() -> None:
    with pytest.raises(TypeError, match="'line' is not a dataclass"):
        shapes().register("line")(type("Line", (), {}))
