"""The one Typer app: registers a command a file, turns unusable input into one line and exit code 2."""

from __future__ import annotations

import sys

import typer

from golfproof import __version__
from golfproof.commands import COMMANDS
from reproduce.errors import InputError
from submission.errors import InputError as EntryInputError

app = typer.Typer(
    name="golfproof",
    help="Tells whether a Parameter Golf score is real.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"golfproof {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Tells whether a Parameter Golf score is real."""


for command in COMMANDS:
    app.command(name=command.__name__.replace("_", "-"))(command)


def main() -> None:
    """Run the command line; exit 2 with one line on unusable input, or where what it needs is not installed."""
    try:
        app()
    except (InputError, EntryInputError) as error:
        from reports.escape import plain

        sys.stderr.write(f"golfproof: {plain(str(error))}\n")  # it may name a stranger's file
        sys.exit(2)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        sys.stderr.write("golfproof: expected PyTorch (pip install 'golfproof[train]'), found no module named torch\n")
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the pipe went away: nothing to say
        sys.exit(141)
