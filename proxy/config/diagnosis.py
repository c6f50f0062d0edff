"""What validation refused, as problems with their places and a hint."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError

from proxy.config.problems import Place, Problem, WrongError
from proxy.config.schema import known_keys
from proxy.config.tree import Mapping, Scalar, Sequence, Tree, scalars, shown

_SHAPES: Final = {
    "model_type": "a mapping belongs here",
    "dict_type": "a mapping belongs here",
    "list_type": "a list belongs here",
    "too_short": "at least one belongs here",
}
_SHAPE_HINTS: Final = {
    "model_type": "write key: value, one to a line, or {key: value}",
    "dict_type": "write key: value, one to a line, or {key: value}",
    "list_type": "write [one, two], or one to a line after a dash",
}

_QUOTED: Final = re.compile("'([^']+)'")
_MOST_COMPARED: Final = 1_000  # a comparison takes about 10 µs
_MOST_NAMED: Final = 16
_MISSING_HINTS: Final = {
    "listeners": "where to listen: listeners: [{bind: 127.0.0.1:8080}]",
    "routes": "without routes every request gets 404; write routes: [{service: …}]",
    "endpoints": "write endpoints: [127.0.0.1:9001]",
}


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an error is. `loc` are the keys and numbers that lead there, `place` and `node` what stands there.

    `key` is the key itself where the error is about a key.
    """

    loc: tuple[str | int, ...]
    node: Tree
    place: Place
    key: Scalar | None = None


Keys = Callable[[tuple[str | int, ...]], Iterable[str]]


def diagnose(error: ValidationError, tree: Tree, keys: Keys = known_keys) -> Iterable[Problem]:
    """The problems that one refused tree has; what was reported as missing is left out.

    `keys` says which keys may stand at a place: the configuration's, unless the tree is a part with its own.
    """
    for detail in error.errors(include_url=False, include_input=False):
        problem = _problem(detail, tree, keys)
        if problem is not None:
            yield problem


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names what was probably meant, or all there is."""
    known = tuple(known)
    near = get_close_matches(name, known[:_MOST_COMPARED], n=1)
    if near:
        return f"did you mean {near[0]}?"
    more = ", …" if len(known) > _MOST_NAMED else ""
    return f"there is {', '.join(known[:_MOST_NAMED])}{more}" if known else "there is none"


def misspelt(name: str, section: Mapping) -> bool:
    """Whether a key that is not there is there with a slip, which is told as an unknown key."""
    return name not in section and bool(get_close_matches(name, section, n=1))


def _problem(detail: Any, tree: Tree, keys: Keys) -> Problem | None:
    kind = detail["type"]
    spot = _spot(tree, detail["loc"])
    if kind == "missing":
        return _missing(spot, str(detail["loc"][-1]))
    if kind == "extra_forbidden" and spot.key is not None:
        return _unknown(spot, spot.key, keys) if spot.loc[-1] == detail["loc"][-1] else _unknown_name(spot, keys)
    if any(scalar.missing for scalar in scalars(spot.node)):
        return None
    if kind == "value_error":
        return _refusal(spot, WrongError.of(detail["ctx"]["error"]))
    if kind == "union_tag_invalid":
        expected = detail["ctx"]["expected_tags"].replace("'", "").replace("<", "").replace(">", "")
        return spot.place.problem(f"{' or '.join(expected.split(', '))} belongs here, not {shown(spot.node)}")
    message = _SHAPES.get(kind, detail["msg"])
    instead = "" if kind == "too_short" else f", not {shown(spot.node)}"
    return spot.place.problem(message + instead, _SHAPE_HINTS.get(kind, ""))


def _spot(tree: Tree, loc: tuple[str | int, ...]) -> Spot:
    """Follow `loc` as far as the tree goes; what else stands in it are names that validation made up."""
    spot = Spot((), tree, tree.place)
    for part in loc:
        node = spot.node
        if isinstance(node, Mapping) and part in node:
            spot = Spot((*spot.loc, part), node[str(part)], node[str(part)].place, node.keys_[str(part)])
        elif isinstance(node, Sequence) and isinstance(part, int) and part < len(node):
            spot = Spot((*spot.loc, part), node[part], node[part].place)
        elif part == "[key]" and spot.key is not None:
            spot = Spot(spot.loc, spot.key, spot.key.place, spot.key)
    return spot


def _unknown(spot: Spot, key: Scalar, keys: Keys) -> Problem | None:
    if key.missing:
        return None
    hint = nearest(str(key), keys(spot.loc[:-1]))
    return key.place.problem(f"unknown key {shown(key)}", "" if key.secret else hint)


def _unknown_name(spot: Spot, keys: Keys) -> Problem | None:
    """A scalar that stands for `{name: {}}`, with a name that nothing has."""
    if not isinstance(spot.node, Scalar) or spot.node.missing:
        return None
    hint = "" if spot.node.secret else nearest(spot.node, keys(spot.loc))
    return spot.place.problem(f"{shown(spot.node)} is not known here", hint)


def _refusal(spot: Spot, wrong: WrongError) -> Problem:
    """At the very scalar that a message about a list or mapping quotes, where there is one."""
    quotes = [quote for quote in _QUOTED.findall(str(wrong)) if len(quote) > 1]
    told = [one for one in _values(spot.node) if not one.secret and any(quote in repr(str(one)) for quote in quotes)]
    place = told[0].place if told else spot.place
    return place.problem(str(wrong), wrong.hint)


def _values(tree: Tree) -> list[Scalar]:
    """The scalars of a tree, values before keys."""
    keys = tree.keys_.values() if isinstance(tree, Mapping) else ()
    below = tree.values() if isinstance(tree, Mapping) else () if isinstance(tree, Scalar) else tree
    return [tree] if isinstance(tree, Scalar) else [*(one for part in below for one in _values(part)), *keys]


def _missing(spot: Spot, name: str) -> Problem | None:
    if isinstance(spot.node, Mapping) and misspelt(name, spot.node):
        return None
    return spot.place.problem(f"{name} is missing", _MISSING_HINTS.get(name, ""))
