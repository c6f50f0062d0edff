"""Feature flags of a configuration: read from where they stand, written out, and checked with their places."""

import math
from collections.abc import Iterator
from collections.abc import Mapping as AnyMapping
from pathlib import Path
from typing import Any

from proxy.config.diagnosis import nearest
from proxy.config.problems import Place, Problem, WrongError
from proxy.config.sources import read
from proxy.config.tree import Mapping, Scalar, Sequence, Tree, shown
from proxy.config.values import FILE_PATH
from proxy.flags.spec import Flags

_MOST = 2**53  # beyond it, JSON's readers do not agree on whole numbers


def flags_file(root: Mapping) -> Path | None:
    """The file that the definitions stand in, where that is another one."""
    section = root.section("flags")
    file = section.scalar("file")
    return None if file is None or "flags" in section else Path(FILE_PATH.read(file))


def read_flags(root: Mapping) -> tuple[Flags | None, list[Problem]]:
    """The flags with default settings, the short form written out, and every problem with them and their names."""
    if not any(key in root for key in ("flags", "flag_rules", "flag_settings")):
        return None, list(_match_problems({}, root))
    from proxy.flags import definitions, rules  # noqa: PLC0415 - 1.3 MiB for who has none

    written, problems = _definitions(root)
    if written is None:
        return None, problems
    document = _data(written, problems)
    of_rules = root.section("flag_rules")
    expanded, wrong = rules.expand(_data(of_rules, problems)) if "flag_rules" in root else ({}, [])
    problems += [_placed(of_rules, each.path, each.message) for each in wrong]
    flags = document.setdefault("flags", {})
    if not isinstance(flags, dict):
        if expanded:
            problems.append(of_rules.place.problem("flag_rules need flags that are a mapping", "write flags: {key: …}"))
        flags = {}  # what it is instead, is a problem of its own
    for key, flag in expanded.items():
        if key in flags:
            problems.append(of_rules.keys_[key].place.problem(f"flag {key} is among flags, too", "rename one of them"))
        else:
            flags[key] = flag
    made = definitions.read(document)
    for each in made.problems:
        place, path = (of_rules, each.path[1:]) if _is_short(each.path, of_rules) else (written, each.path)
        problems.append(_placed(place, path, each.message))
    found = Flags(document)
    return found, [*problems, *_naming_problems(found, root)]


def _is_short(path: tuple[str | int, ...], rules: Mapping) -> bool:
    """Is it a problem of a flag that was written in the short form?"""
    return len(path) > 1 and path[0] == "flags" and path[1] in rules


def _definitions(root: Mapping) -> tuple[Mapping | None, list[Problem]]:
    """What stands under `flags`, or in the file that it names."""
    found = root.get("flags")
    if found is None:
        return Mapping(root.place), []
    if not isinstance(found, Mapping):
        return None, [
            found.place.problem("flags are a mapping", "write {flags: {…}} as flagd does, or {file: flags.yaml}")
        ]
    try:
        path = flags_file(root)
    except WrongError as error:
        return None, [found.place.problem(str(error), error.hint)]
    if path is None:
        return found, []
    problems = [found.keys_[key].place.problem("nothing else stands beside file") for key in found if key != "file"]
    parsed = read(path, None)
    if parsed.tree is None or not isinstance(parsed.tree, Mapping):
        place = parsed.tree.place if parsed.tree is not None else Place(str(path))
        wrong = [] if parsed.problems else [place.problem("the top level must be a mapping", "it begins with flags: …")]
        return None, [*problems, *parsed.problems, *wrong]
    return parsed.tree, [*problems, *parsed.problems]


def _data(tree: Tree, problems: list[Problem]) -> Any:
    """Plain data, without what JSON cannot carry: those are problems."""
    if isinstance(tree, Scalar):
        value = tree.value
        if (isinstance(value, float) and not math.isfinite(value)) or (isinstance(value, int) and abs(value) > _MOST):
            problems.append(
                tree.place.problem(f"{shown(tree)} is no number that JSON can carry", "quote it if it is a text")
            )
            return 0
        return value
    if isinstance(tree, Mapping):
        return {str(key): _data(value, problems) for key, value in tree.items()}
    return [_data(value, problems) for value in tree]


def _placed(tree: Tree, path: tuple[str | int, ...], message: str) -> Problem:
    """A problem at the end of the path, or as near to it as there is something written."""
    place = tree.place
    for part in path:
        if isinstance(tree, Mapping) and str(part) in tree:
            place, tree = tree.keys_[str(part)].place, tree[str(part)]
        elif isinstance(tree, Sequence) and isinstance(part, int) and part < len(tree):
            tree = tree[part]
            place = tree.place
        else:
            break
    wrong = WrongError.of(ValueError(message))
    where = "" if len(path) < 2 or path[0] != "flags" else f"flag {path[1]}: "
    return place.problem(f"{where}{wrong}", wrong.hint)


def _naming_problems(flags: Flags | None, root: Mapping) -> Iterator[Problem]:
    """What settings and routes name must be there."""
    known = _variants(flags)
    yield from _match_problems(known, root)
    settings = root.section("flag_settings")
    listed = [*settings.sequence("public"), *settings.sequence("observe")]
    listed += settings.section("upstream_header").sequence("flags")
    for name in (*listed, *settings.section("guards").keys_.values()):
        if isinstance(name, Scalar) and name not in known:
            yield name.place.problem(f"there is no flag {shown(name)}", nearest(name, known))


def _match_problems(known: dict[str, AnyMapping[str, Any]], root: Mapping) -> Iterator[Problem]:
    for route in root.sequence("routes").mappings():
        match = route.section("match")
        for key, asked in match.section("flags").items():
            name = match.section("flags").keys_[key]
            if key not in known:
                hint = nearest(name, known) if known else "define it under flags or flag_rules"
                yield name.place.problem(f"there is no flag {shown(name)}", hint)
                continue
            for each in asked if isinstance(asked, Sequence) else (asked,):
                if isinstance(each, Scalar) and known[key] and each not in known[key]:
                    hint = f"there is {', '.join(known[key])}"
                    yield each.place.problem(f"{shown(each)} is no variant of flag {key}", hint)


def _variants(flags: Flags | None) -> dict[str, AnyMapping[str, Any]]:
    """The flags with their variants; none where they are not what they should be, which is told elsewhere."""
    document = None if flags is None else flags.document
    found = document.get("flags") if isinstance(document, dict) else None
    if isinstance(found, list):
        found = {each.get("key"): each for each in found if isinstance(each, dict)}
    flagged = found.items() if isinstance(found, dict) else ()
    variants = ((key, each.get("variants") if isinstance(each, dict) else None) for key, each in flagged)
    return {key: each if isinstance(each, dict) else {} for key, each in variants}
