"""``golfproof report``: makes any format from a submission folder or from a saved report."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from reports.report import Report


class Format(StrEnum):
    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"


def report(
    path: Annotated[
        Path | None, typer.Argument(help="A submission folder, or the JSON of a saved report; - reads JSON.")
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(help="Make a site: of the submissions below a folder, of saved reports, or of a corpus audit."),
    ] = None,
    formats: Annotated[list[Format] | None, typer.Option("--format", "-f", help="What to make; repeatable.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; a folder gets report.html, .md, .json and more.")
    ] = None,
    profile: Annotated[str, typer.Option(help="Policy profile for the audit of a folder.")] = "field-guide",
    probe: Annotated[
        Path | None, typer.Option(help="Add what `golfproof probe --format json` saved in this file.")
    ] = None,
    no_excerpts: Annotated[bool, typer.Option("--no-excerpts", help="Quote no line of the submission.")] = False,
    link: Annotated[str, typer.Option(help="Address under which the folder's files can be read.")] = "",
    folder: Annotated[str, typer.Option(help="The folder's place in its repository, for annotations and SARIF.")] = "",
) -> None:
    """Make reports: of a submission folder (audit, gate, seeds, claims; nothing is run), or from a saved one.

    Without --format: tables on the terminal, or with --out FOLDER the HTML, Markdown and JSON files. With --corpus
    RESULTS --out FOLDER: a static site, a page a submission and a table of all.
    """
    from reproduce.errors import InputError

    if corpus is not None:
        if out is None:
            raise InputError("golfproof report --corpus", "a folder for the site: --out FOLDER", "none")
        site(corpus, out, profile=profile, no_excerpts=no_excerpts)
        return
    if path is None:
        raise InputError("golfproof report", "a submission folder, a saved report or --corpus", "none")
    from reports.write import SUFFIXES, write_all, write_text

    found = _load(path, profile=profile, link=link, folder=folder)
    if probe is not None:
        from reports.results import with_probe

        found = with_probe(found, probe)
    if no_excerpts:
        from reports.report import without_excerpts

        found = without_excerpts(found)
    if out is not None and (out.is_dir() or not out.suffix or len(formats or ()) > 1):
        names = [kind.value for kind in formats or (Format.HTML, Format.MARKDOWN, Format.JSON)]
        for written in write_all(found, out, names).values():
            typer.echo(written)
        return
    chosen = formats[0] if formats else _by_suffix(out, SUFFIXES)
    if chosen is Format.TERMINAL and out is None:
        from reports import terminal

        terminal.show(terminal.render(found))
        return
    from reports.formats import render

    if out is None:
        for kind in formats or [chosen]:
            text = render(found, kind.value)
            typer.echo(text, nl=not text.endswith("\n"))
    else:
        write_text(out, render(found, chosen.value))


def site(corpus: Path, out: Path, *, profile: str, no_excerpts: bool) -> None:
    """Write the static site of many submissions, with a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import Progress

    from reports.report import without_excerpts
    from reports.results import collect_corpus, read_results
    from reports.site import write_site
    from reproduce.folder import find_submissions

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reports", total=None)
        if corpus.is_dir() and find_submissions(corpus):
            from audit.result_cache import default_cache_path

            found = collect_corpus(
                corpus,
                profile=profile,
                cache=default_cache_path(),
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        else:
            found = read_results(corpus)
        if no_excerpts:
            found = map(without_excerpts, found)
        typer.echo(write_site(found, out))


def _by_suffix(out: Path | None, suffixes: dict[str, str]) -> Format:
    if out is None:
        return Format.TERMINAL
    for name, suffix in suffixes.items():
        if out.name.endswith(suffix):
            return Format(name)
    return Format.JSON


def _load(path: Path, *, profile: str, link: str, folder: str) -> Report:
    from dataclasses import replace

    from reports.report import from_json
    from reproduce.errors import InputError

    if path.is_dir() or path.suffix == ".py":
        from reports.collect import collect

        return collect(path, profile=profile, link=link, folder=folder)
    try:
        text = typer.get_binary_stream("stdin").read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise InputError(path, "a submission folder or a saved report", error.strerror or "nothing readable") from error
    found = from_json(text, str(path))
    return replace(found, link=link.rstrip("/") or found.link, folder=folder.strip("/") or found.folder)
