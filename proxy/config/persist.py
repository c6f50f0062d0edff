"""A split written back into the text of the YAML: only the scalars of its shares change, every other byte stays.

Pure. It works on the parser's events and their offsets, and never writes YAML of its own. Where a share is not
literally there, it refuses rather than guess. At the end it reads what it has made and compares.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import yaml

from proxy.config.problems import WrongError
from proxy.config.variables import shield, unshield
from proxy.config.yaml import MAX_DEPTH

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PART: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(%?)")
_DIGITS: Final = Decimal("1e-12")  # what a part of a split may have after its point
_BY_HAND: Final = "change it by hand"
_OPENS: Final = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSES: Final = (yaml.MappingEndEvent, yaml.SequenceEndEvent)

Shares = Mapping[str, float]


@dataclass(slots=True)
class _Node:
    """One event with what it encloses; `begin` and `end` are offsets of characters."""

    event: Any
    begin: int
    end: int
    inside: "list[_Node]" = field(default_factory=list)

    @property
    def anchor(self) -> str | None:
        """What anchors it, or what it is an alias of."""
        return getattr(self.event, "anchor", None)

    @property
    def text(self) -> str | None:
        """What a scalar says; None for anything else."""
        return unshield(self.event.value) if isinstance(self.event, yaml.ScalarEvent) else None

    def pairs(self) -> "Iterator[tuple[_Node, _Node]]":
        """The keys and values of a mapping."""
        return zip(self.inside[::2], self.inside[1::2], strict=True)


def has_service(text: str, service: str) -> bool:
    """Whether a text that is YAML has this service."""
    try:
        root = _composed(text)
        return _below(_below(root, "services"), service) is not None
    except (WrongError, yaml.YAMLError):
        return False


def persisted(text: str, service: str, shares: Shares) -> str:
    """The text with `services.<service>.split` at these shares (of 100); WrongError where that is not safe."""
    try:
        return _persisted(text, service, shares)
    except yaml.YAMLError as error:
        raise WrongError(
            f"the file is not YAML just now: {getattr(error, 'problem', error)}", "mend it first"
        ) from None


def _persisted(text: str, service: str, shares: Shares) -> str:
    root = _composed(text)
    path = _path(root, ("services", service, "split"))
    parts = _parts(text, path[-1])
    _refuse_shared([*path, *(node for pair in path[-1].pairs() for node in pair)], root)
    missing = [name for name, share in shares.items() if share and name not in parts]
    if missing:
        raise WrongError(f"the split in the file does not name {missing[0]}", f"add {missing[0]}: 0 to it first")
    wanted = _decimals({name: shares.get(name, 0.0) for name in parts})
    if _is_said(parts, wanted):
        return text
    made = text
    for name, part in sorted(parts.items(), key=lambda item: -item[1].begin):
        if Decimal(part.number) != wanted[name]:
            made = made[: part.begin] + f"{wanted[name]:f}" + made[part.end :]
    _verify(root, _composed(made), {name: f"{wanted[name]:f}" for name in parts}, (service, parts))
    return made


@dataclass(frozen=True, slots=True)
class _Part:
    """A share as it is written: its digits, where they are, and whether a % follows."""

    number: str
    begin: int
    end: int
    percent: bool


def _parts(text: str, split: _Node) -> dict[str, _Part]:
    if not isinstance(split.event, yaml.MappingStartEvent):
        raise WrongError("the split in the file is not a mapping", _BY_HAND)
    return {_name(key): _part(text, _name(key), value) for key, value in split.pairs()}


def _name(key: _Node) -> str:
    name = key.text
    if name is None or "${" in name:
        raise WrongError("a pool in the split is not named literally", _BY_HAND)
    return name


def _part(text: str, name: str, value: _Node) -> _Part:
    written = value.text
    if isinstance(value.event, yaml.AliasEvent) or value.anchor is not None:
        raise WrongError(f"the share of {name} is an anchor or alias", _BY_HAND)
    if written is not None and "${" in written:
        raise WrongError(f"the share of {name} comes from a variable", "change the variable")
    found = None if written is None else _PART.fullmatch(written)
    if written is None or found is None:
        raise WrongError(f"the share of {name} does not stand there literally", _BY_HAND)
    begin = value.begin + (value.event.style in ("'", '"'))
    if text[begin : begin + len(written)] != written:
        raise WrongError(f"the share of {name} does not stand there literally", _BY_HAND)
    return _Part(found[1], begin, begin + len(found[1]), bool(found[2]))


def _is_said(parts: Mapping[str, _Part], wanted: Mapping[str, Decimal]) -> bool:
    """Do the parts mean this already? 19 and 1 are 95 and 5."""
    total = sum(Decimal(part.number) for part in parts.values())
    return all(Decimal(part.number) * 100 == wanted[name] * total for name, part in parts.items())


def _decimals(shares: Shares) -> dict[str, Decimal]:
    """The shares as decimals that add up to exactly 100."""
    exact = {name: Decimal(repr(float(share))).quantize(_DIGITS) for name, share in shares.items()}
    lost = [name for name, share in shares.items() if share and not exact[name]]
    if lost:
        raise WrongError(f"the share of {lost[0]} is too small to be written", "set a larger one")
    largest = max(exact, key=lambda name: exact[name])
    exact[largest] += 100 - sum(exact.values())
    return {name: _plain(value) for name, value in exact.items()}


def _plain(value: Decimal) -> Decimal:
    """Without zeros at the end."""
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value.normalize()


# -- the tree


def _composed(text: str) -> _Node:
    """The events of one document as a tree; WrongError where there is none, or it goes too deep."""
    top = _Node(None, 0, len(text))
    open_ = [top]
    for event in yaml.parse(shield(text), Loader=_LOADER):
        if isinstance(event, _CLOSES):
            open_.pop()
            continue
        if not isinstance(event, (*_OPENS, yaml.ScalarEvent, yaml.AliasEvent)):
            continue
        marks: tuple[Any, Any] = event.start_mark, event.end_mark
        node = _Node(event, marks[0].index, marks[1].index)
        open_[-1].inside.append(node)
        if isinstance(event, _OPENS):
            open_.append(node)
        if len(open_) > MAX_DEPTH + 1:
            raise WrongError(f"the file is nested deeper than {MAX_DEPTH} levels", _BY_HAND)
    if len(top.inside) != 1:
        raise WrongError("the file is not one document", _BY_HAND)
    return top.inside[0]


def _below(node: _Node | None, key: str) -> _Node | None:
    if node is None or not isinstance(node.event, yaml.MappingStartEvent):
        return None
    return next((value for name, value in node.pairs() if name.text == key), None)


def _path(root: _Node, keys: tuple[str, ...]) -> list[_Node]:
    path = [root]
    for depth, key in enumerate(keys):
        if isinstance(path[-1].event, yaml.AliasEvent):
            raise WrongError(f"{'.'.join(keys[:depth])} is an alias in the file", _BY_HAND)
        found = _below(path[-1], key)
        if found is None:
            raise WrongError(f"{'.'.join(keys[: depth + 1])} is not in the file", _BY_HAND)
        path.append(found)
    if isinstance(path[-1].event, yaml.AliasEvent):
        raise WrongError(f"{'.'.join(keys)} is an alias in the file", _BY_HAND)
    return path


def _refuse_shared(nodes: list[_Node], root: _Node) -> None:
    """What an alias elsewhere stands for as well must not change."""
    used = {node.anchor for node in _walk(root) if isinstance(node.event, yaml.AliasEvent)}
    shared = next((node.anchor for node in nodes if node.anchor in used - {None}), None)
    if shared is not None:
        raise WrongError(f"the anchor &{shared} is used in other places as well", _BY_HAND)


def _walk(node: _Node) -> Iterator[_Node]:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(node.inside)


def _verify(before: _Node, after: _Node, wanted: Mapping[str, str], meant: tuple[str, Mapping[str, _Part]]) -> None:
    """Read again: everything is as it was, and the split is what it was to be."""
    service, parts = meant
    split = _path(after, ("services", service, "split"))[-1]
    values = {id(value): name for key, value in split.pairs() if (name := key.text) is not None}
    for old, new in zip(_walk(before), _walk(after), strict=True):
        name = values.get(id(new))
        if name is not None and Decimal((new.text or "").rstrip("%")) == Decimal(wanted[name]):
            same = old.event.style == new.event.style and (new.text or "").endswith("%") == parts[name].percent
        else:
            same = name is None and _said(old) == _said(new)
        if not same:
            raise WrongError("the file would say something else than is meant", _BY_HAND)


def _said(node: _Node) -> tuple[Any, ...]:
    event = node.event
    found = (getattr(event, name, None) for name in ("anchor", "tag", "value", "style", "flow_style"))
    return type(event), *found
