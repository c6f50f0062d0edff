"""The commands that talk to a running proxy: what each asks of the admin, and what it prints.

Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 the admin cannot be reached.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from proxy.cli import printing
from proxy.cli.admin import Admin, RefusedError, Terms, UnreachableError, service_path
from proxy.cli.shares import REST, TypedWrongError, read_shares
from proxy.core.units import parse_duration

DONE: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
_POLL: Final = 0.5
_SLACK: Final = 3.0  # seconds beyond a drain's deadline until what was cut is seen to be gone


@dataclass(frozen=True, slots=True)
class Session:
    """Whom a command talks to, and how it answers."""

    admin: Admin
    as_json: bool = False

    def show(self, value: Any, lines: Iterable[str]) -> None:
        """Print an answer, for programs or for people."""
        if self.as_json:
            print(json.dumps(value, ensure_ascii=False), flush=True)
            return
        for line in lines:
            print(line, flush=True)


def run(act: Callable[[], int]) -> int:
    """What a command does, with its failures told in one line each; the exit status."""
    try:
        return act()
    except UnreachableError as error:
        _say(f"{error} (is the proxy running? --admin or SLUICE_ADMIN names another address)")
        return UNREACHABLE
    except TypedWrongError as error:
        _say(str(error))
        return USAGE
    except RefusedError as error:
        _say(str(error))
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        if error.status == 401:
            print("  set SLUICE_TOKEN to the token of the admin section", file=sys.stderr)
        return REFUSED


def _say(text: str) -> None:
    print(f"sluice: {text}", file=sys.stderr)


def _changed(session: Session, view: Any) -> int:
    """Show a service that was changed."""
    for warning in view["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    session.show(view, printing.service(view))
    return DONE


# -- looking


def status(session: Session) -> int:
    """The proxy at a glance."""
    view = session.admin.get("/v1/status")
    session.show(view, printing.status(view))
    return DONE


def services(session: Session) -> int:
    """Every service."""
    views = session.admin.get("/v1/services")
    session.show(views, (line for view in views for line in printing.service(view)))
    return DONE


def diff(session: Session) -> int:
    """What differs from the file."""
    view = session.admin.get("/v1/config/diff")
    lines = [printing.override(each) for each in view["overrides"]] or ["nothing differs from the file"]
    session.show(view, lines)
    return DONE


def events(session: Session, *, follow: bool) -> int:
    """The journal; with `follow`, and what comes from now on, until interrupted."""
    found = session.admin.get("/v1/events")
    if not follow:
        session.show(found, map(printing.event, found))
        return DONE
    for each in found:
        session.show(each, [printing.event(each)])
    last = str(found[-1]["id"]) if found else "0"
    while True:
        for number, each in session.admin.follow("/v1/events", last):
            last = number
            session.show(each, [printing.event(each)])
        time.sleep(_POLL)  # the server has ended it, perhaps for a restart: come again


# -- changing


def split(session: Session, service: str, words: list[str], terms: Terms) -> int:
    """Set a service's split."""
    path = service_path(service, "split")
    etag, now = None, {}
    if REST in words:
        reply = session.admin.ask("GET", service_path(service))
        etag, now = reply.etag, reply.body["split"]
    return _changed(session, session.admin.ask("PUT", path, read_shares(words, now), terms, etag).body)


def change(session: Session, method: str, path: str, body: Any, terms: Terms) -> int:
    """Any other verb that is answered with the service."""
    return _changed(session, session.admin.ask(method, path, body, terms).body)


@dataclass(frozen=True, slots=True)
class DrainWish:
    """What is to be drained, and how. `deadline` as typed; None is the admin's."""

    service: str
    pool: str
    address: str | None
    deadline: str | None
    cut: bool
    wait: bool


def drain(session: Session, wish: DrainWish, terms: Terms) -> int:
    """Drain a pool or an endpoint; with `wait`, until it is empty or the deadline is over."""
    patience = _patience(wish.deadline)
    below = () if wish.address is None else ("endpoints", wish.address)
    body = {"cut": wish.cut} | ({} if wish.deadline is None else {"deadline": wish.deadline})
    path = service_path(wish.service, "pools", wish.pool, *below, "drain")
    view = session.admin.ask("POST", path, body, terms).body
    if not wish.wait:
        return _changed(session, view)
    end = time.monotonic() + patience + _SLACK
    told = None
    while True:
        in_flight, tunnels, is_drained = printing.left_on(view, wish.pool, wish.address)
        if is_drained:
            return _changed(session, view)
        if told != (in_flight, tunnels):
            told = in_flight, tunnels
            print(f"draining: {in_flight} in flight, {tunnels} tunnels", file=sys.stderr, flush=True)
        if time.monotonic() > end:
            _say(f"the deadline is over; still {in_flight} in flight, {tunnels} tunnels; --cut ends them")
            return REFUSED
        time.sleep(_POLL)
        view = session.admin.get(service_path(wish.service))


def _patience(deadline: str | None) -> float:
    try:
        return 30.0 if deadline is None else parse_duration(deadline)
    except ValueError as error:
        raise TypedWrongError(str(error)) from None


def reload(session: Session, terms: Terms) -> int:
    """Let the proxy read its configuration again."""
    view = session.admin.ask("POST", "/v1/reload", None, terms).body
    for warning in view["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    done = "in force" if view["changed"] else "nothing has changed"
    session.show(view, [f"generation {view['generation']}: {done}"])
    return DONE


def restart(session: Session, terms: Terms) -> int:
    """Let the proxy restart with the code on disk."""
    view = session.admin.ask("POST", "/v1/restart", None, terms).body
    session.show(view, ["asked to restart; `sluice status` tells if the code on disk does not start"])
    return DONE
