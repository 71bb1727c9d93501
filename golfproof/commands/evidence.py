"""``golfproof audit --corpus DIR --evidence``: what logs, claims, sizes and times prove, over many submissions."""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

STATUSES = ("pass", "fail", "warn", "unchecked")


def scan(corpus: Path, jobs: int, format: str) -> None:
    """Print a record a submission (jsonl), all of them (json), or a table of counts by check (text, md).

    Raises InputError for another format.
    """
    from audit.evidence.corpus import weigh_corpus
    from golfproof.commands.corpus import _Bar
    from reproduce.errors import InputError

    if format not in ("text", "md", "json", "jsonl"):
        raise InputError(f"--format {format}", "text, md, json or jsonl with --evidence")
    kept: list[dict[str, Any]] = []
    with _Bar() as bar:
        for record in weigh_corpus(corpus, jobs=jobs, progress=bar.advance):
            if format == "jsonl":
                sys.stdout.write(json.dumps(record) + "\n")
                sys.stdout.flush()
            else:
                kept.append(record)
    if format == "json":
        typer.echo(json.dumps(kept, indent=2))
    elif format != "jsonl":
        typer.echo(table(kept), nl=False)


def table(records: Iterable[dict[str, Any]]) -> str:
    """Counts of submissions by check and status, as a Markdown table; lines a seed are counted a submission."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    order: dict[tuple[str, str], None] = {}
    total = unreadable = without = 0
    for record in records:
        total += 1
        unreadable += record["error"] is not None
        without += record["error"] is None and not record["logs"]
        worst: dict[tuple[str, str], str] = {}
        for line in record["lines"]:
            key = (line["rule"], _kind(line["name"]))
            order.setdefault(key)
            known = worst.get(key, "pass")
            worst[key] = max(known, line["status"], key=("pass", "unchecked", "warn", "fail").index)
        for key, status in worst.items():
            counts[key][status] += 1
    lines = [f"{total} submissions, {without} without logs, {unreadable} unreadable.", ""]
    lines += ["| rule | check | " + " | ".join(STATUSES) + " |", "|---|---|" + "--:|" * len(STATUSES)]
    lines += [f"| {r} | {n} | " + " | ".join(str(counts[r, n][s]) for s in STATUSES) + " |" for r, n in order]
    return "\n".join(lines) + "\n"


def _kind(name: str) -> str:
    """The check's name without the seed or file that it is about."""
    if name.startswith("seed ") and name[5:].isdigit():
        return "each claimed seed"
    return "byte table of a tokenizer" if name.startswith("byte table of ") else name
