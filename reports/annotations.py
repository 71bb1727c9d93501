"""The report as GitHub workflow commands, which annotate the lines of a pull request."""

from __future__ import annotations

from audit.finding import Certainty, Severity
from reports import digest
from reports.escape import workflow_command
from reports.report import Report

# GitHub shows ten annotations of a level a step and drops the others: the gravest come first.
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def render(report: Report) -> str:
    """One ``::error file=...,line=...::`` a finding, and one a line of the gate that does not hold and that no finding
    tells of; empty where there is nothing to say."""
    from audit.registry import all_rules

    found = (*digest.active_findings(report), *digest.gate_findings(report, all_rules()))
    packed = {source.file: source for source in report.sources if source.packed}
    lines = []
    for finding in sorted(found, key=lambda one: one.severity is not Severity.ERROR):
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
                file=f"{report.folder}/{file}" if report.folder and file else file,
                line=line,
            )
        )
    return "".join(f"{line}\n" for line in lines)


def _command(level: str, message: str, *, title: str, file: str = "", line: int | None = None) -> str:
    properties = [f"file={workflow_command(file, is_property=True)}"] if file else []
    if file and line:
        properties.append(f"line={line}")
    properties.append(f"title={workflow_command(title, is_property=True)}")
    return f"::{level} {','.join(properties)}::{workflow_command(message)}"
