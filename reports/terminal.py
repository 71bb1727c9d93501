"""The report as rich tables for the terminal; a submission's text reaches it without escapes or markup."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from audit.evidence.check import Check, Status
from audit.finding import AuditResult, Finding, Severity
from reports import digest
from reports.escape import plain
from reports.report import Report
from reproduce.table import SeedTable

_VERDICT_STYLE = {"illegal": "bold red", "unruled": "bold magenta", "review": "bold yellow", "clean": "bold green"}
_SEVERITY_STYLE = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_STATUS_STYLE = {Status.PASS: "green", Status.FAIL: "bold red", Status.WARN: "yellow", Status.UNCHECKED: "magenta"}


def render(report: Report) -> RenderableType:
    """Everything the report holds, one table under the other."""
    parts: list[RenderableType] = []
    if report.audit is not None:
        parts.append(audit_summary(report.audit))
    if report.probes:
        parts.append(findings(report.probes, title="Probes"))
    if report.experiments:
        parts.append(Text("Run-time experiments", style="bold"))
        parts += [
            Text(f"  {plain(one.status)}  {plain(one.name)} {plain(one.stage)}: {plain(one.message)}")
            for one in report.experiments
        ]
    if report.checks:
        parts.append(gate((*digest.decided_checks(report), *digest.open_checks(report))))
    if report.seeds is not None:
        parts.append(seeds(report.seeds))
    if report.comparison is not None:
        parts.append(Text(plain(digest.comparison_sentence(report.comparison))))
    parts += [Text(f"- {plain(note)}") for note in report.notes]
    return Group(*parts)


def audit_summary(result: AuditResult, *, paths: bool = True) -> RenderableType:
    """The verdict with its reasons, the findings with their paths, and what could not be checked."""
    head = Text()
    head.append(f"{plain(result.verdict)}", style=_VERDICT_STYLE.get(result.verdict, "bold"))
    head.append(f"  {plain(result.submission)}")
    parts: list[RenderableType] = [head]
    if result.trainer:
        why = f" ({plain(result.trainer_why)})" if result.trainer_why else ""
        parts.append(Text(f"  {plain(result.trainer)}{why}; profile {plain(result.profile)}", style="dim"))
    parts += [Text(f"  {plain(reason)}") for reason in result.reasons]
    report = Report(result.submission, audit=result)
    active, inactive = digest.active_findings(report), digest.inactive_findings(report)
    if active:
        parts.append(findings(active, title="Findings", paths=paths))
    if inactive:
        parts.append(findings(inactive, title="Not reached by the submitted configuration", paths=False))
    if result.unchecked:
        parts.append(Text("Could not be checked", style="bold"))
        parts += [Text(f"  {plain(reason)}") for reason in result.unchecked]
    return Group(*parts)


def findings(found: Iterable[Finding], *, title: str, paths: bool = True) -> Table:
    """One row a finding: rule, place, message with ruling, and the path below it."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold", show_lines=paths)
    table.add_column("rule", no_wrap=True)
    table.add_column("where", overflow="fold")
    table.add_column("what and why", overflow="fold", ratio=1)
    for finding in found:
        style = _SEVERITY_STYLE[finding.severity] if finding.active else "dim"
        message = Text(plain(finding.message))
        message.append(
            f"\n{finding.severity}, {finding.certainty} certainty; {finding.basis}: {plain(finding.reference)}",
            style="dim",
        )
        if finding.because:
            message.append(f"\n{plain(finding.because)}", style="dim")
        for step in finding.path if paths else ():
            message.append(f"\n{step.role:>6} {plain(digest.place(step))}  ", style="cyan")
            message.append(plain(step.note))
            if step.excerpt.strip():
                message.append(f"\n         {plain(step.excerpt.strip().splitlines()[0])}", style="dim")
        table.add_row(Text(plain(finding.rule), style=style), Text(plain(digest.place(finding))), message)
    return table


def gate(checks: Iterable[Check]) -> Table:
    """One row a check: limit, actual, status and where the figure was read."""
    table = Table(title="Gate", title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for name in ("check", "limit", "actual", "status", "evidence"):
        table.add_column(name, overflow="fold")
    for check in checks:
        table.add_row(
            Text(plain(check.name)),
            Text(plain(check.limit)),
            Text(plain(check.actual)),
            Text(check.status, style=_STATUS_STYLE[check.status]),
            Text(plain(check.evidence), style="dim"),
        )
    return table


def seeds(seed_table: SeedTable) -> RenderableType:
    """One row a run, then mean and sample standard deviation, then what the runs warn of."""
    # As Text: of a plain string rich would read markup.
    stage = Text(f"Seeds ({plain(seed_table.stage)})" if seed_table.stage else "Seeds")
    table = Table(title=stage, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for name in ("seed", "val_bpb", "val_loss", "steps", "train s", "eval s", "bytes"):
        table.add_column(name, justify="right")
    rows = digest.seed_rows(Report("", seeds=seed_table))
    for row in rows:
        table.add_row(
            "?" if row.seed is None else str(row.seed),
            digest.number(row.val_bpb),
            digest.number(row.val_loss),
            digest.count(row.steps),
            digest.number(row.train_seconds, 1),
            digest.number(row.eval_seconds, 1),
            digest.count(row.total_bytes),
        )
    summary = seed_table.summary
    if summary is not None:
        table.add_section()
        table.add_row("mean", digest.number(summary.mean), style="bold")
        table.add_row("std", digest.number(summary.std))
    remarks = [f"{row.log}: {problem}" for row in rows for problem in row.problems] + list(seed_table.notes)
    return Group(table, *(Text(f"- {plain(remark)}", style="yellow") for remark in remarks))


def show(renderable: RenderableType, console: Console | None = None) -> None:
    """Print it on the terminal (standard output unless ``console`` says otherwise)."""
    (console or Console(highlight=False)).print(renderable)
