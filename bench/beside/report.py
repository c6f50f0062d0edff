"""What was found, as tables and pictures, and whether it is what we want to show."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beside import plot
from beside.cases import CASES
from beside.proxies import OURS

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Aim:
    """At most so much of `key` in a case; with a `peer`, as a share of what that takes."""

    title: str
    case: str
    most: tuple[float, float]
    """For the compiled build, and for the plain one."""
    peer: str = ""
    key: str = "cpu"


AIMS = (
    Aim("varied / nginx", "varied", (1.1, 1.8), "nginx"),
    Aim("varied / HAProxy", "varied", (1.25, 2.0), "haproxy"),
    Aim("small / nginx", "small", (1.2, 1.9), "nginx"),
    Aim("small / Envoy", "small", (0.40, 0.60), "envoy"),
    Aim("small / Traefik", "small", (0.35, 0.50), "traefik"),
    Aim("small / Caddy", "small", (0.30, 0.45), "caddy"),
    Aim("varied, sticky / nginx with split_clients by cookie", "sticky", (1.25, 2.0), "nginx"),
    Aim("100 KiB / HAProxy", "100k", (1.2, 1.4), "haproxy"),
    Aim("POST 64 KiB / HAProxy", "post64k", (1.2, 1.4), "haproxy"),
    Aim("1 MiB / HAProxy", "1m", (1.05, 1.1), "haproxy"),
    Aim("10,000 routes / 1 route", "flat", (1.05, 1.05), key="ratio"),
    Aim("idle connection, KiB", "idle", (8.0, 8.0), key="kib"),
    Aim("start to first answer, s", "start", (1.5, 1.5), key="seconds"),
    Aim("the worker's own CPU till then, s", "start", (0.25, 0.3), key="worker"),
)


def number(result: Result, case: str, name: str, key: str = "cpu") -> float | None:
    """One median; None where it was not measured."""
    value = result["cases"].get(case, {}).get(name, {}).get(key)
    return None if value is None else float(value)


def reached(result: Result, aim: Aim, build: str) -> float | None:
    """What one of our builds got."""
    mine = number(result, aim.case, build, aim.key)
    if not aim.peer:
        return mine
    theirs = number(result, aim.case, aim.peer, aim.key)
    return mine / theirs if mine is not None and theirs else None


def must_show(result: Result) -> list[dict[str, Any]]:
    """Every aim with what was reached and a word for it; what was not measured is left out."""
    rows = []
    for aim in AIMS:
        row: dict[str, Any] = {"case": aim.title}
        for build, most in zip(OURS, aim.most, strict=True):
            value = reached(result, aim, build)
            if value is not None:
                row[build] = {"found": round(value, 3), "most": most, "holds": value <= most}
        if len(row) > 1:
            rows.append(row)
    return rows


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of Markdown."""
    marks = ["---" if not place else "--:" for place in range(len(header))]
    return [f"| {' | '.join(cells)} |" for cells in (header, marks, *rows)] + [""]


def aims_table(result: Result) -> list[str]:
    """The must-show table."""

    def cell(found: dict[str, Any] | None) -> str:
        if found is None:
            return "not measured"
        return f"{found['found']:.2f} (<= {found['most']:g}) {'pass' if found['holds'] else '**falls short**'}"

    rows = [[row["case"], *(cell(row.get(build)) for build in OURS)] for row in result["must_show"]]
    return table(["CPU per request, ours as a share of theirs, or as it says", *OURS], rows) if rows else []


def titles() -> dict[str, str]:
    """What each case is, by name."""
    return {case.name: case.title for case in CASES}


def measured(result: Result) -> Iterator[tuple[str, dict[str, Any]]]:
    """The cases of the table that were measured, in its order."""
    for name, title in titles().items():
        if result["cases"].get(name):
            yield title, result["cases"][name]


