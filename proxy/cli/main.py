"""The command line: what each command is called and takes. What it does is imported when it is called.

Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 the admin cannot be reached. Never a traceback.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from proxy import _identity
from proxy.cli import flag, remote, rollout

app: Final = typer.Typer(
    name="sluice",
    help="Sluicegate: a programmable reverse proxy that releases software.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Config = Annotated[
    Path | None,
    typer.Argument(
        help="A file, or a directory of *.yaml; without: ./sluice.yaml, then /etc/sluice/sluice.yaml.",
        show_default=False,
    ),
]


@app.command("run")
def run_command(config: Config = None) -> None:
    """Carry traffic until told to stop."""
    from proxy.cli.run import run

    raise typer.Exit(run(config))


@app.command("demo")
def demo_command() -> None:
    """Three backends, the proxy and some traffic, to play with."""
    from proxy.cli.demo import demo

    raise typer.Exit(demo())


@app.command("check")
def check_command(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Files, or directories of *.yaml.", show_default=False)
    ] = None,
) -> None:
    """Tell every problem of a configuration at once."""
    from proxy.cli.check import check

    raise typer.Exit(check(files or []))


@app.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of the YAML, for editors."""
    from proxy.cli.schema import print_schema

    raise typer.Exit(print_schema())


@app.command("explain")
def explain_command(
    config: Annotated[Path | None, typer.Argument(metavar="FILE", help="A file, or a directory of *.yaml.")] = None,
    method: Annotated[str | None, typer.Argument(help="GET, POST, …", show_default=False)] = None,
    url: Annotated[str | None, typer.Argument(help="http://shop.example.com/cart?item=1", show_default=False)] = None,
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="'name: value'; may be repeated.")] = None,
    client: Annotated[str, typer.Option(metavar="IP", help="The client's address.")] = "127.0.0.1",
    filters: Annotated[bool, typer.Option("--filters", help="List all filters with their options instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --filters: as JSON.")] = False,
) -> None:
    """Tell where a request would go, and why; or which filters there are."""
    if filters:
        from proxy.cli.filter_list import print_filters

        if config is not None:
            raise typer.BadParameter("it asks about no request; leave FILE out", param_hint="--filters")
        raise typer.Exit(print_filters(as_json=as_json))
    if as_json:
        raise typer.BadParameter("only --filters has it", param_hint="--json")
    if config is None or method is None or url is None:
        raise typer.BadParameter("FILE, METHOD and URL are needed, or --filters")
    from proxy.cli.explain import Question, explain

    raise typer.Exit(explain(config, Question(method, url, tuple(header or ()), client)))


@app.command("version")
def version_command() -> None:
    """Print the version and what it runs on."""
    from proxy.cli.version import version

    print(version())


for _command in remote.COMMANDS:
    app.command(_command.__name__)(_command)
app.add_typer(remote.endpoints, name="endpoints")
app.add_typer(rollout.app, name="rollout")
app.add_typer(flag.app, name="flag")


def main() -> None:
    """Run the command line of this process, and exit."""
    _identity.check()
    try:
        status = _status()
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except BrokenPipeError:
        # Who read our output has gone; what is still buffered must not raise at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 1
    except OSError as error:
        print(f"sluice: {error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 1
    except Exception as error:  # the outermost guard
        if "SLUICE_DEBUG" in os.environ:
            raise
        print(f"sluice: internal error: {error!r} (SLUICE_DEBUG=1 shows where)", file=sys.stderr)
        status = 1
    sys.exit(status)


def _status() -> int:
    try:
        app(prog_name="sluice")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    return 0
