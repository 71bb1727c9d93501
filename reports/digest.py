"""The figures and orderings that every readable format shows, worked out once from a report."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from audit.evidence.check import AUDIT_LINE, Check, Status
from audit.finding import Basis, Certainty, Finding, Severity, Step
from audit.rule import Rule
from reports.report import Comparison, Report
from reproduce.runlog import RunLog

# The contest's limits (its README): decimal bytes of code plus compressed model; seconds of training, of evaluation.
CAP_BYTES = 16_000_000
CAP_SECONDS = 600.0
SLACK_SECONDS = 1.0  # a step that has begun is finished: nobody was refused for that
CONTEST = "openai/parameter-golf"

VERDICTS = {
    "illegal": "a rule that fails a submission is broken on a path that the submitted configuration runs",
    "unruled": "it does something that no maintainer has ruled on",
    "review": "a reader has to decide: something is suspicious or could not be told",
    "clean": "no rule that was checked is broken",
    "not audited": "the code was not audited",
}

_SEVERITY = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
_CERTAINTY = {Certainty.HIGH: 0, Certainty.MEDIUM: 1, Certainty.LOW: 2}


def _rank(finding: Finding) -> tuple[int, int, str, str, int]:
    return (
        _SEVERITY[finding.severity],
        _CERTAINTY[finding.certainty],
        finding.rule,
        finding.file,
        finding.line or 0,
    )


def active_findings(report: Report) -> tuple[Finding, ...]:
    """What the submitted configuration does, probes included, the gravest and surest first."""
    found = (*(report.audit.findings if report.audit else ()), *report.probes)
    return tuple(sorted((finding for finding in found if finding.active), key=_rank))


def inactive_findings(report: Report) -> tuple[Finding, ...]:
    """What the code holds and the submitted configuration does not reach."""
    found = (*(report.audit.findings if report.audit else ()), *report.probes)
    return tuple(sorted((finding for finding in found if not finding.active), key=_rank))


@dataclass(frozen=True)
class SeedRow:
    """One run as a table shows it; None where its log says nothing. Seconds, bytes, bits per byte, nats per token."""

    seed: int | None
    log: str
    val_bpb: float | None
    val_loss: float | None
    steps: int | None
    train_seconds: float | None
    eval_seconds: float | None
    model_bytes: int | None
    code_bytes: int | None
    total_bytes: int | None
    problems: tuple[str, ...]


def seed_rows(report: Report) -> tuple[SeedRow, ...]:
    """One row a run, at its headline: what the table's mean is over."""
    return tuple(_seed_row(run) for run in (report.seeds.runs if report.seeds else ()))


def _seed_row(run: RunLog) -> SeedRow:
    metric = run.headline
    return SeedRow(
        seed=run.seed,
        log=run.path.rsplit("/", 1)[-1],
        val_bpb=metric.val_bpb if metric else None,
        val_loss=metric.val_loss if metric else None,
        steps=run.steps,
        train_seconds=run.train_seconds,
        eval_seconds=run.eval_seconds,
        model_bytes=run.model_bytes,
        code_bytes=run.code_bytes,
        total_bytes=run.total_bytes,
        problems=(*run.failures, *run.warnings),
    )


def stages(report: Report) -> tuple[str, ...]:
    """The evaluation stages that any run logged, in the order of their first appearance."""
    runs = report.seeds.runs if report.seeds else ()
    return tuple(dict.fromkeys(metric.stage for run in runs for metric in run.metrics if metric.val_bpb is not None))


def failed_checks(report: Report) -> int:
    """How many lines of the gate do not hold."""
    return sum(check.status is Status.FAIL for check in report.checks)


def line_link(report: Report, file: str, line: int | None) -> str:
    """Where that line can be read, or the empty string: packed sources have lines that no website shows."""
    if not report.link or any(source.packed and source.file == file for source in report.sources):
        return ""
    return f"{report.link}/{quote(file)}" + (f"#L{line}" if line else "")


def place(found: Finding | Step) -> str:
    """``file:line`` as a compiler prints it; the file alone where the line is not known."""
    return f"{found.file}:{found.line}" if found.line else found.file


_NUMBER = re.compile(r"#(\d+)")


def linked_numbers(reference: str, *, notify: bool = True) -> Iterator[tuple[str, str]]:
    """Pieces of a ruling's reference as (text, address): ``#779`` leads to the contest, other text to nothing.

    With ``notify`` off the address goes through GitHub's redirect host, so that posting it leaves no mention on the
    pull request it names.
    """
    host = "github.com" if notify else "redirect.github.com"
    position = 0
    for match in _NUMBER.finditer(reference):
        if match.start() > position:
            yield reference[position : match.start()], ""
        yield match.group(), f"https://{host}/{CONTEST}/issues/{match.group(1)}"
        position = match.end()
    if position < len(reference):
        yield reference[position:], ""