def grid(result: Result, key: str, form: str) -> list[str]:
    """One figure of all cases and proxies."""
    names = list(result["versions"])
    rows = [
        [title, *(format(found[name][key], form) if name in found else "" for name in names)]
        for title, found in measured(result)
    ]
    return table(["case", *names], rows) if rows else []


def special(result: Result, case: str, header: Sequence[str], cells: dict[str, str]) -> list[str]:
    """A table of a case with figures of its own: key of the figure -> its format."""
    found = result["cases"].get(case, {})
    rows = [[name, *(format(each[key], form) for key, form in cells.items())] for name, each in found.items()]
    return table(["", *header], rows) if rows else []


def markdown(result: Result) -> str:
    """All of it to read."""
    machine = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    lines = [f"# {result['date']}", "", f"{machine}.", ""]
    lines += [f"- {name}: {version}" for name, version in result["versions"].items()]
    lines += ["", f"{result['effort']}", ""]
    parts = (
        ("Must show", aims_table(result)),
        ("CPU microseconds per request", grid(result, "cpu", ".1f")),
        ("Requests per second, closed loop", grid(result, "rate", ",.0f")),
        ("Memory under load, MiB (PSS)", grid(result, "memory", ".0f")),
        ("At the same fixed rate, milliseconds", latency_table(result)),
        ("10,000 routes and one, in turn", flat_table(result)),
        ("Idle connections", special(result, "idle", ["KiB each", "connections"], {"kib": ".2f", "connections": ","})),
        (
            "Start, seconds to the first answer",
            special(result, "start", ["seconds", "CPU s of the one that answers"], {"seconds": ".2f", "worker": ".2f"}),
        ),
        ("What went wrong", troubles(result)),
    )
    for title, text in parts:
        if text:
            lines += [f"## {title}", "", *text]
    return "\n".join(lines).rstrip() + "\n"


def latency_table(result: Result) -> list[str]:
    """Quantiles, and whether the rate was kept."""
    cells = {"p50": ".2f", "p99": ".2f", "p999": ".2f", "wanted": ",.0f", "reached": ",.0f"}
    return special(result, "latency", ["p50", "p99", "p99.9", "asked per s", "answered per s"], cells)


def flat_table(result: Result) -> list[str]:
    """Microseconds, and how much more."""
    cells = {"few": ".1f", "many": ".1f", "ratio": ".3f"}
    return special(result, "flat", ["1 route", "10,000 routes", "ratio, median of the rounds'"], cells)


def troubles(result: Result) -> list[str]:
    """Complaints of the generators."""
    lines = [
        f"- {case}, {name}: {each['trouble']}"
        for case, found in result["cases"].items()
        for name, each in found.items()
        if each.get("trouble")
    ]
    return [*lines, ""] if lines else []


def pictures(result: Result) -> dict[str, str]:
    """SVG by what it shows."""
    names = list(result["versions"])
    grown = re.compile(r"(routes|endpoints)-(\d+)")
    groups = {
        titles()[case].partition(":")[0]: {name: found[name]["cpu"] for name in names if name in found}
        for case, found in result["cases"].items()
        if case in titles() and not grown.fullmatch(case) and found
    }
    made = {"cpu": plot.bars("CPU microseconds per request", groups, names)} if groups else {}
    for what in ("routes", "endpoints"):
        series: dict[str, dict[int, float]] = {}
        for case, found in result["cases"].items():
            match = grown.fullmatch(case)
            for name in names:
                if match and match[1] == what and name in found:
                    series.setdefault(name, {})[int(match[2])] = found[name]["cpu"]
        if series:
            made[what] = plot.lines(f"CPU microseconds per request, by number of {what}", series, "µs")
    return made


def write(result: Result, folder: Path, name: str) -> list[Path]:
    """The files of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{name}.json": json.dumps(result, indent=1) + "\n", f"{name}.md": markdown(result)}
    files |= {f"{name}-{what}.svg": text for what, text in pictures(result).items()}
    for file, text in files.items():
        (folder / file).write_text(text)
    return [folder / file for file in files]
