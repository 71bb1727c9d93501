"""The report as GitHub Markdown for a pull request comment, always under GitHub's 65,536 characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from audit.evidence.check import Status
from audit.finding import Finding
from reports import digest
from reports.escape import markdown, markdown_code, markdown_fence
from reports.report import Report

LIMIT = 65_536
MARKER = "<!-- golfproof -->"  # how the action finds its own comment again

_BADGES = {"illegal": "❌ illegal", "unruled": "⚖️ unruled", "review": "🔎 needs a reader", "clean": "✅ clean"}
_STATUS = {Status.PASS: "✅ pass", Status.FAIL: "❌ fail", Status.WARN: "⚠️ warn", Status.UNCHECKED: "❔ unchecked"}


@dataclass(frozen=True)
class Detail:
    """How much is written out: characters of a stranger's text, rows of a list, and whether code is quoted."""

    characters: int
    rows: int
    excerpts: bool

    def clip(self, text: str) -> str:
        """``text``, or its beginning and an ellipsis."""
        return text if len(text) <= self.characters else text[: self.characters - 1] + "…"


# From everything to what fits whatever a submission contains: an escaped character takes at most 13.
_DETAILS = (
    Detail(1200, 500, True),
    Detail(600, 200, True),
    Detail(600, 200, False),
    Detail(300, 60, False),
    Detail(160, 20, False),
    Detail(80, 8, False),
    Detail(40, 3, False),
)


def render(report: Report) -> str:
    """The whole comment; what had to be left out to stay under the limit is said at its end."""
    for position, detail in enumerate(_DETAILS):
        text = _render(report, detail, shortened=position > 1)
        if text is not None:
            return text
    raise AssertionError("the shortest form is bounded by its own limits")


def line(report: Report) -> str:
    """The report in one line: verdict, name, score and failed checks."""
    badge = _BADGES.get(report.verdict, markdown(report.verdict[:40]))
    parts = [f"{badge}: {markdown(report.submission[:80])}"]
    if report.seeds is not None and report.seeds.summary is not None:
        parts.append(f"mean val_bpb {digest.number(report.seeds.summary.mean)} over {report.seeds.summary.n} runs")
    if failed := digest.failed_checks(report):
        parts.append(f"{failed} failed checks")
    return ", ".join(parts)


def _render(report: Report, detail: Detail, *, shortened: bool) -> str | None:
    """The comment at this detail, or None as soon as it is too long."""
    sections = (
        _head(report, detail),
        _findings(report, detail),
        _gate(report, detail),
        _experiments(report, detail),
        _seeds(report, detail),
        _claims(report, detail),
        _unchecked(report, detail),
        _inactive(report, detail),
        _settings(report, detail),
        _foot(report, detail, shortened=shortened),
    )
    lines, length = [], 0
    for line in chain.from_iterable(sections):
        lines.append(line)
        length += len(line.encode()) + 1
        if length > LIMIT - 100:
            return None
    return "\n".join(lines).strip() + "\n"


def _head(report: Report, detail: Detail) -> Iterator[str]:
    yield MARKER
    badge = _BADGES.get(report.verdict, markdown(detail.clip(report.verdict)))
    yield f"## {badge}: {markdown(detail.clip(report.submission))}"
    yield ""
    audit = report.audit
    if audit is None:
        yield f"The code was {markdown(detail.clip(report.verdict))}."
    else:
        for reason in audit.reasons[: detail.rows]:
            yield f"- {markdown(detail.clip(reason))}"
        if not audit.reasons:
            yield f"{markdown(detail.clip(digest.VERDICTS.get(report.verdict, report.verdict))).capitalize()}."
        trainer = markdown_code(detail.clip(audit.trainer or "none found"))
        yield ""
        why = f" ({markdown(detail.clip(audit.trainer_why))})" if audit.trainer_why else ""
        yield f"Trainer: {trainer}{why}. Profile: {markdown_code(detail.clip(audit.profile))}."
    yield ""


def _findings(report: Report, detail: Detail) -> Iterator[str]:
    findings = digest.active_findings(report)
    if not findings:
        return
    yield "### Findings"
    yield ""
    for finding in findings[: detail.rows]:
        yield from _finding(report, finding, detail)
    yield from _more(len(findings) - detail.rows, "finding")
    yield ""


