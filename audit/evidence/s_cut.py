"""The rule on the contest's end: runs and results are dated before its last moment, or restore compliance."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.evidence.records import day
from audit.finding import Basis, Certainty, Severity
from audit.rule import Example
from reproduce.runlog import RunLog

CUT = datetime(2026, 5, 2)  # UTC
ZONES = timedelta(hours=14)  # by which a machine's own time may differ from UTC
MOST_LOGS = 8
HEAD = 4 << 20  # bytes of a log in which it is looked for: before it a log holds the program's text at most
# The line with which nvidia-smi begins, which the contest's script writes into its logs: Thu Apr 30 12:00:00 2026
_STAMP = re.compile(rb"^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d:\d\d:\d\d) (20\d\d)", re.M)
_LOG = "Fri {stamp}\nseed:1\nfinal_exact val_loss:2.00000000 val_bpb:1.18450000\n"


def _example(stamp: str, claimed: str) -> dict[str, str]:
    claim = f'{{"val_bpb": 1.1845, "date": "{claimed}"}}'
    return {"train_gpt.py": "import torch\n", "submission.json": claim, "train.log": _LOG.format(stamp=stamp)}


class SCut(EvidenceRule):
    id = "S-CUT"
    title = "the contest's end"
    order = 72
    limit = "before 2026-05-02 00:00 UTC"
    severity = Severity.NOTE
    certainty = Certainty.LOW
    basis = Basis.RULING
    reference = "#2109, #2118, #2146"
    forbids = "Runs and results that were made after 2026-05-02 00:00 UTC, where the contest ended."
    why = "Entries are compared as they stood at the end. Code that was there already may still be given its results."
    comply = "Ship logs of the runs that were made before; say where a later change only restores compliance."
    VALID: ClassVar[tuple[Example, ...]] = (
        _example("May  1 06:00:00 2026", "2026-05-01"),
        _example("May  1 06:00:00 2026", "2026-05-01T22:00:00Z"),
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        _example("May  3 06:00:00 2026", "2026-05-01"),
        _example("May  1 06:00:00 2026", "2026-05-03"),
    )

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        stamps = [(run, stamp) for run in evidence.reported[:MOST_LOGS] if (stamp := began(run)) is not None]
        late = [(run, stamp) for run, stamp in stamps if stamp - ZONES >= CUT]
        claimed = day(evidence.claims.date)
        if late:
            run, stamp = late[0]
            shown = f"a log of {stamp:%Y-%m-%d %H:%M}"
            message = f"{evidence.name(run)} ran on {stamp:%Y-%m-%d}, after the contest's end"
            yield self.line(Status.WARN, shown, message, file=evidence.place(run))
        elif claimed is not None and claimed >= CUT.date():
            message = f"submission.json is dated {claimed}, after the contest's end"
            yield self.line(Status.WARN, f"dated {claimed}", message, file="submission.json")
        elif stamps and len(stamps) == len(evidence.reported) and all(stamp + ZONES < CUT for _, stamp in stamps):
            run, last = max(stamps, key=lambda item: item[1])
            yield self.line(Status.PASS, f"the last log is of {last:%Y-%m-%d}", file=evidence.place(run))
        else:
            shown = f"dated {claimed}, which its logs do not show" if claimed is not None else "no log is dated"
            yield self.line(Status.UNCHECKED, shown)


def began(run: RunLog) -> datetime | None:
    """When a run began by the clock of its machine, whose zone is not known; None where its log does not say."""
    try:
        with Path(run.path).open("rb") as stream:
            found = _STAMP.search(stream.read(HEAD))
    except OSError:
        return None
    if found is None:
        return None
    month, number, clock, year = (part.decode() for part in found.groups())
    try:
        return datetime.strptime(f"{year} {month} {number} {clock}", "%Y %b %d %H:%M:%S")
    except ValueError:
        return None
