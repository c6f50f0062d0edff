import pytest

from proxy.config.tree import Mapping, Scalar, plain_data
from proxy.config.yaml import MAX_ALIASES, MAX_DEPTH, parse

CORE = [
    ("on", "on"),
    ("off", "off"),
    ("yes", "yes"),
    ("No", "No"),
    ("y", "y"),
    ("1:30", "1:30"),
    ("012", 12),
    ("0o14", 12),
    ("0x1F", 31),
    ("0b11", "0b11"),
    ("+12", 12),
    ("-3", -3),
    ("1_000", "1_000"),
    ("1e3", 1000.0),
    ("1.5", 1.5),
    (".5", 0.5),
    ("5.", 5.0),
    ("-.inf", float("-inf")),
    (".INF", float("inf")),
    ("true", True),
    ("True", True),
    ("TRUE", True),
    ("tRue", "tRue"),
    ("false", False),
    ("null", None),
    ("~", None),
    ("NULL", None),
    ("nUll", "nUll"),
    ("2026-11-22", "2026-11-22"),
    ("=", "="),
    ("'12'", "12"),
    ('"true"', "true"),
    ("!!str 12", "12"),
    ("! 12", "12"),
    ("|-\n  12", "12"),
    ("9" * 5000, "9" * 5000),
    ("١٢", "١٢"),
]


@pytest.mark.parametrize(("text", "value"), CORE)
def test_scalar_means_what_yaml_1_2_says(text: str, value: object) -> None:
    parsed = parse(f"a: {text}\n", "f", {})
    assert parsed.problems == []
    assert isinstance(parsed.tree, Mapping)
    meant = plain_data(parsed.tree)["a"]
    assert (meant, type(meant)) == (value, type(value))


def test_scalar_knows_what_was_written_and_where() -> None:
    tree = parse("é: 1\nb:\n  - {c: 0x1F}\n", "f", {}).tree
    assert isinstance(tree, Mapping)
    scalar = tree["b"][0]["c"]
    assert isinstance(scalar, Scalar)
    assert (str(scalar), scalar.place.line, scalar.place.column) == ("0x1F", 3, 9)
    assert (tree.keys_["b"].place.line, tree.keys_["b"].place.column) == (2, 1)


def test_alias_stands_for_the_whole_value() -> None:
    tree = parse("a: &x [1, &y {b: 2}]\nc: *x\nd: *y\n", "f", {}).tree
    assert tree is not None
    assert plain_data(tree) == {"a": [1, {"b": 2}], "c": [1, {"b": 2}], "d": {"b": 2}}


NESTED = "[" * 100_000
BOMB = "a0: &a0 [1,1]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 11))

REFUSED = [
    ("", "f: the file is empty (an empty file changes nothing)"),
    ("# a comment\n", "f: the file is empty (an empty file changes nothing)"),
    (NESTED, f"f:1:65: nested deeper than {MAX_DEPTH} levels"),
    ("{a: " * 100_000, f"f:1:257: nested deeper than {MAX_DEPTH} levels"),
    ("- " * 100_000, f"f:1:129: nested deeper than {MAX_DEPTH} levels"),
    (BOMB, "nodes, aliases counted as what they stand for"),
    ("[" + "1," * 200_001 + "]", "more than 200,000 nodes"),
    ("a: &x 1\nb: [" + "*x," * (MAX_ALIASES + 1) + "]", f"f:2:305: more than {MAX_ALIASES} aliases"),
    ("a: *x", "f:1:4: no anchor &x ends before this alias"),
    ("a: &x [*x]", "f:1:8: no anchor &x ends before this alias"),
    ("a: &x " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 40 + "*x" + "]" * 40, "f:2:44: nested deeper than 64 levels"),
    ("<<: {a: 1}", "f:1:1: merge keys (<<) are not part of YAML 1.2"),
    ("? [a]\n: 1", "f:1:3: a list cannot be a key"),
    ("a: 1\n---\nb: 2", "f:2:1: a second document begins here"),
    ("a: !!int 3", "f:1:4: the tag 'tag:yaml.org,2002:int' is not taken"),
    ("a: !foo {b: 1}", "f:1:4: the tag '!foo' is not taken"),
    ("a: 1\nb: \x00", "f:2:4: the character '\\x00' may not stand in YAML"),
    ("a: \x1b[0m", "f:1:4: the character '\\x1b' may not stand in YAML"),
    ("a: \ufffe", "f:1:4: the character '\\ufffe' may not stand in YAML"),
    ("a: [1", "f:2:1: not YAML: did not find expected ',' or ']'"),
    ("a: 'x", "f:1:6: not YAML: found unexpected end of stream"),
    ("a: 1\n\tb: 2", "f:2:1: not YAML: "),
    ("a: b: c", "f:1:5: not YAML: mapping values are not allowed"),
    ("a: @x", "f:1:4: not YAML: found character that cannot start any token"),
    ("%YAML 3.0\n---\na: 1", "f:1:1: not YAML: found incompatible YAML document"),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED, ids=[row[1][:50] for row in REFUSED])
def test_refused_text_gets_one_clear_line(text: str, expected: str) -> None:
    parsed = parse(text, "f", {})
    said = [str(problem) for problem in parsed.problems]
    assert parsed.tree is None
    assert len(said) == 1
    assert expected in said[0]
    assert "\n" not in said[0]


def test_duplicate_key_is_a_problem_and_the_first_stays() -> None:
    parsed = parse("a: 1\nb: 2\na: 3\n", "f", {})
    assert [str(one) for one in parsed.problems] == ["f:3:1: the key 'a' stands here twice (first at 1:1)"]
    assert parsed.tree is not None
    assert plain_data(parsed.tree) == {"a": 1, "b": 2}
