"""``golfproof gate``: hold a submission against the contest's limits on size, time, evidence and code."""

from __future__ import annotations

import json
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

import typer


class GateFormat(StrEnum):
    text = "text"
    json = "json"


def gate(
    path: Path = typer.Argument(..., help="Submission folder, or its trainer file."),
    total_bytes: int | None = typer.Option(None, min=0, help="Cap on code and compressed model. [16000000]"),
    train_seconds: float | None = typer.Option(None, min=0, help="Cap on training. [600]"),
    eval_seconds: float | None = typer.Option(None, min=0, help="Cap on evaluation. [600]"),
    seeds: int | None = typer.Option(None, min=1, help="Seeds that must stand behind the score. [3]"),
    profile: str = typer.Option("field-guide", help="Policy profile for the audit of the code."),
    no_audit: bool = typer.Option(False, "--no-audit", help="Leave the code out; its line is then unchecked."),
    strict: bool = typer.Option(False, "--strict", help="Fail on warnings and on what could not be checked, too."),
    format: GateFormat = typer.Option(GateFormat.text, "--format", help="How to print the lines."),
) -> None:
    """One line a check: limit, actual, status and evidence.

    Limits come from the options, else from golfproof.toml or [tool.golfproof] in pyproject.toml at or above PATH,
    else from the contest. Exit code: 0 when nothing fails, 1 when something does, 2 on unusable input.
    """
    from audit.evidence.check import Status
    from audit.evidence.gate import gate as weigh
    from audit.evidence.gate import passes
    from audit.evidence.limits import read_limits
    from reproduce.folder import open_folder

    folder = open_folder(path)
    given: dict[str, object] = {
        "total_bytes": total_bytes,
        "train_seconds": train_seconds,
        "eval_seconds": eval_seconds,
        "seeds": seeds,
    }
    limits = read_limits(folder.path, given)
    result = None
    if not no_audit and folder.trainer is not None and find_spec("audit.run"):
        from audit.run import audit_path

        result = audit_path(path, profile=profile)
    checks = weigh(folder, limits, result)
    passed = passes(checks) and not (strict and any(check.status is not Status.PASS for check in checks))
    if format is GateFormat.json:
        from dataclasses import asdict

        lines = [asdict(check) for check in checks]
        typer.echo(json.dumps({"submission": folder.name, "passed": passed, "checks": lines}, indent=2))
    else:
        for line in text(checks):
            typer.echo(line)
        counts = {status: sum(check.status is status for check in checks) for status in Status}
        shown = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        typer.echo(f"{'pass' if passed else 'FAIL'}: {folder.name} ({shown})")
    if not passed:
        raise typer.Exit(1)


def text(checks: tuple) -> list[str]:
    """The gate as aligned columns: status, name, limit, actual, evidence."""
    rows = [(c.status.upper(), c.name, c.limit, c.actual, c.evidence) for c in checks]
    rows.insert(0, ("STATUS", "CHECK", "LIMIT", "ACTUAL", "EVIDENCE"))
    widths = [min(max(len(row[i]) for row in rows), 60) for i in range(4)]
    return ["  ".join([*(row[i].ljust(widths[i]) for i in range(4)), row[4]]).rstrip() for row in rows]
