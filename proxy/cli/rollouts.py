"""What the commands about rollouts ask of the admin, and what they print."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from proxy.cli.admin import Terms, UnreachableError
from proxy.cli.printing import columns, duration, shares
from proxy.cli.shares import TypedWrongError
from proxy.cli.verbs import DONE, REFUSED, Session
from proxy.core.units import parse_duration

Json = Mapping[str, Any]

UNDECIDED: Final = 2
_POLL: Final = 0.5
_BAR: Final = 24
_RESTART: Final = 30.0  # seconds without an answer that a wait bears


def _path(name: str, *more: str) -> str:
    return "/".join(["/v1/rollouts", quote(name, safe=""), *more])


def start(session: Session, name: str, reason: str | None, timeout: str | None, *, wait: bool) -> int:
    """Begin it; with `wait`, until it is over or paused."""
    if timeout is not None and not wait:
        raise TypedWrongError("--timeout is how long --wait waits; add --wait, or leave it out")
    try:
        patience = float("inf") if timeout is None else parse_duration(timeout)
    except ValueError as error:
        raise TypedWrongError(str(error)) from None
    view = session.admin.ask("POST", _path(name, "start"), None, Terms(reason)).body
    if not wait:
        session.show(view, lines(view))
        return DONE
    end = time.monotonic() + patience
    told = ""
    while view["state"] in ("running", "aborting", "pending") and time.monotonic() < end:
        if told != (told := f"{view['step']} {view['state']}") and not session.as_json:
            print(_headline(view), flush=True)
        time.sleep(_POLL)
        view = _patient(session, name, min(end, time.monotonic() + _RESTART))
    session.show(view, lines(view))
    return {"succeeded": DONE, "aborted": REFUSED}.get(view["state"], UNDECIDED)


def _patient(session: Session, name: str, end: float) -> Json:
    """How it stands; a controller that is just being replaced answers a little later."""
    while True:
        try:
            view: Json = session.admin.get(_path(name))
        except UnreachableError:
            if time.monotonic() >= end:
                raise
            time.sleep(_POLL)
        else:
            return view


def change(session: Session, name: str, verb: str, reason: str | None, body: Any = None) -> int:
    """A verb that is answered with the rollout."""
    view = session.admin.ask("POST", _path(name, verb), body, Terms(reason)).body
    session.show(view, lines(view))
    return DONE


def status(session: Session, name: str | None, *, watch: bool) -> int:
    """One rollout or all; with `watch`, live."""
    if watch:
        return _watch(session, name)
    views = session.admin.get("/v1/rollouts") if name is None else [session.admin.get(_path(name))]
    shown = (line for view in views for line in lines(view))
    session.show(views if name is None else views[0], shown if views else ["there is no rollout"])
    return DONE


def plan(session: Session, name: str) -> int:
    """What a running proxy would do."""
    view = session.admin.get(_path(name, "plan"))
    session.show(view, plan_lines(view))
    return DONE


def plan_of_file(file: Path, name: str, *, as_json: bool) -> int:
    """What a file says, as if its split were in force."""
    import os

    import msgspec

    from proxy.config.load import load
    from proxy.control.cohorts import written
    from proxy.control.rollout_views import discreet_plan, plan_view
    from proxy.rollouts.planning import plan_of

    loaded = load(file, os.environ)
    if loaded.document is None:
        for problem in loaded.problems:
            print(problem, file=sys.stderr)
        return REFUSED
    spec = next((each for each in loaded.document.rollouts if each.name == name), None)
    if spec is None:
        there = ", ".join(each.name for each in loaded.document.rollouts) or "none"
        print(f"sluice: there is no rollout {name!r} in {file}; there is {there}", file=sys.stderr)
        return REFUSED
    service = next(each for each in loaded.document.services if each.name == spec.service)
    try:
        pools = {pool.name: written(pool) for pool in service.pools}
        found = plan_of(spec, pools, service.split)
    except ValueError as error:
        print(f"sluice: rollout {name}: {error}", file=sys.stderr)
        return REFUSED
    view = msgspec.to_builtins(discreet_plan(plan_view(found), loaded.discreet))
    print(json.dumps(view) if as_json else "\n".join(plan_lines(view)))
    return DONE


def history(session: Session, name: str) -> int:
    """The log of its last run."""
    view = session.admin.get(_path(name))
    found = [f"{_clock(line['at'])} {line['text']}" for line in view["log"]]
    session.show(view["log"], found or ["nothing has happened yet"])
    return DONE


# -- for people


def plan_lines(view: Json) -> Iterator[str]:
    """The steps, with when each is over at the latest."""
    in_place = view["stable"] == view["candidate"]
    where = f"{view['stable']} in place" if in_place else f"from {view['stable']} to {view['candidate']}"
    yield f"{view['name']}: {view['service']} {where}"
    passed: float | None = 0.0
    rows = []
    for number, step in enumerate(view["steps"]):
        passed = None if passed is None or step["at_most"] is None else passed + step["at_most"]
        rows.append((f"  {number}", step["text"], "" if passed is None else f"by {duration(passed)}"))
    yield from columns(rows)


def lines(view: Json) -> Iterator[str]:
    """A rollout in a few lines."""
    yield _headline(view)
    if view["split"]:
        yield f"  split: {shares(view['split'])}"
    if view["started"] is not None:
        yield f"  verdict: {view['verdict']['kind'].replace('_', ' ')}: {view['verdict']['sentence']}"
    for key in ("alarm", "problem"):
        if view[key]:
            yield f"  {key}: {view[key]}"


def _headline(view: Json) -> str:
    what = f"{view['name']}: {view['state']}"
    if view["state"] in ("running", "paused") and view["steps"]:
        what += f", step {view['step'] + 1} of {len(view['steps'])}: {view['steps'][view['step']]['text']}"
    if view["state"] == "running" and view["doing"]:
        what += f" ({view['doing']})"
    return f"{what}; {view['reason']}" if view["reason"] else what


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%SZ")


def _watch(session: Session, name: str | None) -> int:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()
    live = Live(console=console, auto_refresh=False)
    # Not `with live`: an interrupt while it enters would leave the terminal as it is then.
    try:
        live.start()
        while True:
            views = session.admin.get("/v1/rollouts") if name is None else [session.admin.get(_path(name))]
            # Text: what a hook has answered is no markup.
            live.update(Text("\n".join(line for view in views for line in picture(view))), refresh=True)
            if all(view["state"] in ("aborted", "succeeded", "pending") for view in views):
                return DONE
            time.sleep(_POLL)
    except KeyboardInterrupt:
        return DONE
    finally:
        live.stop()


def picture(view: Json) -> Iterator[str]:
    """A rollout with a bar for each step, both pools' rates and the evidence so far."""
    yield from lines(view)
    for number, step in enumerate(view["steps"]):
        is_now = number == view["step"] and view["state"] in ("running", "paused", "aborting")
        done = 1.0 if number < view["step"] or view["state"] == "succeeded" else (view["done"] or 0.0) * is_now
        full = int(done * _BAR)
        yield f"  {'▸' if is_now else ' '} {'█' * full}{'░' * (_BAR - full)} {step['text']}"
    numbers = view["verdict"]["numbers"]
    for pool, key in zip(_sides(view), ("candidate", "stable"), strict=True):
        if f"{key}_requests" in numbers:
            yield f"    {pool}: {numbers[f'{key}_requests']:,.0f} requests, {numbers[f'{key}_bad']:,.0f} bad"
    if "harm" in numbers:
        yield f"    evidence of harm {numbers['harm']:.3g}, of safety {numbers['safe']:.3g}"


def _sides(view: Json) -> tuple[str, str]:
    """What the candidate and stable are called; in place they are cohorts of one pool."""
    from proxy.telemetry.evidence import cohort_name

    pool = view["candidate"]
    if pool != view["stable"]:
        return pool, view["stable"]
    return cohort_name(pool, is_updated=True), cohort_name(pool, is_updated=False)
