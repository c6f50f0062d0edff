"""The commands for a running proxy: how they are called and what they take. What they do is in proxy/cli/verbs.py."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from proxy.cli.verbs import Session

Where = Annotated[
    str,
    typer.Option(
        "--admin", envvar="SLUICE_ADMIN", metavar="URL", help="Where the admin is: http://host:port or unix:/path."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the admin's answer as JSON.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; goes into the journal.")]
Force = Annotated[bool, typer.Option("--force", help="Even if it leaves the service without a usable endpoint.")]
Service = Annotated[str, typer.Argument(help="The service, as the configuration calls it.", show_default=False)]
Pool = Annotated[str, typer.Argument(help="The pool.", show_default=False)]
Address = Annotated[str, typer.Argument(help="host:port, [v6]:port or unix:/path.", show_default=False)]
MaybeAddress = Annotated[
    str | None, typer.Argument(metavar="[ADDRESS]", help="One endpoint; without: the pool.", show_default=False)
]
Move = Annotated[bool, typer.Option("--move", help="Sessions that are held elsewhere move, too.")]

DEFAULT = "http://127.0.0.1:9900"  # proxy.cli.admin.DEFAULT, which is imported when it is needed
endpoints = typer.Typer(help="Add and remove endpoints.", no_args_is_help=True, rich_markup_mode=None)


def session(where: str, as_json: bool) -> "Session":
    """With whom a command talks, and how it answers."""
    import os

    from proxy.cli.admin import Admin
    from proxy.cli.verbs import Session

    return Session(Admin(where, os.environ.get("SLUICE_TOKEN")), as_json)


def end(act: Callable[[], int]) -> None:
    """Do it, and leave with its exit status."""
    from proxy.cli.verbs import run

    raise typer.Exit(run(act))


def _change(
    session: "Session", method: str, path: tuple[str, ...], body: object, terms: tuple[str | None, bool]
) -> None:
    from proxy.cli.admin import Terms, service_path
    from proxy.cli.verbs import change

    end(lambda: change(session, method, service_path(*path), body, Terms(*terms)))


def status(where: Where = DEFAULT, as_json: AsJson = False) -> None:
    """The proxy at a glance: workers, generation, overrides, problems."""
    from proxy.cli.verbs import status as act

    end(lambda: act(session(where, as_json)))


def services(where: Where = DEFAULT, as_json: AsJson = False) -> None:
    """Every service with its split, pools and endpoints."""
    from proxy.cli.verbs import services as act

    end(lambda: act(session(where, as_json)))


def split(
    service: Service,
    shares: Annotated[list[str], typer.Argument(metavar="POOL=SHARE...", help="blue=90 canary=10, or canary=5 rest.")],
    where: Where = DEFAULT,
    as_json: AsJson = False,
    reason: Reason = None,
    force: Force = False,
) -> None:
    """Set a service's split: `blue=90 canary=10`, or `canary=5 rest`, and the others keep their proportions."""
    from proxy.cli.admin import Terms
    from proxy.cli.verbs import split as act

    end(lambda: act(session(where, as_json), service, shares, Terms(reason, force)))


def flip(
    service: Service,
    pool: Pool,
    where: Where = DEFAULT,
    as_json: AsJson = False,
    reason: Reason = None,
    force: Force = False,
    move: Move = False,
) -> None:
    """Give one pool everything, at once."""
    body = {"to": pool, "sessions": "move" if move else "keep"}
    _change(session(where, as_json), "POST", (service, "flip"), body, (reason, force))


def undo(
    service: Service, where: Where = DEFAULT, as_json: AsJson = False, reason: Reason = None, force: Force = False
) -> None:
    """Back to the split before the last change; again, and it is back."""
    _change(session(where, as_json), "POST", (service, "undo"), None, (reason, force))


def reset(
    service: Service, where: Where = DEFAULT, as_json: AsJson = False, reason: Reason = None, force: Force = False
) -> None:
    """Back to the file's split."""
    _change(session(where, as_json), "DELETE", (service, "split"), None, (reason, force))


def persist(service: Service, where: Where = DEFAULT, as_json: AsJson = False, reason: Reason = None) -> None:
    """Write the split into the configuration, and touch nothing else in it."""
    _change(session(where, as_json), "POST", (service, "persist"), None, (reason, False))


