"""YAML text to a tree that knows its places: strict, bounded, with the meaning of YAML 1.2.

It works on the parser's events and never composes: PyYAML's C composer overflows the stack on deep nesting, its parser
does not. Depth, nodes and aliases are counted as the events come, an alias as all that it stands for. Anchors and
aliases stand for whole values; merge keys are YAML 1.1 and refused.
"""

import re
from collections.abc import Callable
from collections.abc import Mapping as Environ
from dataclasses import dataclass
from typing import Any, Final

import yaml

from proxy.config.problems import Place, Problem
from proxy.config.tree import Mapping, Scalar, Sequence, Tree, shown
from proxy.config.variables import shield, substitute, unshield

MAX_DEPTH: Final = 64
MAX_NODES: Final = 200_000
MAX_ALIASES: Final = 100

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# YAML 1.2.2 §5.1: all but what a stream may hold; 7 ms faster to compile than [^…] of what it may.
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_STRING_TAG: Final = "tag:yaml.org,2002:str"
_ONE_DOCUMENT: Final = "one file is one document; leave out what begins with ---, or put it into a file of its own"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text says. `tree` is None where the text as a whole cannot be read; there may be problems either way."""

    tree: Tree | None
    problems: list[Problem]


def parse(text: str, file: str, environ: Environ[str, str] | None) -> Parsed:
    """The tree of a YAML text, with variables from `environ`; without, nothing is one. Never raises for what it is."""
    found = _FORBIDDEN.search(text)
    if found is not None:
        place = _place_at(text, found.start(), file)
        return Parsed(None, [place.problem(f"the character {found[0]!a} may not stand in YAML")])
    builder = _Builder(file, environ)
    try:
        for event in yaml.parse(shield(text), Loader=_LOADER):
            builder.take(event)
    except _RefusedError as refused:
        return Parsed(None, [*builder.problems, refused.problem])
    except yaml.YAMLError as error:
        return Parsed(None, [*builder.problems, _syntax_problem(error, file)])
    if builder.root is None:
        return Parsed(None, [Place(file).problem("the file is empty", "an empty file changes nothing")])
    return Parsed(builder.root, builder.problems)


class _RefusedError(Exception):
    """The text goes beyond what is taken; nothing after it is read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet. `key` is the key that waits for its value."""

    tree: Mapping | Sequence
    anchor: str | None
    nodes_before: int
    height: int = 1
    key: Scalar | None = None


@dataclass(frozen=True, slots=True)
class _Anchored:
    """What an anchor stands for, how many nodes that are, and how deep they go."""

    tree: Tree
    nodes: int
    height: int


class _Builder:
    """Builds the tree, event by event."""

    def __init__(self, file: str, environ: Environ[str, str] | None) -> None:
        self.root: Tree | None = None
        self.problems: list[Problem] = []
        self._file = file
        self._environ = environ
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored] = {}
        self._nodes = 0
        self._aliases = 0
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        """One event of the parser; _RefusedError where it goes too far."""
        step = _STEPS.get(type(event))
        if step is not None:
            step(self, event, self._place(event))

    def document(self, _event: Any, place: Place) -> None:
        self._documents += 1
        if self._documents > 1:
            raise _RefusedError(place.problem("a second document begins here", _ONE_DOCUMENT))

    def mapping(self, event: Any, place: Place) -> None:
        self._begin(Mapping(place), event, place)

    def sequence(self, event: Any, place: Place) -> None:
        self._begin(Sequence(place), event, place)

    def end(self, _event: Any, _place: Place) -> None:
        done = self._open.pop()
        if done.anchor is not None:
            self._anchors[done.anchor] = _Anchored(done.tree, self._nodes - done.nodes_before, done.height)
        self._add(done.tree, done.height, done.tree.place)

    def scalar(self, event: Any, place: Place) -> None:
        self._count(1, place)
        self._check_tag(event, place)
        scalar = self._scalar(event, place)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(scalar, 1, 0)
        self._add(scalar, 0, place)

    def alias(self, event: Any, place: Place) -> None:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            raise _RefusedError(place.problem(f"more than {MAX_ALIASES} aliases"))
        anchored = self._anchors.get(event.anchor)
        if anchored is None:
            raise _RefusedError(place.problem(f"no anchor &{event.anchor} ends before this alias"))
        self._count(anchored.nodes, place)
        self._check_depth(anchored.height, place)
        self._add(anchored.tree, anchored.height, place)

    def _begin(self, tree: Mapping | Sequence, event: Any, place: Place) -> None:
        self._open.append(_Open(tree, event.anchor, self._nodes))
        self._count(1, place)
        self._check_depth(0, place)
        self._check_tag(event, place)

    def _add(self, tree: Tree, height: int, place: Place) -> None:
        if not self._open:
            self.root = tree
            return
        parent = self._open[-1]
        parent.height = max(parent.height, height + 1)
        if isinstance(parent.tree, Sequence):
            parent.tree.append(tree)
        elif parent.key is None:
            parent.key = self._key(tree, place)
        else:
            self._put(parent.tree, parent.key, tree)
            parent.key = None

    def _key(self, tree: Tree, place: Place) -> Scalar:
        if not isinstance(tree, Scalar):
            raise _RefusedError(place.problem(f"{shown(tree)} cannot be a key", "keys are texts"))
        if tree == "<<" and tree.plain:
            hint = "write the keys out; anchors and aliases stand for whole values only"
            raise _RefusedError(place.problem("merge keys (<<) are not part of YAML 1.2", hint))
        key = Scalar.at(place, tree, plain=tree.plain, secret=tree.secret)  # an alias has its own place
        key.missing = tree.missing
        return key

    def _put(self, mapping: Mapping, key: Scalar, tree: Tree) -> None:
        first = mapping.keys_.get(key)
        if first is None:
            mapping.put(key, tree)
        elif not key.missing:
            message = f"the key {shown(key)} stands here twice"
            self.problems.append(key.place.problem(message, f"first at {first.place.line}:{first.place.column}"))

    def _scalar(self, event: Any, place: Place) -> Scalar:
        plain = event.style in (None, "") and event.tag is None
        written = unshield(event.value)
        if self._environ is None:
            return Scalar.at(place, written, plain=plain)
        done = substitute(written, self._environ)
        scalar = Scalar.at(place, written if done.wrong else done.text, plain=plain, secret=done.used)
        if done.wrong:
            scalar.missing = True
            self.problems += [place.problem(str(wrong), wrong.hint) for wrong in done.wrong]
        return scalar

    def _check_tag(self, event: Any, place: Place) -> None:
        if event.tag not in (None, "!", _STRING_TAG):
            raise _RefusedError(place.problem(f"the tag {event.tag!r} is not taken", "leave it out"))

    def _count(self, nodes: int, place: Place) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _RefusedError(place.problem(f"more than {MAX_NODES:,} nodes, aliases counted as what they stand for"))

    def _check_depth(self, more: int, place: Place) -> None:
        if len(self._open) + more > MAX_DEPTH:
            raise _RefusedError(place.problem(f"nested deeper than {MAX_DEPTH} levels"))

    def _place(self, event: yaml.Event) -> Place:
        mark: Any = event.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1)


_STEPS: Final[dict[type[yaml.Event], Callable[[_Builder, Any, Place], None]]] = {
    yaml.DocumentStartEvent: _Builder.document,
    yaml.MappingStartEvent: _Builder.mapping,
    yaml.MappingEndEvent: _Builder.end,
    yaml.SequenceStartEvent: _Builder.sequence,
    yaml.SequenceEndEvent: _Builder.end,
    yaml.ScalarEvent: _Builder.scalar,
    yaml.AliasEvent: _Builder.alias,
}


def _place_at(text: str, index: int, file: str) -> Place:
    line_start = max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1
    lines = text.count("\n", 0, index) + text.count("\r", 0, index) - text.count("\r\n", 0, index)
    return Place(file, lines + 1, index - line_start + 1)


def _syntax_problem(error: yaml.YAMLError, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = Place(file) if mark is None else Place(file, mark.line + 1, mark.column + 1)
    message = " ".join(filter(None, (getattr(error, "problem", None), getattr(error, "context", None))))
    return place.problem(f"not YAML: {unshield(message) or 'it cannot be read'}", _syntax_hint(message))


def _syntax_hint(message: str) -> str:
    if "character that cannot start any token" in message:
        return "indent with blanks instead of tabs, and quote what begins with % @ or `"
    if "flow" in message:
        return 'close every [ and {, and quote addresses such as "[::1]:8080"'
    if "mapping values are not allowed" in message or "expected ':'" in message:
        return "look at the indentation, and quote texts with a colon and a blank"
    return ""
