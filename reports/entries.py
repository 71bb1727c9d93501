"""One line a submission for the corpus site: what it claims, what its logs support, and whether it would stand."""

from __future__ import annotations

import re
from dataclasses import dataclass

from audit.evidence.check import Status
from reports import digest
from reports.report import Report


@dataclass(frozen=True)
class Entry:
    """A row of the table. Scores in bits per byte, times in seconds; None where nothing is known.

    ``supported`` is the mean of the logs, kept only where no claim of the score contradicts it; ``stands`` says whether
    it would be ranked, ``why_not`` what is in the way.
    """

    page: str
    pull: int | None
    name: str
    author: str
    date: str
    track: str
    verdict: str
    claimed: float | None
    supported: float | None
    runs: int
    rules: tuple[str, ...]
    total_bytes: int | None
    train_seconds: float | None
    eval_seconds: float | None
    words: str
    stands: bool
    why_not: str


def entry_of(report: Report, page: str) -> Entry:
    """The row of one report, whose own page is ``page``."""
    rows = digest.seed_rows(report)
    claims = report.claims
    folder = report.folder or report.submission
    supported, doubt = _supported(report)
    why_not = _why_not(report, supported, doubt)
    return Entry(
        page=page,
        pull=_pull(folder),
        name=report.submission,
        author=(claims.author if claims else None) or "",
        date=_date(report, folder),
        track="non-record" if re.search(r"non[-_]?record|unlimited", folder, re.IGNORECASE) else "record",
        verdict=report.verdict,
        claimed=digest.claimed_bpb(report),
        supported=supported,
        runs=len(rows),
        rules=tuple(sorted({finding.rule for finding in digest.active_findings(report)})),
        total_bytes=max((row.total_bytes for row in rows if row.total_bytes is not None), default=None),
        train_seconds=max((row.train_seconds for row in rows if row.train_seconds is not None), default=None),
        eval_seconds=max((row.eval_seconds for row in rows if row.eval_seconds is not None), default=None),
        words=report.words,
        stands=not why_not,
        why_not=why_not,
    )


def _pull(folder: str) -> int | None:
    """The pull request's number, where the folder lies below one of that name (``1384/track/name``)."""
    match = re.match(r"(\d{1,6})/", folder)
    return int(match.group(1)) if match else None


def _date(report: Report, folder: str) -> str:
    said = (report.claims.date if report.claims else None) or ""
    match = re.search(r"20\d\d-\d\d-\d\d", said) or re.search(r"20\d\d-\d\d-\d\d", folder)
    return match.group() if match else ""


def _supported(report: Report) -> tuple[float | None, str]:
    summary = report.seeds.summary if report.seeds else None
    if summary is None:
        return None, "no log with a score"
    claim = next((row for row in digest.claim_rows(report) if row.figure == "val_bpb"), None)
    if claim is not None and claim.holds is False:
        return None, f"claims {claim.claimed}, its logs say {claim.logged}"
    return summary.mean, ""


def _why_not(report: Report, supported: float | None, doubt: str) -> str:
    if report.verdict != "clean":
        return f"verdict {report.verdict}"
    failed = [check.name for check in report.checks if check.status is Status.FAIL]
    if failed:
        return "fails " + ", ".join(failed[:3])
    return doubt if supported is None else ""


def leaderboard(entries: list[Entry]) -> list[Entry]:
    """The record-track entries that stand, the best first."""
    standing = [entry for entry in entries if entry.stands and entry.track == "record" and entry.supported is not None]
    return sorted(standing, key=lambda entry: (entry.supported, entry.date, entry.name))