def number(value: float | None, digits: int = 4, missing: str = "-") -> str:
    """A figure with fixed digits, or ``missing``."""
    return missing if value is None else f"{value:,.{digits}f}"


def count(value: int | None, missing: str = "-") -> str:
    """A whole number with separators, or ``missing``."""
    return missing if value is None else f"{value:,}"


def comparison_sentence(comparison: Comparison) -> str:
    """The seeds against the record, in words."""
    better = "below" if comparison.difference < 0 else "above"
    if comparison.p_value is not None:
        tested = f"one-sided {comparison.test} test p = {comparison.p_value:.3g}"
    else:
        tested = f"not testable: {comparison.why}" if comparison.why else "not testable"
    runs = f"{comparison.record_n} run{'s' if comparison.record_n != 1 else ''}"
    return (
        f"{abs(comparison.difference):.4f} bits per byte {better} the record that stood, {comparison.record} "
        f"({comparison.record_mean:.4f}, {runs}): {tested}."
    )


_STATUS_ORDER = {Status.FAIL: 0, Status.WARN: 1, Status.PASS: 2, Status.UNCHECKED: 3}


def decided_checks(report: Report) -> tuple[Check, ...]:
    """The lines of the gate that could be checked, those that fail first."""
    decided = [check for check in report.checks if check.status is not Status.UNCHECKED]
    return tuple(sorted(decided, key=lambda check: _STATUS_ORDER[check.status]))


def open_checks(report: Report) -> tuple[Check, ...]:
    """The lines of the gate that could not be checked."""
    return tuple(check for check in report.checks if check.status is Status.UNCHECKED)


def gate_findings(report: Report, rules: Mapping[str, Rule]) -> tuple[Finding, ...]:
    """The lines of the gate that fail or warn and that no finding tells of as gravely already, as findings."""
    told = {(finding.rule, finding.severity) for finding in active_findings(report)}
    found = []
    for check in report.checks:
        severity = {Status.FAIL: Severity.ERROR, Status.WARN: Severity.WARNING}.get(check.status)
        name = check.rule or "GATE"
        if severity is None or (name, severity) in told or (name, Severity.ERROR) in told:
            continue
        if check.name == AUDIT_LINE and report.audit is not None:
            continue  # its findings are there
        rule = rules.get(name)
        file, line = check.place
        found.append(
            Finding(
                rule=name,
                message=check.message or f"{check.name}: {check.actual}, limit {check.limit}",
                severity=severity,
                certainty=Certainty.HIGH,
                basis=rule.basis if rule else Basis.MEASUREMENT,
                reference=rule.reference if rule else "limits of the gate",
                file=file,
                line=line,
            )
        )
    return tuple(sorted(found, key=_rank))


@dataclass(frozen=True)
class ClaimRow:
    """One claimed figure beside what the logs say; ``holds`` is None where they say nothing."""

    figure: str
    claimed: str
    logged: str
    holds: bool | None


def claimed_bpb(report: Report) -> float | None:
    """The score that the submission claims."""
    return report.claims.val_bpb if report.claims else None


def claim_rows(report: Report) -> tuple[ClaimRow, ...]:
    """The claimed mean, spread, seeds and sizes against the logs; figures agree if rounding explains the difference.

    What a disagreement means is for the evidence rules to say; this only sets the figures side by side.
    """
    claims, seeds = report.claims, report.seeds
    if claims is None:
        return ()
    summary = seeds.summary if seeds else None
    runs = seed_rows(report)
    rows = []

    def compare(
        figure: str, claimed: float | None, logged: Sequence[float | None], *, digits: int, slack: float
    ) -> None:
        if claimed is None:
            return
        known = [value for value in logged if value is not None]
        holds = any(abs(value - claimed) <= slack for value in known) if known else None
        rows.append(ClaimRow(figure, number(claimed, digits), number(known[0] if known else None, digits), holds))

    def slack(name: str, otherwise: float) -> float:
        return claims.figures[name].slack if name in claims.figures else otherwise

    compare("val_bpb", claims.val_bpb, [summary.mean if summary else None], digits=6, slack=slack("val_bpb", 5.1e-5))
    spreads = [summary.std, summary.population_std] if summary else []
    compare("std of val_bpb", claims.std, spreads[:1], digits=6, slack=slack("std", 5.1e-5))
    for seed in claims.seeds:
        logged = [row.val_bpb for row in runs if row.seed == seed.seed and seed.seed is not None]
        compare(f"seed {seed.seed}", seed.val_bpb, logged, digits=6, slack=0.5 * 10.0**-seed.decimals + 1e-9)
    # A submission may claim its largest artifact or any one of them.
    totals = sorted((float(row.total_bytes) for row in runs if row.total_bytes is not None), reverse=True)
    compare("total bytes", claims.bytes_total, totals, digits=0, slack=0.5)
    count_said = claims.seed_count or len(claims.seeds) or len(claims.seed_list) or None
    compare("runs", count_said, [float(len(runs)) if runs else None], digits=0, slack=0)
    return tuple(rows)
