"""A rollout that was posted as JSON: the same checks as in the YAML, with places in the words of JSON path."""

import json
from typing import Any

from pydantic import ValidationError

from proxy.config.diagnosis import diagnose
from proxy.config.problems import Place
from proxy.config.rollouts import Rollout, to_spec
from proxy.config.schema import known_keys
from proxy.config.tree import Mapping, Scalar, Sequence, Tree
from proxy.rollouts.spec import RolloutSpec


def posted_rollout(body: dict[str, Any]) -> tuple[RolloutSpec | None, tuple[str, ...]]:
    """The rollout that such a body says, under its `name`; or what is wrong with it, one line each."""
    name = body.get("name")
    if not isinstance(name, str) or not name:
        return None, ("$.name: a rollout needs a name",)
    tree = _tree({key: value for key, value in body.items() if key != "name"}, "$")
    try:
        rollout = Rollout.model_validate(tree)
    except ValidationError as error:
        return None, tuple(str(problem) for problem in diagnose(error, tree, _keys))
    spec = to_spec(name, rollout)
    if spec.strategy.options.get("update", {}).get("command"):
        return None, ("$.strategy: commands run only from the file; use update: {hook: …} here",)
    return spec, ()


def _tree(data: Any, path: str) -> Tree:
    place = Place(path)
    if isinstance(data, dict):
        mapping = Mapping(place)
        for key, value in data.items():
            mapping.put(Scalar.at(Place(f"{path}.{key}"), key), _tree(value, f"{path}.{key}"))
        return mapping
    if isinstance(data, list):
        sequence = Sequence(place)
        sequence.extend(_tree(value, f"{path}[{number}]") for number, value in enumerate(data))
        return sequence
    if isinstance(data, str):
        return Scalar.at(place, data, plain=False)
    return Scalar.at(place, json.dumps(data))


def _keys(loc: tuple[str | int, ...]) -> tuple[str, ...]:
    return known_keys(("rollouts", "posted", *loc))
