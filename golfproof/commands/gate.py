"""``golfproof gate``: hold a submission against the contest's limits on size, time, evidence and code."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from audit.evidence.check import Check
    from audit.finding import AuditResult


class GateFormat(StrEnum):
    text = "text"
    json = "json"
    junit = "junit"
    sarif = "sarif"
    md = "md"


def gate(
    path: Path = typer.Argument(..., help="Submission folder, or its trainer file."),
    against: str | None = typer.Option(
        None, help="Compare the seeds with `record` (that stood on its date), a record's pull request, or a score."
    ),
    total_bytes: int | None = typer.Option(None, min=0, help="Cap on code and compressed model. [16000000]"),
    train_seconds: float | None = typer.Option(None, min=0, help="Cap on training. [600]"),
    eval_seconds: float | None = typer.Option(None, min=0, help="Cap on evaluation. [600]"),
    seeds: int | None = typer.Option(None, min=1, help="Seeds that must stand behind the score. [3]"),
    git_range: str | None = typer.Option(
        None, "--range", metavar="BASE..HEAD", help="Commits of the pull request, to check what it touches."
    ),
    profile: str = typer.Option("field-guide", help="Policy: readme, field-guide, as-applied, or a TOML file."),
    no_audit: bool = typer.Option(False, "--no-audit", help="Leave the code out; its line is then unchecked."),
    strict: bool = typer.Option(False, "--strict", help="Fail on warnings and on what could not be checked, too."),
    format: GateFormat = typer.Option(GateFormat.text, "--format", help="How to print the lines."),
) -> None:
    """One line a check: status, limit, actual and evidence.

    Limits come from the options, else from golfproof.toml or the table tool.golfproof of pyproject.toml beside or above
    PATH, else from the contest. Exit code: 0 when nothing fails, 1 when something does, 2 on unusable input.
    """
    from audit.evidence.check import Status
    from audit.evidence.gate import gate as weigh
    from audit.evidence.gate import passes
    from audit.evidence.limits import read_limits
    from audit.evidence.s_scope import changed_paths
    from audit.verdict import read_profile
    from reproduce.folder import open_folder

    folder = open_folder(path)
    given: dict[str, object] = {
        "total_bytes": total_bytes,
        "train_seconds": train_seconds,
        "eval_seconds": eval_seconds,
        "seeds": seeds,
    }
    limits = read_limits(folder.path, given)
    changed = changed_paths(folder.path, git_range) if git_range is not None else None
    policy = read_profile(profile)
    result = None
    if not no_audit and folder.trainer is not None:
        from audit.run import audit_folder

        result = audit_folder(folder, profile)
    checks = weigh(folder, limits, result, against=against, changed=changed, profile=policy)
    passed = passes(checks) and not (strict and any(check.status is not Status.PASS for check in checks))
    typer.echo(_print(folder.name, checks, passed, result, format), nl=False)
    if not passed:
        raise typer.Exit(1)


def _print(name: str, checks: tuple[Check, ...], passed: bool, result: AuditResult | None, format: GateFormat) -> str:
    if format is GateFormat.text:
        return text(name, checks, passed)
    if format is GateFormat.json:
        from dataclasses import asdict

        value = {"submission": name, "passed": passed, "checks": [asdict(check) for check in checks]}
        return json.dumps(value, indent=2) + "\n"
    from reports.formats import render
    from reports.report import assemble

    names = {GateFormat.junit: "junit", GateFormat.sarif: "sarif", GateFormat.md: "markdown"}
    return render(assemble(name, audit=result, checks=checks), names[format])


def text(name: str, checks: Iterable[Check], passed: bool) -> str:
    """The gate as aligned columns, with a last line that counts them."""
    from audit.evidence.check import Status
    from reports.escape import plain

    checks = tuple(checks)
    rows = [["STATUS", "CHECK", "LIMIT", "ACTUAL", "EVIDENCE"]]
    for check in checks:
        rows.append([check.status.upper(), *map(plain, (check.name, check.limit, check.actual, check.evidence))])
    widths = [min(max(len(row[i]) for row in rows), 60) for i in range(4)]
    lines = ["  ".join([*(row[i].ljust(widths[i]) for i in range(4)), row[4]]).rstrip() for row in rows]
    counts = {status: sum(check.status is status for check in checks) for status in Status}
    shown = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    return "\n".join([*lines, f"{'pass' if passed else 'FAIL'}: {plain(name)} ({shown})"]) + "\n"
