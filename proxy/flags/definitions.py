"""A flagd v0 document (plain data) becomes a FlagSet, and every problem in it is found at once.

Problems never stop a set from being made of what is sound; whoever loads one decides what to do about them.
"""

import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.flags import checks
from proxy.flags.checks import Path, Problem
from proxy.flags.coercion import RuleError
from proxy.flags.engine import Compiler, Rule
from proxy.flags.evaluation import ERROR, FLAG_NOT_FOUND, Evaluation, Flag
from proxy.flags.spec import Generation

KEY = re.compile(r"[A-Za-z0-9._-]{1,256}")
KINDS = {bool: "boolean", str: "string", int: "number", float: "number", dict: "object"}
STATES = {"ENABLED": True, "DISABLED": False}
TOP = ("flags", "metadata", "$evaluators", "$schema")


@dataclass(frozen=True, slots=True)
class Explanation:
    """An evaluation, and what decided it, step by step."""

    evaluation: Evaluation
    steps: list[str]


@dataclass(slots=True)
class FlagSet:
    """The flags of one document; `problems` is empty when all of it is sound."""

    flags: dict[str, Flag] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    generation: Generation = "v3"
    shared: Mapping[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def evaluate(self, key: str, context: Mapping[str, Any], now: float) -> Evaluation:
        """The outcome of a flag for a context at `now` (Unix seconds); FLAG_NOT_FOUND for a key that is not here."""
        flag = self.flags.get(key)
        if flag is None:
            return Evaluation(reason=ERROR, error_code=FLAG_NOT_FOUND, error=f"there is no flag {key[:64]!r}")
        return flag.evaluate(context, now)

    def explain(self, key: str, context: Mapping[str, Any], now: float) -> Explanation:
        """The same outcome with the branches and buckets that led to it; compiled anew, so not for every request."""
        plain = self.evaluate(key, context, now)
        flag = self.flags.get(key)
        if flag is None or not flag.enabled or flag.problem or flag.rule is None:
            return Explanation(plain, [plain.error or f"{plain.reason}: no rule was asked"])
        steps: list[str] = []
        rule = Compiler(key, self.generation, self.shared, note=steps.append).compile(flag.targeting)
        told = flag.apply(rule, context, now)
        return Explanation(told, [*steps, told.error or f"{told.reason}: variant {told.variant!r}"])


def read(document: Any, generation: Generation = "v3") -> FlagSet:
    """The flags of a document, and all its problems; raises nothing."""
    steps = reading(document, generation)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            made: FlagSet = done.value
            return made


def reading(document: Any, generation: Generation = "v3") -> Generator[None, None, FlagSet]:
    """The same in slices, a flag each."""
    if not isinstance(document, dict):
        return FlagSet(problems=[Problem((), "flags must be a map with the key `flags`")])
    shared = document.get("$evaluators")
    made = FlagSet(generation=generation, shared=shared if isinstance(shared, dict) else {})
    made.problems.extend(_top(document))
    made.metadata = _flat(document.get("metadata"))
    for key, path, definition in _definitions(document, made.problems):
        flag = _flag(made, key, path, definition)
        if flag is not None:
            made.flags[key] = flag
        yield
    return made


def _top(document: dict[str, Any]) -> Iterator[Problem]:
    yield from checks.metadata(document.get("metadata"), ("metadata",))
    shared = document.get("$evaluators", {})
    if not isinstance(shared, dict):
        yield Problem(("$evaluators",), "must be a map of names to rules")
    else:
        for name, rule in shared.items():
            yield from checks.rule(rule, ("$evaluators", name), shared)
    for key in document:
        if key not in TOP:
            yield Problem((key,), f"unknown key; there is {', '.join(TOP)}")


def _definitions(document: dict[str, Any], problems: list[Problem]) -> Iterator[tuple[str, Path, Any]]:
    flags = document.get("flags")
    if isinstance(flags, dict):
        yield from ((key, ("flags", key), definition) for key, definition in flags.items())
    elif isinstance(flags, list):
        for place, definition in enumerate(flags):
            yield from _listed(place, definition, problems)
    else:
        problems.append(Problem(("flags",), "must be a map of keys to flags"))


def _listed(place: int, definition: Any, problems: list[Problem]) -> Iterator[tuple[str, Path, Any]]:
    if isinstance(definition, dict) and isinstance(definition.get("key"), str):
        yield definition["key"], ("flags", place), {name: definition[name] for name in definition if name != "key"}
    else:
        problems.append(Problem(("flags", place), "a flag in a list needs a `key`"))


def _flag(made: FlagSet, key: Any, path: Path, definition: Any) -> Flag | None:
    found = list(_shape(key, path, definition))
    if key in made.flags:
        found.append(Problem(path, f"flag {key!r} is defined twice; rename one"))
    made.problems.extend(found)
    if found:
        return None
    targeting = definition.get("targeting") or None
    rule, problem = _compiled(made, key, targeting)
    made.problems.extend(checks.targeting(targeting, (*path, "targeting"), made.shared, definition["variants"]))
    if problem and not any(each.path[: len(path)] == path for each in made.problems):
        made.problems.append(Problem((*path, "targeting"), problem))
    return Flag(
        key,
        _variants(definition["variants"]),
        definition.get("defaultVariant") or None,
        STATES[definition["state"]],
        targeting,
        rule,
        problem,
        {**made.metadata, **definition.get("metadata", {})},
        checks.mentions_time(targeting, made.shared),
    )


def _shape(key: Any, path: Path, definition: Any) -> Iterator[Problem]:
    if not isinstance(key, str) or not KEY.fullmatch(key) or key in {".", ".."}:
        yield Problem(path, "a key stands in a URL: use 1 to 256 of A-Z a-z 0-9 . _ -")
    if not isinstance(definition, dict):
        yield Problem(path, "a flag must be a map with state and variants")
        return
    if definition.get("state") not in ("ENABLED", "DISABLED"):
        yield Problem((*path, "state"), "must be ENABLED or DISABLED")
    yield from _variant_shapes(path, definition)
    yield from checks.metadata(definition.get("metadata"), (*path, "metadata"))
    if not isinstance(definition.get("targeting", {}), (dict, type(None))):
        yield Problem((*path, "targeting"), "must be a rule, e.g. {if: [condition, variant]}")


def _variant_shapes(path: Path, definition: dict[str, Any]) -> Iterator[Problem]:
    variants, default = definition.get("variants"), definition.get("defaultVariant")
    if not isinstance(variants, dict) or not variants:
        yield Problem((*path, "variants"), "a flag needs at least one variant, e.g. {on: true, off: false}")
        return
    kinds = {KINDS.get(type(value), "") for value in variants.values()}
    if "" in kinds:
        yield Problem((*path, "variants"), "a variant is a boolean, string, number or object")
    elif len(kinds) > 1:
        yield Problem((*path, "variants"), f"variants must have one type; here are {' and '.join(sorted(kinds))}")
    if any(not isinstance(name, str) or not name for name in variants):
        yield Problem((*path, "variants"), "names of variants must be text, not empty")
    if default not in (None, "") and (not isinstance(default, str) or default not in variants):
        yield Problem((*path, "defaultVariant"), f"{default!r} is no variant; there is {checks.listed(variants)}")


def _variants(variants: dict[str, Any]) -> dict[str, Any]:
    """All values as floats where one is: clients tell 3 from 3.0, and a flag has one type."""
    if any(type(value) is float for value in variants.values()):
        return {name: float(value) for name, value in variants.items()}
    return dict(variants)


def _compiled(made: FlagSet, key: str, targeting: Any) -> tuple[Rule | None, str]:
    if targeting is None:
        return None, ""
    try:
        return Compiler(key, made.generation, made.shared).compile(targeting), ""
    except RuleError as error:
        return None, str(error)


def _flat(metadata: Any) -> dict[str, Any]:
    return dict(metadata) if isinstance(metadata, dict) and not list(checks.metadata(metadata, ())) else {}