def _finding(report: Report, finding: Finding, detail: Detail) -> Iterator[str]:
    place = markdown_code(detail.clip(digest.place(finding)), in_table=False)
    link = digest.line_link(report, finding.file, finding.line)
    where = f"[{place}](<{link}>)" if link and _linkable(link) else place
    yield (
        f"- **{markdown(detail.clip(finding.rule))}** {finding.severity}, {finding.certainty} certainty, {where}: "
        f"{markdown(detail.clip(finding.message))} "
        f"*{finding.basis}*: {_reference(detail.clip(finding.reference))}"
    )
    if not finding.path and not finding.because:
        return
    yield "  <details><summary>how it gets there</summary>"
    yield ""
    if finding.because:
        yield f"  Reached because {markdown(detail.clip(finding.because))}"
        yield ""
    for position, step in enumerate(finding.path[: detail.rows], 1):
        at = markdown_code(detail.clip(digest.place(step)), in_table=False)
        yield f"  {position}. {markdown(detail.clip(step.role))} {at} {markdown(detail.clip(step.note))}".rstrip()
        if detail.excerpts and step.excerpt:
            fence = markdown_fence(detail.clip(step.excerpt), "python")
            yield ""
            yield from (f"     {line}" for line in fence.split("\n"))
            yield ""
    yield from (f"  {line}" for line in _more(len(finding.path) - detail.rows, "step"))
    yield ""
    yield "  </details>"


def _linkable(link: str) -> bool:
    return not any(character in link for character in "<>\n\\")


def _reference(reference: str) -> str:
    return "".join(
        f"[{markdown(text)}]({address})" if address else _inline(text)
        for text, address in digest.linked_numbers(" ".join(reference.split()), notify=False)
    )


def _inline(text: str) -> str:
    """Escaped, with the blanks at its ends that `markdown` strips."""
    before, after = text[:1].isspace(), text[-1:].isspace() and text.strip()
    return (" " if before else "") + markdown(text) + (" " if after else "")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str = "") -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    marks = {"r": "---:", "l": "---"}
    yield "| " + " | ".join(marks[mark] for mark in (align or "l" * len(header))) + " |"
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _gate(report: Report, detail: Detail) -> Iterator[str]:
    if not report.checks:
        return
    yield "### Gate"
    yield ""
    decided, undecided = digest.decided_checks(report), digest.open_checks(report)
    if decided:
        yield from _table(
            ("check", "limit", "actual", "status"),
            [
                (
                    markdown(detail.clip(check.name)),
                    markdown(detail.clip(check.limit)),
                    markdown(detail.clip(check.actual)),
                    _STATUS[check.status],
                )
                for check in decided[: detail.rows]
            ],
        )
        yield from _more(len(decided) - detail.rows, "check")
        yield ""
    if undecided:
        yield f"<details><summary>{len(undecided)} of {len(report.checks)} checks could not be decided</summary>"
        yield ""
        for check in undecided[: detail.rows]:
            yield f"- {markdown(detail.clip(check.name))}: {markdown(detail.clip(check.actual))}"
        yield from _more(len(undecided) - detail.rows, "check")
        yield ""
        yield "</details>"
        yield ""


_OUTCOME = {"breach": "❌", "warning": "⚠️", "holds": "✅", "unchecked": "❔"}


def _experiments(report: Report, detail: Detail) -> Iterator[str]:
    if not report.experiments:
        return
    yield "### Run-time experiments"
    yield ""
    for one in report.experiments[: detail.rows]:
        yield (
            f"- {_OUTCOME.get(one.status, '❔')} **{markdown(detail.clip(one.name))}** "
            f"{markdown_code(detail.clip(one.stage), in_table=False)}: {markdown(detail.clip(one.message))}"
        )
    yield from _more(len(report.experiments) - detail.rows, "experiment")
    yield ""


