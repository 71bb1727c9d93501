"""``golfproof pull-request``: reports on the submissions a pull request changes, without running or checking it out."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import typer

VERDICTS = ("illegal", "unruled", "review", "not audited", "gate")


def pull_request(
    repository: str = typer.Argument(..., help="A git repository: a local one, or an address to fetch from."),
    base: str = typer.Option("main", help="The branch or commit that the pull request goes into."),
    head: str = typer.Option(..., help="The pull request's head: a commit, a branch, or refs/pull/NUMBER/head."),
    out: Path = typer.Option(Path("golfproof-reports"), "--out", "-o", help="Folder for comment.md and the reports."),
    profile: str = typer.Option("field-guide", help="Policy: readme, field-guide, as-applied, or a TOML file."),
    fail_on: str = typer.Option("illegal", help=f"What makes exit code 1, separated by commas: {', '.join(VERDICTS)}."),
    web: str = typer.Option("", help="The repository's address on its website, for links to lines."),
    annotate: bool = typer.Option(False, help="Print GitHub annotations to standard output."),
) -> None:
    """Report on the submissions that a pull request changes: read from git as data, never run, never checked out.

    A token for private repositories is taken from GOLFPROOF_GIT_TOKEN. Exit code: 0, 1 when --fail-on applies, 2 on
    unusable input.
    """
    from reports.pull_request import fails, fetch, review
    from reproduce.errors import InputError

    wanted = [name.strip() for name in fail_on.split(",") if name.strip()]
    for name in wanted:
        if name not in VERDICTS:
            raise InputError(f"--fail-on {name}", f"any of {', '.join(VERDICTS)}")
    token = os.environ.get("GOLFPROOF_GIT_TOKEN", "")
    with tempfile.TemporaryDirectory(prefix="golfproof-") as folder:
        bare, work = Path(folder) / "repository.git", Path(folder) / "files"
        fetch(repository, base, head, bare, token)
        reports = review(
            bare, "refs/golfproof/base", "refs/golfproof/head", out, work, profile=profile, web=web, token=token
        )
    if annotate:
        typer.echo((out / "annotations.txt").read_text(encoding="utf-8"), nl=False)
    else:
        from reports.markdown import line

        for found in reports:
            typer.echo(line(found))
        typer.echo(out / "comment.md")
    if fails(reports, wanted):
        raise typer.Exit(1)
