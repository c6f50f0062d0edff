"""A rollout that was posted as JSON: the same checks as in the YAML, with places in the words of JSON path."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError

from proxy.config.diagnosis import diagnose
from proxy.config.problems import Place
from proxy.config.rollout_checks import key_problems, unroutable
from proxy.config.rollouts import Rollout, to_spec
from proxy.config.schema import known_keys
from proxy.config.tree import Mapping, Scalar, Sequence, Tree
from proxy.config.values import Name
from proxy.rollouts.planning import planned_steps, rolling_problem, unsafe
from proxy.rollouts.spec import RolloutSpec

_DEEPEST = 32
_NAME: TypeAdapter[str] = TypeAdapter(Name)


def posted_rollout(body: dict[str, Any]) -> tuple[RolloutSpec | None, tuple[str, ...]]:
    """The rollout that such a body says, under its `name`; or what is wrong with it, one line each."""
    name = body.get("name")
    if not isinstance(name, str) or not name:
        return None, ("$.name: a rollout needs a name",)
    try:
        _NAME.validate_python(Scalar.at(Place("$.name"), name, plain=False))
        tree = _mapping({key: value for key, value in body.items() if key != "name"}, "$", _DEEPEST)
    except ValidationError as error:
        return None, (f"$.name: {error.errors()[0]['msg'].removeprefix('Value error, ')}",)
    except ValueError as error:
        return None, (str(error),)
    problems = list(key_problems(tree))
    try:
        rollout = Rollout.model_validate(tree)
    except ValidationError as error:
        problems += diagnose(error, tree, _keys)
        return None, tuple(map(str, problems))
    spec = to_spec(name, rollout)
    said = (*map(str, problems), *_step_problems(spec))
    return (None, said) if said else (spec, ())


def _step_problems(spec: RolloutSpec) -> Iterator[str]:
    rolling = rolling_problem(spec)
    if rolling is not None:
        yield f"$.{rolling[0]}: {rolling[1]}"
    if spec.strategy.options.get("update", {}).get("command"):
        yield "$.strategy: commands run only from the file; use update: {hook: …} here"
    try:
        planned = planned_steps(spec)
        yield from (f"$.steps[{position}]: {text}" for position, text in (*unsafe(planned), *unroutable(planned)))
    except ValueError as error:
        yield f"$.steps: {error}"


def _mapping(data: dict[str, Any], path: str, deep: int) -> Mapping:
    mapping = Mapping(Place(path))
    for key, value in data.items():
        mapping.put(Scalar.at(Place(f"{path}.{key}"), key), _tree(value, f"{path}.{key}", deep - 1))
    return mapping


def _tree(data: Any, path: str, deep: int) -> Tree:
    place = Place(path)
    if not deep:
        raise ValueError(f"{path[:80]}: that is too deep; no rollout needs more than {_DEEPEST} levels")
    if isinstance(data, dict):
        return _mapping(data, path, deep)
    if isinstance(data, list):
        sequence = Sequence(place)
        sequence.extend(_tree(value, f"{path}[{number}]", deep - 1) for number, value in enumerate(data))
        return sequence
    if isinstance(data, str):
        return Scalar.at(place, data, plain=False)
    return Scalar.at(place, json.dumps(data))


def _keys(loc: tuple[str | int, ...]) -> tuple[str, ...]:
    return known_keys(("rollouts", "posted", *loc))
