"""`sluice rollout …`: how these commands are called and what they take. What they do is in proxy/cli/rollouts.py."""

from pathlib import Path
from typing import Annotated

import typer

from proxy.cli.remote import DEFAULT, AsJson, Reason, Where, end, session

app = typer.Typer(help="Move a service to another pool step by step.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="The rollout, as the configuration calls it.", show_default=False)]
MaybeName = Annotated[str | None, typer.Argument(metavar="[NAME]", help="One; without: all.", show_default=False)]


@app.command()
def start(
    name: Name,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is over: 0 succeeded, 1 aborted, 2 not.")] = False,
    timeout: Annotated[str | None, typer.Option(metavar="TIME", help="With --wait: how long: 30m, 2h, …")] = None,
    where: Where = DEFAULT,
    as_json: AsJson = False,
    reason: Reason = None,
) -> None:
    """Begin it; its plan is pinned."""
    from proxy.cli.rollouts import start as act

    end(lambda: act(session(where, as_json), name, reason, timeout, wait=wait))


@app.command()
def status(
    name: MaybeName = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on showing it, until Ctrl-C or its end.")] = False,
    where: Where = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Where rollouts are, and what is known of their candidates."""
    from proxy.cli.rollouts import status as act

    end(lambda: act(session(where, as_json), name, watch=watch))


@app.command()
def plan(
    name: Name,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Ask this file and no running proxy.", show_default=False)
    ] = None,
    where: Where = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """The steps that it would take, with their times; nothing moves."""
    from proxy.cli.rollouts import plan as act
    from proxy.cli.rollouts import plan_of_file

    end(lambda: act(session(where, as_json), name) if file is None else plan_of_file(file, name, as_json=as_json))


@app.command()
def promote(
    name: Name,
    full: Annotated[bool, typer.Option("--full", help="All the way, whatever steps are left.")] = False,
    where: Where = DEFAULT,
    as_json: AsJson = False,
    reason: Reason = None,
) -> None:
    """On to the next step; what it waits for is approved."""
    from proxy.cli.rollouts import change as act

    end(lambda: act(session(where, as_json), name, "promote", reason, {"full": full}))


@app.command()
def pause(name: Name, where: Where = DEFAULT, as_json: AsJson = False, reason: Reason = None) -> None:
    """Stay where it is. It is judged all the same: harm takes the traffic back."""
    _change(name, "pause", (where, as_json, reason))


@app.command()
def resume(name: Name, where: Where = DEFAULT, as_json: AsJson = False, reason: Reason = None) -> None:
    """Go on."""
    _change(name, "resume", (where, as_json, reason))


@app.command()
def abort(name: Name, where: Where = DEFAULT, as_json: AsJson = False, reason: Reason = None) -> None:
    """Take the traffic back, at once."""
    _change(name, "abort", (where, as_json, reason))


@app.command()
def retry(name: Name, where: Where = DEFAULT, as_json: AsJson = False, reason: Reason = None) -> None:
    """Begin an aborted one again, by the same plan."""
    _change(name, "retry", (where, as_json, reason))


@app.command()
def undo(name: Name, where: Where = DEFAULT, as_json: AsJson = False, reason: Reason = None) -> None:
    """Take back one that has succeeded: the split is as it was before it."""
    _change(name, "undo", (where, as_json, reason))


@app.command()
def history(name: Name, where: Where = DEFAULT, as_json: AsJson = False) -> None:
    """What has happened in its last run."""
    from proxy.cli.rollouts import history as act

    end(lambda: act(session(where, as_json), name))


def _change(name: str, verb: str, how: tuple[str, bool, str | None]) -> None:
    from proxy.cli.rollouts import change as act

    where, as_json, reason = how
    end(lambda: act(session(where, as_json), name, verb, reason))
