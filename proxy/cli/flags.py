"""What the commands about flags ask of the admin, and what they print."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from proxy.cli.admin import Terms
from proxy.cli.printing import columns, flag_override
from proxy.cli.shares import TypedWrongError
from proxy.cli.verbs import DONE, REFUSED, Session

Json = Mapping[str, Any]


def _path(key: str, *more: str) -> str:
    return "/".join(["/v1/flags", quote(key, safe=""), *more])


def list_flags(session: Session) -> int:
    """Every flag."""
    views = session.admin.get("/v1/flags")
    rows = [["FLAG", "STATE", "DEFAULT", "OVERRIDE", "BY", "RULE"], *(_row(view) for view in views)]
    session.show(views, columns(rows) if views else ["there is no flag"])
    return DONE


def change(session: Session, method: str, key: str, verb: str, body: Any, terms: Terms) -> int:
    """A change of one flag, which is answered with the flag."""
    view = session.admin.ask(method, _path(key, verb), body, terms).body
    for warning in view["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    session.show(view, columns([["FLAG", "STATE", "DEFAULT", "OVERRIDE", "BY", "RULE"], _row(view)]))
    return DONE


def evaluate(session: Session, key: str, pairs: list[str]) -> int:
    """What it comes to for somebody, and why."""
    view = session.admin.ask("POST", _path(key, "evaluate"), {"context": context_of(pairs)}).body
    session.show(view, _evaluation(view))
    return DONE


def outcome(session: Session, key: str) -> int:
    """What came of each variant."""
    view = session.admin.get(_path(key, "outcome"))
    rows = [["VARIANT", "EVALUATIONS", "REQUESTS", "ERRORS", "P50", "P90", "P99"], *map(_variant, view["variants"])]
    lines = columns(rows) if view["observed"] else [f"{key} is not counted; write it under flag_settings.observe"]
    session.show(view, [*lines, *map(_guard, view["guards"])])
    return DONE


def expand(file: Path) -> int:
    """All flags of a configuration as one flagd document."""
    from proxy.config.load import load

    loaded = load(file, os.environ)
    if loaded.document is None:
        for problem in loaded.problems:
            print(problem, file=sys.stderr)
        return REFUSED
    flags = loaded.document.flags
    print(json.dumps({"flags": {}} if flags is None else flags.document, indent=2, ensure_ascii=False))
    return DONE


def context_of(pairs: list[str]) -> dict[str, Any]:
    """The context that was typed: NAME=TEXT, NAME:=JSON."""
    context: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        is_json = name.endswith(":")
        if not sign or not name.removesuffix(":"):
            raise TypedWrongError(f"{pair!r} says nothing of a context; write targetingKey=ann, or age:=30")
        try:
            context[name.removesuffix(":") if is_json else name] = json.loads(text) if is_json else text
        except ValueError:
            raise TypedWrongError(f"{text!r} is no JSON; write a text as {name.removesuffix(':')}={text}") from None
    return context


def _row(view: Json) -> list[str]:
    return [
        view["key"],
        view["state"].lower(),
        view["default"] or "-",
        flag_override(view["override"]) or "-",
        view["overridden_by"] or "-",
        _rule(view),
    ]


def _rule(view: Json) -> str:
    text = json.dumps(view["targeting"], ensure_ascii=False) if view["targeting"] else "-"
    return text if len(text) <= 60 else f"{text[:59]}…"


def _variant(view: Json) -> list[str]:
    requests, rate = sum(view["requests"].values()), view["error_rate"]
    return [
        view["variant"] or "(none)",
        f"{view['evaluations']:,}",
        f"{requests:,}",
        "-" if rate is None else f"{100 * rate:.2f} %",
        *("-" if view[name] is None else f"{1000 * view[name]:.1f} ms" for name in ("p50", "p90", "p99")),
    ]


def _guard(view: Json) -> str:
    return f"guard of {view['variant']}: {view['verdict'].replace('_', ' ')}: {view['sentence']}"


def _evaluation(view: Json) -> Iterator[str]:
    value = "" if view["variant"] is None else f" = {json.dumps(view['value'], ensure_ascii=False)}"
    yield f"{view['key']}: {view['variant'] or 'no variant: the caller has its own default'}{value} ({view['reason']})"
    if view["override"]:
        yield f"  overridden: {flag_override(view['override'])}"
    yield from (f"  {step}" for step in view["steps"])
