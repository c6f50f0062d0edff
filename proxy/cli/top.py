"""`sluice top`: what each pool does, second by second. Rates are differences of the admin's counters."""

import time
from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.table import Table

from proxy.cli.admin import Admin
from proxy.cli.printing import columns

_HEADS: Final = ("service", "pool", "weight", "state", "req/s", "errors/s", "mean", "in flight", "tunnels", "endpoints")
Json = Mapping[str, Any]


def top(admin: Admin, pause: float) -> int:
    """Show the table until interrupted; without a terminal, once."""
    console = Console()
    before, then = admin.get("/v1/status"), time.monotonic()
    services = admin.get("/v1/services")
    if not console.is_terminal:
        for line in columns([_HEADS, *rows(None, before, services, 1.0)]):
            print(line)
        return 0
    live = Live(console=console, screen=True, auto_refresh=False)
    # Not `with live`: an interrupt while it enters would leave the terminal as it is then.
    try:
        live.start()
        live.update(render(None, before, services, 1.0), refresh=True)
        while True:
            time.sleep(pause)
            after, now = admin.get("/v1/status"), time.monotonic()
            live.update(render(before, after, admin.get("/v1/services"), now - then), refresh=True)
            before, then = after, now
    except KeyboardInterrupt:
        return 0
    finally:
        live.stop()


def render(before: Json | None, after: Json, services: list[Json], seconds: float) -> Table:
    """The table of one moment."""
    problems = len(after["problems"])
    title = (
        f"generation {after['generation']}, {len(after['workers'])} workers, {after['traffic']['connections']} clients"
    )
    table = Table(title=f"{title}, {problems} problems" if problems else title, title_justify="left")
    for head in _HEADS:
        table.add_column(head, justify="left" if head in ("service", "pool", "state", "endpoints") else "right")
    for row in rows(before, after, services, seconds):
        table.add_row(*row)
    return table


def rows(before: Json | None, after: Json, services: list[Json], seconds: float) -> list[tuple[str, ...]]:
    """A row for every pool; rates are missing where there is nothing to compare with."""
    old = {(each["service"], each["pool"]): each for each in before["traffic"]["pools"]} if before else {}
    new = {(each["service"], each["pool"]): each for each in after["traffic"]["pools"]}
    pools = [
        (service["name"], name, f"{pool['weight']:g} %", pool["state"], *_rates(old.get(key), new.get(key), seconds),
         *_running(new.get(key)), _endpoints(pool))
        for service in services
        for name, pool in service["pools"].items()
        for key in [(service["name"], name)]
    ]  # fmt: skip
    return [*pools, *_mirrors(before, after, seconds)]


def _mirrors(before: Json | None, after: Json, seconds: float) -> list[tuple[str, ...]]:
    """Two rows for every pool that copies go to: what came of the requests, and of their copies."""
    old = _sides(before) if before else {}
    return [
        (service, f"{pool}: {side}", "", "mirror", *_rates(old.get((service, pool, side)), new, seconds), "", "", "")
        for (service, pool, side), new in _sides(after).items()
    ]


def _sides(status: Json) -> dict[tuple[str, str, str], Json]:
    return {
        (each["service"], each["pool"], side): {
            "requests": sum(each[side]["statuses"].values()),
            "errors": each[side]["statuses"].get("5xx", 0),
            "seconds": each[side]["seconds"],
        }
        for each in status["traffic"]["mirrors"]
        for side in ("real", "shadow")
    }


def _rates(old: Json | None, new: Json | None, seconds: float) -> tuple[str, str, str]:
    if old is None or new is None:
        return "-", "-", "-"
    # A worker that was replaced took its counters along: less than before is a new beginning.
    requests, errors, took = (max(new[name] - old[name], 0) for name in ("requests", "errors", "seconds"))
    mean = f"{took / requests * 1000:.1f} ms" if requests else "-"
    return f"{requests / seconds:.1f}", f"{errors / seconds:.1f}", mean


def _running(new: Json | None) -> tuple[str, str]:
    return ("0", "0") if new is None else (str(new["in_flight"]), str(new["tunnels"]))


def _endpoints(pool: Json) -> str:
    """How many in which state: `2 up, 1 draining`."""
    states = [each["state"] for each in pool["endpoints"]]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
