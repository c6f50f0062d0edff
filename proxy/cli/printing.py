"""What the admin answers, as lines for people; plain text in columns, so that it can be piped."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

Json = Mapping[str, Any]
_WELL: Final = ("up", "drained", "removed")


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows with their cells one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def shares(split: Json) -> str:
    """`blue 90 %, canary 10 %`."""
    return ", ".join(f"{name} {share:g} %" for name, share in split.items())


def service(view: Json) -> Iterator[str]:
    """A service in one line, and a line for every endpoint."""
    origin = "" if view["split_from"] == "file" else " (override)"
    yield f"{view['name']}: {shares(view['split'])}{origin}"
    rows = [
        (f"  {name}", _where(each), each["state"], _weight(each), _running(each), _why(each))
        for name, pool in view["pools"].items()
        for each in pool["endpoints"]
    ]
    if rows:
        yield from columns(rows)


def _where(endpoint: Json) -> str:
    """Its address and, where that was looked up, the name that the configuration has."""
    name = endpoint["name"]
    return endpoint["address"] if name in (None, endpoint["address"]) else f"{endpoint['address']} ({name})"


def _weight(endpoint: Json) -> str:
    return f"weight {endpoint['weight']:g}{', backup' if endpoint.get('backup') else ''}"


def _why(endpoint: Json) -> str:
    """What the last probe found, or what took it out; only where something is amiss."""
    return "" if endpoint["state"] in _WELL else endpoint["why"] or ""


def _running(endpoint: Json) -> str:
    tunnels = f", {endpoint['tunnels']} tunnels" if endpoint["tunnels"] else ""
    return f"{endpoint['in_flight']} in flight{tunnels}"


def status(view: Json) -> Iterator[str]:
    """The whole proxy."""
    yield f"sluice {view['version']} ({view['build']}), generation {view['generation']}, up {duration(view['uptime'])}"
    yield f"configuration: {view['config']}"
    counts = view["reloads"]
    yield "reloads: " + ", ".join(f"{count} {name}" for name, count in counts.items())
    for worker in view["workers"]:
        yield f"worker {worker['slot']}: pid {worker['pid']}, {worker['state']}, generation {worker['generation']}"
    yield from (f"mirror {mirror(each)}" for each in view["traffic"]["mirrors"])
    yield from (f"override: {override(each)}" for each in view["overrides"])
    yield from (f"problem: {each}" for each in view["problems"])


def mirror(each: Json) -> str:
    """What a pool answered to copies, beside what was really answered."""
    sides = "; ".join(f"{name} {_side(each[name])}" for name in ("real", "shadow"))
    left_out = ", ".join(f"{count} {reason}" for reason, count in each["skipped"].items())
    return f"{each['service']} to {each['pool']}: {sides}{f'; not copied: {left_out}' if left_out else ''}"


def _side(side: Json) -> str:
    if not side["statuses"]:
        return "none"
    told = ", ".join(f"{count} {status}" for status, count in side["statuses"].items())
    return f"{told}, median {side['median'] * 1000:.1f} ms, 95 % {side['slowest'] * 1000:.1f} ms"


def override(each: Json) -> str:
    """One thing that differs from the file."""
    where = " ".join(filter(None, (each["service"], each["pool"], each["address"])))
    if each["field"] == "split":
        file, now = each["file"], each["value"]
        ordered = {name: now[name] for name in (*file, *now) if name in now}  # as the file names them
        return f"split of {where}: {shares(ordered)} (the file: {shares(file)})"
    if each["field"] == "flag":
        return f"flag {each['flag']}: {flag_override(each['value'])}"
    if each["field"] == "route":
        carried = ", ".join(f"{name}: {value}" for match in each["value"].values() for name, value in match.items())
        return f"requests of {each['service']} with {carried} go to {each['pool']}"
    if each["field"] == "mirror":
        return f"{each['value'] * 100:g} % of the requests of {each['service']} are copied to {each['pool']}"
    if each["field"] == "drain":
        return f"drain of {where}"
    now = _set_to(each["value"], is_backup=each.get("backup", False))
    then = _set_to(each["file"], is_backup=each.get("file_backup", False))
    return f"endpoint {where}: {now} (the file: {then})"


def flag_override(said: Json | None) -> str:
    """What somebody wants of a flag; "" for nothing."""
    if said is None:
        return ""
    if said.get("killed"):
        return "killed"
    if "variant" in said:
        return f"variant {said['variant']}"
    return f"{said['percent']:g} %" + (f" {said['to']}" if said.get("to") else "")


def _set_to(weight: float | None, *, is_backup: bool) -> str:
    return "not there" if weight is None else f"weight {weight}{', backup' if is_backup else ''}"


def event(each: Json) -> str:
    """One line of the journal."""
    when = datetime.fromtimestamp(each["at"], UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    what = " ".join(filter(None, (each["kind"], each["service"])))
    change = _change(each["before"], each["after"])
    why = each["reason"] if each["reason"] and not each["text"].endswith(each["reason"]) else ""
    details = "; ".join(filter(None, (change, each["text"], why and f"because {why}")))
    return f"{when} #{each['id']} {what} by {each['by']}{f': {details}' if details else ''}"


def _change(before: Any, after: Any) -> str:
    now, then = _shown(after), _shown(before)
    return f"{then} -> {now}" if then else now


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return "" if value is None else str(value)


def duration(seconds: float) -> str:
    """About how long: `45s`, `12m`, `3h`, `8d`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def left_on(view: Json, pool: str, address: str | None) -> tuple[int, int, bool]:
    """Exchanges and tunnels on a pool or one of its endpoints, and whether that is drained."""
    found: Iterable[Json] = view["pools"].get(pool, {}).get("endpoints", ())
    meant = [each for each in found if address in (None, each["address"], each["name"])]
    in_flight, tunnels = sum(each["in_flight"] for each in meant), sum(each["tunnels"] for each in meant)
    return (
        in_flight,
        tunnels,
        all(each["state"] in ("drained", "removed") for each in meant) and not in_flight + tunnels,
    )