def _seeds(report: Report, detail: Detail) -> Iterator[str]:
    rows = digest.seed_rows(report)
    if report.seeds is None or not rows:
        return
    yield "### Seeds"
    yield ""
    yield from _table(
        ("seed", "val_bpb", "val_loss", "steps", "train s", "eval s", "bytes"),
        [
            (
                "?" if row.seed is None else str(row.seed),
                digest.number(row.val_bpb),
                digest.number(row.val_loss),
                digest.count(row.steps),
                digest.number(row.train_seconds, 1),
                digest.number(row.eval_seconds, 1),
                digest.count(row.total_bytes),
            )
            for row in rows[: detail.rows]
        ],
        "rrrrrrr",
    )
    yield from _more(len(rows) - detail.rows, "run")
    yield ""
    summary = report.seeds.summary
    if summary is not None:
        spread = f", std {digest.number(summary.std)}" if summary.std is not None else ""
        interval = (
            f", 95% interval {digest.number(summary.low)} to {digest.number(summary.high)}"
            if summary.low is not None and summary.high is not None
            else ""
        )
        yield f"**Mean val_bpb {digest.number(summary.mean)}**{spread} over {summary.n} runs{interval}."
        if report.seeds.stage:
            yield f"Stage: {markdown_code(detail.clip(report.seeds.stage))}."
        yield ""
    if report.comparison is not None:
        yield markdown(detail.clip(digest.comparison_sentence(report.comparison)))
        yield ""
    problems = [(row.log, problem) for row in rows for problem in row.problems]
    for log, problem in problems[: detail.rows]:
        yield f"- {markdown_code(detail.clip(log), in_table=False)}: {markdown(detail.clip(problem))}"
    yield from _more(len(problems) - detail.rows, "remark")
    for note in report.seeds.notes[: detail.rows]:
        yield f"- {markdown(detail.clip(note))}"
    yield ""


def _claims(report: Report, detail: Detail) -> Iterator[str]:
    rows = digest.claim_rows(report)
    if not rows:
        return
    yield "### Claims against logs"
    yield ""
    yield from _table(
        ("figure", "claimed", "logged", ""),
        [
            (
                markdown(detail.clip(row.figure)),
                markdown(detail.clip(row.claimed)),
                markdown(detail.clip(row.logged)),
                {True: "✅", False: "❌", None: "❔"}[row.holds],
            )
            for row in rows[: detail.rows]
        ],
    )
    yield ""


def _unchecked(report: Report, detail: Detail) -> Iterator[str]:
    unchecked = report.audit.unchecked if report.audit else ()
    if not unchecked:
        return
    yield "### Could not be checked"
    yield ""
    for reason in unchecked[: detail.rows]:
        yield f"- {markdown(detail.clip(reason))}"
    yield from _more(len(unchecked) - detail.rows, "reason")
    yield ""


def _inactive(report: Report, detail: Detail) -> Iterator[str]:
    findings = digest.inactive_findings(report)
    if not findings:
        return
    yield f"<details><summary>Not reached by the submitted configuration ({len(findings)})</summary>"
    yield ""
    for finding in findings[: detail.rows]:
        place = markdown_code(detail.clip(digest.place(finding)), in_table=False)
        because = f" ({markdown(detail.clip(finding.because))})" if finding.because else ""
        yield f"- {markdown(detail.clip(finding.rule))} {place}: {markdown(detail.clip(finding.message))}{because}"
    yield from _more(len(findings) - detail.rows, "finding")
    yield ""
    yield "</details>"
    yield ""


def _settings(report: Report, detail: Detail) -> Iterator[str]:
    settings = list(report.audit.settings.items()) if report.audit else []
    if not settings or detail.rows < 20:
        return
    yield f"<details><summary>Submitted configuration ({len(settings)} settings)</summary>"
    yield ""
    for name, value in settings[: detail.rows]:
        yield f"- {markdown_code(detail.clip(f'{name}={value}'), in_table=False)}"
    yield from _more(len(settings) - detail.rows, "setting")
    yield ""
    yield "</details>"
    yield ""


def _foot(report: Report, detail: Detail, *, shortened: bool) -> Iterator[str]:
    for note in report.notes[: detail.rows]:
        yield f"- {markdown(detail.clip(note))}"
    if report.notes:
        yield ""
    yield f"<sub>{markdown(detail.clip(report.generated_by or 'golfproof'))}</sub>"
    if shortened:
        yield ""
        yield "<sub>Shortened to fit a comment: the JSON and HTML reports hold everything.</sub>"


def _more(left: int, noun: str) -> Iterator[str]:
    if left > 0:
        yield f"- and {left} more {noun}{'s' if left > 1 else ''}"