def drain(
    service: Service,
    pool: Pool,
    address: MaybeAddress = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is empty, or the deadline is over.")] = False,
    deadline: Annotated[
        str | None, typer.Option(metavar="TIME", help="When tunnels are closed: 30s, 5m, …", show_default="30s")
    ] = None,
    cut: Annotated[bool, typer.Option("--cut", help="Then cut running exchanges, too.")] = False,
    where: Where = DEFAULT,
    as_json: AsJson = False,
    reason: Reason = None,
    force: Force = False,
) -> None:
    """Nothing new to a pool or an endpoint; what runs goes on."""
    from proxy.cli.admin import Terms
    from proxy.cli.verbs import DrainWish
    from proxy.cli.verbs import drain as act

    wish = DrainWish(service, pool, address, deadline, cut, wait)
    end(lambda: act(session(where, as_json), wish, Terms(reason, force)))


def restore(
    service: Service,
    pool: Pool,
    address: MaybeAddress = None,
    where: Where = DEFAULT,
    as_json: AsJson = False,
    reason: Reason = None,
    force: Force = False,
) -> None:
    """Take a pool or an endpoint back in."""
    below = () if address is None else ("endpoints", address)
    path = (service, "pools", pool, *below, "restore")
    _change(session(where, as_json), "POST", path, None, (reason, force))


@endpoints.command("add")
def add_endpoint(
    service: Service,
    pool: Pool,
    address: Address,
    weight: Annotated[float, typer.Option(help="How much it takes relative to the pool's others.")] = 1.0,
    backup: Annotated[
        bool | None, typer.Option("--backup/--no-backup", help="Only while no other is usable.", show_default=False)
    ] = None,
    where: Where = DEFAULT,
    as_json: AsJson = False,
    reason: Reason = None,
) -> None:
    """Add an endpoint, or give one another weight."""
    body = {"address": address, "weight": weight, **({} if backup is None else {"backup": backup})}
    _change(session(where, as_json), "POST", (service, "pools", pool, "endpoints"), body, (reason, False))


@endpoints.command("remove")
def remove_endpoint(
    service: Service,
    pool: Pool,
    address: Address,
    where: Where = DEFAULT,
    as_json: AsJson = False,
    reason: Reason = None,
    force: Force = False,
) -> None:
    """Remove an endpoint; what runs on it ends in peace."""
    path = (service, "pools", pool, "endpoints", address)
    _change(session(where, as_json), "DELETE", path, None, (reason, force))


def reload(where: Where = DEFAULT, as_json: AsJson = False, reason: Reason = None) -> None:
    """Read the configuration again."""
    from proxy.cli.admin import Terms
    from proxy.cli.verbs import reload as act

    end(lambda: act(session(where, as_json), Terms(reason)))


def restart(where: Where = DEFAULT, as_json: AsJson = False, reason: Reason = None) -> None:
    """Restart with the code on disk, without dropping a request."""
    from proxy.cli.admin import Terms
    from proxy.cli.verbs import restart as act

    end(lambda: act(session(where, as_json), Terms(reason)))


def diff(where: Where = DEFAULT, as_json: AsJson = False) -> None:
    """What is in force and not what the file says."""
    from proxy.cli.verbs import diff as act

    end(lambda: act(session(where, as_json)))


def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="And what comes, until Ctrl-C.")] = False,
    where: Where = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """The journal: who changed what, when and why."""
    from proxy.cli.verbs import events as act

    end(lambda: act(session(where, as_json), follow=follow))


def top(
    where: Where = DEFAULT,
    interval: Annotated[float, typer.Option(min=0.1, max=60, metavar="SECONDS", help="Between two looks.")] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Watch the pools at work."""
    found = session(where, as_json)

    def act() -> int:
        if as_json:
            found.show(found.admin.get("/v1/status")["traffic"], ())
            return 0
        from proxy.cli.top import top as show

        return show(found.admin, interval)

    end(act)


def healthcheck(
    config: Annotated[Path | None, typer.Argument(help="Says where the admin is.", show_default=False)] = None,
    where: Annotated[
        str | None,
        typer.Option("--admin", envvar="SLUICE_ADMIN", metavar="URL", help="Instead of the configuration."),
    ] = None,
) -> None:
    """Is the proxy ready? Exit status 0 or 1, for Docker's HEALTHCHECK."""
    from proxy.cli.healthcheck import healthcheck as act

    raise typer.Exit(act(config, where))


COMMANDS = (
    status, services, split, flip, undo, reset, drain, restore, persist,
    reload, restart, diff, events, top, healthcheck,
)  # fmt: skip
