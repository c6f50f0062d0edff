"""`sluice flag …`: how these commands are called and what they take. What they do is in proxy/cli/flags.py."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.remote import DEFAULT, AsJson, Reason, Where, end, session

if TYPE_CHECKING:
    from proxy.cli.admin import Terms
    from proxy.cli.verbs import Session

app = typer.Typer(help="Feature flags: look, try, override, kill.", no_args_is_help=True, rich_markup_mode=None)

Force = Annotated[bool, typer.Option("--force", help="Even if it is killed.")]
Key = Annotated[str, typer.Argument(help="The flag.", show_default=False)]


@app.command("list")
def list_command(where: Where = DEFAULT, as_json: AsJson = False) -> None:
    """Every flag: its state, its default, and who overrides it."""
    from proxy.cli.flags import list_flags

    end(lambda: list_flags(session(where, as_json)))


@app.command()
def evaluate(
    key: Key,
    context: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=VALUE]...", help="Whom for: targetingKey=ann region=eu age:=30", show_default=False
        ),
    ] = None,
    where: Where = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """What a flag comes to for somebody, and why: which branch decided, which number of which bucket.

    NAME=VALUE is a text, NAME:=VALUE is JSON.
    """
    from proxy.cli.flags import evaluate as act

    end(lambda: act(session(where, as_json), key, context or []))


@app.command()
def outcome(key: Key, where: Where = DEFAULT, as_json: AsJson = False) -> None:
    """What came of each variant: how often it was told, how many requests had it, their errors and durations."""
    from proxy.cli.flags import outcome as act

    end(lambda: act(session(where, as_json), key))


@app.command()
def override(
    key: Key,
    variant: Annotated[str, typer.Argument(help="The variant that all shall have.", show_default=False)],
    where: Where = DEFAULT,
    as_json: AsJson = False,
    reason: Reason = None,
    force: Force = False,
) -> None:
    """One variant for all, until it is cleared or the flag is edited in the file."""
    from proxy.cli.admin import Terms

    _set(key, {"variant": variant}, session(where, as_json), Terms(reason, force))


@app.command()
def percent(
    key: Key,
    share: Annotated[float, typer.Argument(metavar="PERCENT", min=0, max=100, help="0 to 100.", show_default=False)],
    to: Annotated[
        str | None, typer.Option("--to", metavar="VARIANT", help="Without: on, or the one that is true.")
    ] = None,
    where: Where = DEFAULT,
    as_json: AsJson = False,
    reason: Reason = None,
    force: Force = False,
) -> None:
    """How many have a variant, of those whom the rule leaves to chance or to the default."""
    from proxy.cli.admin import Terms

    _set(key, {"percent": share, **({"to": to} if to else {})}, session(where, as_json), Terms(reason, force))


@app.command()
def kill(key: Key, where: Where = DEFAULT, as_json: AsJson = False, reason: Reason = None) -> None:
    """No outcome for anybody: callers have their own default. Stays until it is cleared, whatever the file says."""
    from proxy.cli.admin import Terms
    from proxy.cli.flags import change

    end(lambda: change(session(where, as_json), "POST", key, "kill", None, Terms(reason)))


@app.command()
def clear(key: Key, where: Where = DEFAULT, as_json: AsJson = False, reason: Reason = None) -> None:
    """What the definition says again."""
    from proxy.cli.admin import Terms
    from proxy.cli.flags import change

    end(lambda: change(session(where, as_json), "DELETE", key, "override", None, Terms(reason)))


@app.command()
def expand(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The configuration.", show_default=False)],
) -> None:
    """Print all flags of a configuration as one flagd document, the short form written out."""
    from proxy.cli.flags import expand as act

    end(lambda: act(file))


def _set(key: str, body: dict[str, object], admin: "Session", terms: "Terms") -> None:
    from proxy.cli.flags import change

    end(lambda: change(admin, "PUT", key, "override", body, terms))
