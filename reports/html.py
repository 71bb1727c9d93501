"""The report as one HTML file that needs nothing else: styles, charts and a small script are inside it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from markupsafe import Markup

from audit.finding import Finding, Step
from reports import digest, highlight, limit_charts, line_chart
from reports.chart_parts import finite, is_finite
from reports.escape import plain
from reports.report import Report
from reproduce.runlog import RunLog

if TYPE_CHECKING:
    from jinja2 import Environment


_T = TypeVar("_T")

# Rows that the script lays out when they are wanted are all there for who has no script.
WITHOUT_SCRIPT = "tbody.rest { display: table-row-group; }"


@cache
def asset(name: str) -> str:
    """A file of templates/ as text."""
    return (files("reports") / "templates" / name).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """The templates, escaping by default; every string that a template prints goes through `plain` as well."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    made = Environment(
        loader=FunctionLoader(asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    made.filters |= {"number": digest.number, "count": digest.count}
    return made


def page(template: str, *, script: str = "report.js", **values: object) -> str:
    """A page of that template with the styles and ``script`` inside it, and a policy that lets no other script run."""
    code = asset(script)
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {_digest(asset('report.css'))} {_digest(WITHOUT_SCRIPT)}; script-src {_digest(code)}"
    )
    return (
        environment()
        .get_template(template)
        .render(
            styles=Markup(asset("report.css")),
            bare=Markup(WITHOUT_SCRIPT),
            script=Markup(code),
            policy=policy,
            **values,
        )
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def render(report: Report, *, home: str = "") -> str:
    """The whole page; ``home`` is where it leads back to, if it belongs to a site."""
    return page(
        "report.html.j2",
        home=home,
        report=report,
        audit=report.audit,
        meaning=digest.VERDICTS.get(report.verdict, ""),
        active=[_finding(report, found) for found in digest.active_findings(report)],
        inactive=[_finding(report, found) for found in digest.inactive_findings(report)],
        rows=digest.seed_rows(report),
        summary=report.seeds.summary if report.seeds else None,
        decided=digest.decided_checks(report),
        undecided=digest.open_checks(report),
        cards=list(_cards(report)),
        claims=digest.claim_rows(report),
        comparison=digest.comparison_sentence(report.comparison) if report.comparison else "",
        plots=[plot for plot in (loss_curves(report), spread(report), sizes(report), times(report)) if plot],
        mass=probability_mass(report),
    )


def _finding(report: Report, finding: Finding) -> dict[str, object]:
    steps = [_step(report, step) for step in finding.path]
    return {
        "it": finding,
        "place": digest.place(finding),
        "link": digest.line_link(report, finding.file, finding.line),
        "reference": reference(finding.reference),
        "steps": steps,
        "stretches": list(_stretches(steps, [step.role == "step" for step in finding.path])),
        "here": Markup("") if finding.path else _excerpt(report, finding.file, finding.line, ""),
    }


def _stretches(steps: list[_T], between: list[bool]) -> Iterator[tuple[bool, list[_T]]]:
    """The steps in order, long stretches ``between`` source and sink folded save their first and last two."""
    start = 0
    for folds, group in groupby(between):
        part = steps[start : start + len(list(group))]
        start += len(part)
        if folds and len(part) > 5:
            yield False, part[:1]
            yield True, part[1:-2]
            yield False, part[-2:]
        else:
            yield False, part


def _step(report: Report, step: Step) -> dict[str, object]:
    return {
        "it": step,
        "place": digest.place(step),
        "link": digest.line_link(report, step.file, step.line),
        "code": _excerpt(report, step.file, step.line, step.excerpt, around=1 if step.role == "step" else 3),
    }


def _excerpt(report: Report, file: str, line: int | None, otherwise: str, *, around: int = 3) -> Markup:
    """The lines around it from the report's sources, or the excerpt that the finding carries."""
    if line is not None:
        for source in report.sources:
            if source.file == file:
                return highlight.excerpt(source.text, line, around=around)
    if not otherwise.strip():
        return Markup("")
    return highlight.numbered(otherwise.rstrip("\n").split("\n"), line or 1, line or 1)


def reference(text: str) -> Markup:
    """A ruling's reference with its numbers linked to the contest's repository."""
    return Markup("").join(
        Markup('<a href="{}" rel="noreferrer">{}</a>').format(address, plain(piece)) if address else plain(piece)
        for piece, address in digest.linked_numbers(text)
    )


def _cards(report: Report) -> Iterator[tuple[str, str, str]]:
    """The figures at the top: name, value, and what it is."""
    if report.seeds is not None and report.seeds.summary is not None:
        summary = report.seeds.summary
        note = f"mean of {summary.n} runs"
        if summary.std is not None:
            note += f", std {digest.number(summary.std)}"
        yield "val_bpb from logs", digest.number(summary.mean), note
    claimed = digest.claimed_bpb(report)
    if claimed is not None:
        yield "val_bpb claimed", digest.number(claimed), "by submission.json or README"
    rows = digest.seed_rows(report)
    totals = [row.total_bytes for row in rows if row.total_bytes is not None]
    if totals:
        yield "largest artifact", digest.count(max(totals)), f"bytes of {digest.CAP_BYTES:,}"
    if report.checks:
        failed = digest.failed_checks(report)
        yield "gate", f"{failed} failed" if failed else "no failure", f"{len(report.checks)} checks"
    if report.audit is not None:
        yield "findings", str(len(digest.active_findings(report))), f"{len(report.audit.unchecked)} left unchecked"


def _run_name(run: RunLog) -> str:
    return f"seed {run.seed}" if run.seed is not None else run.path.rsplit("/", 1)[-1]


def loss_curves(report: Report) -> Markup:
    """Training and validation loss of every run over its steps, with the evaluation stages at its end."""
    series, marks = [], []
    for position, run in enumerate(report.seeds.runs if report.seeds else ()):
        name, colour = _run_name(run), position % 8
        train = tuple((float(step.step), step.train_loss) for step in run.curve if step.train_loss is not None)
        val = tuple((float(step.step), step.val_loss) for step in run.curve if step.val_loss is not None)
        series.append(line_chart.Series(f"{name} train", finite(train), colour))
        series.append(line_chart.Series(f"{name} validation", finite(val), colour, dots=True))
        end = max((step.step for step in run.curve), default=run.steps or 0)
        marks += [
            line_chart.Mark(f"{name} {metric.stage} {metric.val_loss:.4f}", float(end), metric.val_loss, colour)
            for metric in run.metrics
            if metric.val_loss is not None and is_finite(metric.val_loss) and metric.stage
        ]
    if not any(one.points for one in series):
        return Markup("")
    runs = len(report.seeds.runs) if report.seeds else 0
    return line_chart.lines(
        "Loss curves",
        series,
        x="training step",
        y="loss, nats per token",
        marks=marks,
        description=f"Training and validation loss of {runs} runs; the table of seeds gives the final figures.",
    )


def spread(report: Report) -> Markup:
    """The runs' val_bpb on one axis with their mean, its interval, and the figures to beat or to support."""
    rows = [row for row in digest.seed_rows(report) if row.val_bpb is not None]
    points = [
        (f"seed {row.seed}" if row.seed is not None else row.log, row.val_bpb)
        for row in rows
        if row.val_bpb is not None and is_finite(row.val_bpb)
    ]
    summary = report.seeds.summary if report.seeds else None
    interval = (
        (summary.low, summary.high)
        if summary is not None and summary.low is not None and summary.high is not None
        else None
    )
    lines = [("record", report.comparison.record_mean)] if report.comparison else []
    claimed = digest.claimed_bpb(report)
    if claimed is not None:
        lines.append(("claimed", claimed))
    return limit_charts.spread(
        "Spread of the seeds", points, mean=summary.mean if summary else None, interval=interval, reference=lines
    )


def sizes(report: Report) -> Markup:
    """Bytes of every run's artifact by part against the cap."""
    rows = []
    for run in report.seeds.runs if report.seeds else ():
        parts: list[tuple[str, float]] = []
        if run.model_bytes is not None:
            parts.append(("compressed model", float(run.model_bytes)))
        if run.code_bytes is not None:
            parts.append(("code", float(run.code_bytes)))
        rest = (run.total_bytes or 0) - sum(value for _, value in parts)
        if rest > 0:
            parts.append(("other" if parts else "total", float(rest)))
        rows.append((_run_name(run), parts))
    return limit_charts.bars("Artifact size", rows, limit=float(digest.CAP_BYTES), unit="bytes", over="over the cap")


def times(report: Report) -> Markup:
    """Seconds of training and of evaluation, each against its own limit."""
    rows = []
    for run in report.seeds.runs if report.seeds else ():
        name = _run_name(run)
        if run.train_seconds is not None:
            rows.append((name, [("training", run.train_seconds)]))
        if run.eval_seconds is not None:
            rows.append((name, [("evaluation", run.eval_seconds)]))
    return limit_charts.bars(
        "Training and evaluation time",
        rows,
        limit=digest.CAP_SECONDS,
        slack=digest.SLACK_SECONDS,
        unit="seconds",
        over="over the limit",
    )


def probability_mass(report: Report) -> Markup:
    """What the submission's probabilities sum to on average, where an experiment measured it; lawful is 1."""
    measured = [
        (one.stage or one.name, [("sum of probabilities", one.mass)])
        for one in report.experiments
        if one.mass is not None and is_finite(one.mass)
    ]
    return limit_charts.bars(
        "Probability mass over the vocabulary, mean over the probed tokens",
        measured,
        limit=1.0,
        slack=0.01,
        unit="",
        over="more than a distribution has",
        digits=3,
    )
