"""Whatever a file holds, loading it gives a document or problems with places, and never raises."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config import split
from proxy.config.load import load
from proxy.config.values import Part
from proxy.config.variables import shield, unshield
from proxy.config.yaml import parse

EXAMPLE = (Path(__file__).parents[2] / "config" / "reference.yaml").read_text()
PIECES = st.sampled_from(
    [
        "a: ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "  ",
        ", ",
        "'",
        '"',
        "&a ",
        "*a",
        "|\n",
        "${X}",
        "${Y}",
        "$${",
        "!!str ",
        "? ",
        ": ",
        "listeners:",
        "services:",
        "routes:",
        "bind",
        "1",
        "on",
        "\t",
        "---",
        "\ufeff",
        "\x00",
        "é",
        "\u2028",
        "<<: ",
    ]
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=30).map("".join))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "sluice.yaml"


def check(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    loaded = load(path, {"X": "1"})
    assert (loaded.document is None) is bool(loaded.problems)
    lines = data.count(b"\n") + data.count(b"\r") + data.count("\x85".encode()) + data.count("\u2028".encode()) + 2
    for problem in loaded.problems:
        assert str(problem).isprintable()
        assert 0 <= problem.line <= lines + data.count("\u2029".encode())


@given(data=st.one_of(st.binary(max_size=60), TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))))
@settings(max_examples=200)
def test_any_bytes_give_problems_and_never_an_error(path: Path, data: bytes) -> None:
    check(path, data)


@given(at=st.integers(0, len(EXAMPLE)), cut=st.integers(0, 12), piece=TEXTS)
@settings(max_examples=60)
def test_any_edit_gives_a_document_or_problems(path: Path, at: int, cut: int, piece: str) -> None:
    check(path, f"{EXAMPLE[:at]}{piece}{EXAMPLE[at + cut :]}".encode("utf-8", "surrogatepass"))


@given(text=TEXTS)
def test_shield_keeps_length_and_comes_off(text: str) -> None:
    shielded = shield(text)
    assert len(shielded) == len(text)
    if shielded != text:
        assert unshield(shielded) == text


def outline(tree: object, filling: str) -> object:
    """What a tree is made of, with a mark where the filling is a value."""
    if isinstance(tree, dict):
        return {key: outline(value, filling) for key, value in tree.items()}
    if isinstance(tree, list):
        return [outline(value, filling) for value in tree]
    return "#" if tree == filling else tree


@given(value=st.text(max_size=20), quote=st.sampled_from(["{}", "'{}'", '"{}"', "[{}]", "{{a: {}}}"]))
def test_value_of_a_variable_never_adds_structure(value: str, quote: str) -> None:
    def shape(filling: str) -> object:
        return outline(parse("key: " + quote.format("${X}"), "f", {"X": filling}).tree, filling)

    assert shape(value) == shape("plain")


@given(weights=st.lists(st.decimals(0, 1000, places=3), min_size=1, max_size=8))
def test_shares_are_those_of_the_weights_and_add_up_to_one(weights: list[Decimal]) -> None:
    parts = {str(index): Part(Fraction(str(weight)), percent=False) for index, weight in enumerate(weights)}
    total = sum(part.value for part in parts.values())
    if not total:
        return
    shares = split.shares(parts)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-12)
    assert all(abs(shares[name] - part.value / total) < 1e-15 for name, part in parts.items())
