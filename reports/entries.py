"""One line a submission for the corpus site: what it claims, what its logs support, and whether it would stand."""

from __future__ import annotations

import re
from dataclasses import dataclass

from audit.evidence.check import Status
from audit.evidence.limits import Limits
from reports import digest
from reports.report import Report

LEAST_SEEDS = Limits().seeds  # that a record needs
# What must be shown for a score to stand: not known is not enough. Beside them, what may not even be in doubt.
_NEEDED = {
    "ART-CAP": ("artifact size", (Status.PASS, Status.WARN)),
    "T-TRAIN": ("training time", (Status.PASS, Status.WARN)),
    "M-BYTES": ("bytes per token", (Status.PASS,)),
}
_NON_RECORD = re.compile(r"non[-_ ]?record|unlimited", re.IGNORECASE)
_DOUBTED = {"M-BYTES": "bytes per token", "E-CLAIM": "claim"}


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
    place: str = ""  # the folder without the pull request that holds it


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
        track="non-record" if _NON_RECORD.search(f"{folder} {report.submission}") else "record",
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
        place=re.sub(r"^\d{1,6}/", "", folder),
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
    if supported is None:
        return doubt
    found = {(check.rule, check.status) for check in report.checks}
    for rule, (name, enough) in _NEEDED.items():
        if not any((rule, status) in found for status in enough):
            return f"{name} not shown"
    for rule, name in _DOUBTED.items():
        if (rule, Status.WARN) in found:
            return f"{name} in doubt"
    runs = len(digest.seed_rows(report))
    return f"{runs} of {LEAST_SEEDS} seeds" if runs < LEAST_SEEDS else ""


def leaderboard(entries: list[Entry]) -> list[Entry]:
    """The record-track entries that stand, the best first; a folder that several pull requests carry counts once."""
    standing = [entry for entry in entries if entry.stands and entry.track == "record" and entry.supported is not None]
    standing.sort(key=lambda entry: (entry.supported, entry.date, entry.pull or 0, entry.name))
    first: dict[tuple[str, float | None], Entry] = {}
    for entry in standing:
        first.setdefault((entry.place, entry.supported), entry)
    return list(first.values())
