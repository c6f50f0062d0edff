"""A service's pools and its split against each other."""

from collections.abc import Iterator

from proxy.config import split
from proxy.config.diagnosis import nearest
from proxy.config.problems import Problem, WrongError
from proxy.config.tree import Mapping, Scalar, shown
from proxy.config.values import Part, read_part


def service_problems(root: Mapping) -> Iterator[Problem]:
    """Everything that is wrong between the keys of a service."""
    for name, service in root.section("services").sections():
        pools = service.section("pools")
        if "split" in service:
            yield from _split_problems(service, pools)
        elif len(pools) > 1:
            message = f"the service {shown(name)} has several pools and no split"
            yield name.place.problem(message, f"write split: {{{', '.join(_example(pools))}}}")


def _split_problems(service: Mapping, pools: Mapping) -> Iterator[Problem]:
    written = service.section("split")
    for key in written.keys_.values():
        if pools and key not in pools and not key.missing:
            yield key.place.problem(f"there is no pool {shown(key)}", "" if key.secret else nearest(key, pools))
    parts = _parts(written)
    if parts is not None and isinstance(service["split"], Mapping):
        try:
            split.check(parts)
        except WrongError as wrong:
            yield written.place.problem(str(wrong), wrong.hint)


def _parts(written: Mapping) -> dict[str, Part] | None:
    """The parts, None where one cannot be read."""
    parts = {}
    for name, value in written.items():
        if not isinstance(value, Scalar) or value.missing:
            return None
        try:
            parts[name] = read_part(value)
        except ValueError:
            return None
    return parts


def _example(pools: Mapping) -> Iterator[str]:
    for index, key in enumerate(pools.keys_.values()):
        yield f"{shown(key) if key.secret else key}: {0 if index else 100}"
