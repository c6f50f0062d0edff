"""The short form for people: `checkout-v2: {on_for: {users: [ann], percent: 10}, otherwise: off}` becomes a flagd flag.

A user, a region or a share that matches gets `on`, all others `otherwise`; a ramp moves a share between two instants.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from proxy.flags.checks import Problem

WHOLE = 10_000  # parts of a share: a hundredth of a per cent
OPTIONS = ("on_for", "otherwise", "ramp", "kill")
GROUPS = ("users", "regions", "percent")
RAMP = ("from", "to", "start", "end")


def expand(rules: Any) -> tuple[dict[str, Any], list[Problem]]:
    """The flags of a flagd document, and every problem of the short form."""
    if not isinstance(rules, dict):
        return {}, [Problem((), "must be a map of keys to rules, e.g. checkout-v2: {on_for: {percent: 10}}")]
    flags, problems = {}, []
    for key, rule in rules.items():
        found = list(_problems(key, rule))
        problems.extend(found)
        if not found:
            flags[key] = _flag(rule)
    return flags, problems


def _flag(rule: dict[str, Any]) -> dict[str, Any]:
    otherwise = rule.get("otherwise", "off")
    flag = {
        "state": "DISABLED" if rule.get("kill") is True else "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": otherwise,
    }
    targeting = _targeting(rule, otherwise)
    return flag | ({"targeting": targeting} if targeting else {})


def _targeting(rule: dict[str, Any], otherwise: str) -> dict[str, Any] | None:
    groups = rule.get("on_for", {})
    chosen = [
        {"in": [{"var": name}, list(groups[group])]}
        for group, name in (("users", "targetingKey"), ("regions", "region"))
        if groups.get(group)
    ]
    last = _share(rule, groups, otherwise)
    if not chosen:
        return last
    condition = chosen[0] if len(chosen) == 1 else {"or": chosen}
    return {"if": [condition, "on", last] if last else [condition, "on"]}


def _share(rule: dict[str, Any], groups: dict[str, Any], otherwise: str) -> dict[str, Any] | None:
    if "ramp" in rule:
        return _ramp(rule["ramp"], otherwise)
    if "percent" not in groups:
        return None
    parts = _parts(groups["percent"])
    return {"fractional": [["on", parts], [otherwise, WHOLE - parts]]}


def _ramp(ramp: dict[str, Any], otherwise: str) -> dict[str, Any]:
    """Weights that move with the time; kept whole by counting in seconds times parts, within what flagd allows."""
    low, high = _parts(ramp.get("from", 0)), _parts(ramp.get("to", 100))
    start, end = _instant(ramp["start"]), _instant(ramp["end"])
    now = {"var": "$flagd.timestamp"}
    passed = {"max": [0, {"min": [end - start, {"-": [now, start]}]}]}
    grown = {"/": [{"*": [passed, high - low]}, end - start]}
    moved = {"-": [grown, {"%": [grown, 1]}]}
    on = {"+": [low, moved]}
    return {"fractional": [["on", on], [otherwise, {"-": [WHOLE, on]}]]}


def _parts(percent: float) -> int:
    return round(percent * WHOLE / 100)


def _instant(text: Any) -> int:
    if isinstance(text, int):
        return text
    found = text if isinstance(text, datetime) else datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("needs a zone")
    return int(found.timestamp())


def _problems(key: Any, rule: Any) -> Iterator[Problem]:
    if not isinstance(rule, dict):
        yield Problem((key,), "must be a map, e.g. {on_for: {percent: 10}, otherwise: off}")
        return
    yield from _unknown(rule, (key,), OPTIONS)
    if rule.get("otherwise", "off") not in ("on", "off"):
        yield Problem((key, "otherwise"), "must be on or off")
    if not isinstance(rule.get("kill", False), bool):
        yield Problem((key, "kill"), "must be true or false")
    yield from _groups(rule.get("on_for", {}), (key, "on_for"))
    if "ramp" in rule:
        yield from _ramp_problems(rule, (key, "ramp"))


def _groups(groups: Any, path: tuple[str, ...]) -> Iterator[Problem]:
    if not isinstance(groups, dict):
        yield Problem(path, f"must be a map; there is {', '.join(GROUPS)}")
        return
    yield from _unknown(groups, path, GROUPS)
    for name in ("users", "regions"):
        listed = groups.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            yield Problem((*path, name), "must be a list of text; quote numbers")
    yield from _percent(groups, path, "percent")


def _percent(found: dict[str, Any], path: tuple[str, ...], name: str) -> Iterator[Problem]:
    value = found.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
        yield Problem((*path, name), "must be a number from 0 to 100")


def _ramp_problems(rule: dict[str, Any], path: tuple[str, ...]) -> Iterator[Problem]:
    ramp = rule["ramp"]
    if not isinstance(ramp, dict):
        yield Problem(path, "must be a map with start and end, e.g. {from: 5, to: 100, start: ..., end: ...}")
        return
    yield from _unknown(ramp, path, RAMP)
    for name in ("from", "to"):
        yield from _percent(ramp, path, name)
    if isinstance(rule.get("on_for"), dict) and "percent" in rule["on_for"]:
        yield Problem(path, "a ramp is the percent; leave one of them out")
    try:
        if _instant(ramp["start"]) >= _instant(ramp["end"]):
            yield Problem((*path, "end"), "must be after start")
    except (KeyError, TypeError, ValueError):
        yield Problem(path, "start and end must be instants with a zone, e.g. 2030-01-31T08:00:00Z")


def _unknown(found: dict[str, Any], path: tuple[str, ...], names: tuple[str, ...]) -> Iterator[Problem]:
    for name in found:
        if name not in names:
            yield Problem((*path, name), f"unknown key; there is {', '.join(names)}")
