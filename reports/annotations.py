"""The report as GitHub workflow commands, which annotate the lines of a pull request."""

from __future__ import annotations

from audit.evidence.check import Status
from audit.finding import Certainty, Severity
from reports import digest
from reports.escape import workflow_command
from reports.report import Report

# GitHub shows ten annotations of a level a step and drops the others: the gravest come first.
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def render(report: Report) -> str:
    """One ``::error file=...,line=...::`` a finding and one a failed gate line; empty where there is nothing to say."""
    packed = {source.file: source for source in report.sources if source.packed}
    lines = []
    for finding in digest.active_findings(report):
        level = _LEVELS[finding.severity]
        if level == "error" and finding.certainty is not Certainty.HIGH:
            level = "warning"
        source = packed.get(finding.file)
        file, line = (source.inside or source.file, source.line) if source else (finding.file, finding.line)
        where = f" at line {finding.line} of the unpacked program" if source and finding.line else ""
        lines.append(
            _command(
                level,
                f"{finding.message}{where} ({finding.basis}: {finding.reference})",
                title=finding.rule,
                file=f"{report.folder}/{file}" if report.folder else file,
                line=line,
            )
        )
    for check in report.checks:
        if check.status in (Status.FAIL, Status.WARN):
            level = "error" if check.status is Status.FAIL else "warning"
            file, line = check.place
            where = f"{report.folder}/{file}" if report.folder and file else file
            told = f"{check.actual}, limit {check.limit}"
            lines.append(_command(level, told, title=f"gate: {check.name}", file=where, line=line))
    return "".join(f"{line}\n" for line in lines)


def _command(level: str, message: str, *, title: str, file: str = "", line: int | None = None) -> str:
    properties = [f"file={workflow_command(file, is_property=True)}"] if file else []
    if file and line:
        properties.append(f"line={line}")
    properties.append(f"title={workflow_command(title, is_property=True)}")
    return f"::{level} {','.join(properties)}::{workflow_command(message)}"
