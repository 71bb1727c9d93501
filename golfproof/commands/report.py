"""`golfproof report`: makes any format from a saved report."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"


def report(
    result: Annotated[Path, typer.Argument(help="The JSON of a report, as the other commands save it; - reads it.")],
    format_: Annotated[Format, typer.Option("--format", "-f", help="What to make of it.")] = Format.TERMINAL,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write here instead of to standard output.")] = None,
    no_excerpts: Annotated[bool, typer.Option("--no-excerpts", help="Quote no line of the submission.")] = False,
) -> None:
    """Make any format from a saved report."""
    from reports.report import from_json, without_excerpts
    from reproduce.errors import InputError

    try:
        text = typer.get_binary_stream("stdin").read() if str(result) == "-" else result.read_bytes()
    except OSError as error:
        raise InputError(result, "a saved report", error.strerror or "nothing that can be read") from error
    found = from_json(text, str(result))
    if no_excerpts:
        found = without_excerpts(found)
    if format_ is Format.TERMINAL and out is None:
        from reports import terminal

        terminal.show(terminal.render(found))
        return
    from reports.formats import render
    from reports.write import write_text

    rendered = render(found, format_)
    if out is None:
        typer.echo(rendered, nl=not rendered.endswith("\n"))
    else:
        write_text(out, rendered)
