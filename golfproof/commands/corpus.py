"""``golfproof audit --corpus``: audit a folder of submissions with a progress bar and a record a line."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import typer


def scan(
    corpus: Path,
    jobs: int,
    format: str,
    profile: str,
    rules: list[str] | None,
    cache: Path | None = None,
    no_cache: bool = False,
    time_limit: float = 120.0,
    executor: str = "local",
    address: str | None = None,
) -> None:
    """Print a record a submission (jsonl), all of them (json), or a table of verdicts (text).

    Records carry the evidence beside the audit, so that `golfproof report --corpus` makes the site of them.

    Raises InputError for formats that hold one submission only, for unknown rules and profiles.
    """
    from audit.corpus import Record, audit_corpus
    from audit.registry import choose
    from audit.result_cache import default_cache_path
    from audit.verdict import read_profile
    from reports.results import corpus_records
    from reproduce.errors import InputError
    from reproduce.executors import RayExecutor, open_executor

    if format not in ("text", "json", "jsonl"):
        raise InputError(f"--format {format}", "text, json or jsonl with --corpus")
    read_profile(profile)
    where = open_executor(executor, address=address)
    try:
        choose(list(rules) if rules else None)
    except KeyError as error:
        raise InputError(str(error.args[0]), "the id of a rule (see `golfproof rules`)") from None

    make = audit_corpus if format == "text" else corpus_records  # a saved record is one that a report is made from
    kept: list[Record] = []
    verdicts: Counter[str] = Counter()
    active: Counter[str] = Counter()
    seconds = 0.0
    with _Bar() as bar:
        for record in make(
            corpus,
            jobs=jobs,
            profile=profile,
            rules=tuple(rules or ()),
            cache=None if no_cache else cache or default_cache_path(),
            seconds=time_limit,
            progress=bar.advance,
            cluster=where if isinstance(where, RayExecutor) else None,
        ):
            verdicts[record["verdict"]] += 1
            seconds += record["seconds"]
            active.update({finding["rule"] for finding in record["findings"] if finding["active"]})
            if format == "jsonl":
                sys.stdout.write(json.dumps(record) + "\n")
                sys.stdout.flush()
            elif format == "json":
                kept.append(record)
    if format == "json":
        typer.echo(json.dumps(kept, indent=2))
    elif format == "text":
        _table(verdicts, active)


class _Bar:
    """A progress bar on standard error, silent where that is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[last]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("auditing", total=None, last="")

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def advance(self, done: int, total: int, record: dict) -> None:
        """Show how far the run is, and what the last submission came to."""
        from reports.escape import plain

        last = f"{plain(record['submission'][:60])} {record.get('verdict', '')}"
        self._progress.update(self._task, completed=done, total=total, last=last)


def _table(verdicts: Counter[str], active: Counter[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("verdict", "submissions", title=f"{sum(verdicts.values())} submissions")
    for verdict, count in verdicts.most_common():
        table.add_row(verdict, str(count))
    console.print(table)
    if active:
        rules = Table("rule", "submissions with an active finding")
        for rule, count in active.most_common():
            rules.add_row(rule, str(count))
        console.print(rules)
