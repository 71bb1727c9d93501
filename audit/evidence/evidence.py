"""Everything that is not code of one submission: its runs, its claims, and which runs are the ones it reports."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from audit.evidence.limits import Limits
from reproduce.claims import Claims, read_claims
from reproduce.errors import InputError
from reproduce.folder import SubmissionFolder
from reproduce.runlog import RunLog
from reproduce.table import SeedTable, find_metric, read_all, table_of

if TYPE_CHECKING:
    from audit.case import Case


@dataclass(frozen=True)
class Evidence:
    """``runs`` are all runs of all logs; ``reported`` those among them that stand behind the claim."""

    folder: SubmissionFolder
    runs: tuple[RunLog, ...]
    claims: Claims
    limits: Limits = field(default_factory=Limits)
    against: str | None = None  # the record to compare with: "record", a pull request, a score
    changed: tuple[str, ...] | None = None  # paths that the pull request touches; None where no git range is known

    @classmethod
    def of_folder(
        cls,
        folder: SubmissionFolder,
        limits: Limits | None = None,
        against: str | None = None,
        changed: tuple[str, ...] | None = None,
    ) -> Evidence:
        """Read the evidence of a folder."""
        return cls(folder, read_all(folder), read_claims(folder), limits or Limits(), against, changed)

    @classmethod
    def of_case(cls, case: Case) -> Evidence:
        """The evidence that a case has read already."""
        return cls(case.folder, tuple(case.logs), case.claims)

    @cached_property
    def table(self) -> SeedTable | None:
        """The table of the reported seeds; None where the logs give none."""
        try:
            return table_of(self.folder, self.runs, self.claims)
        except InputError:
            return None

    @cached_property
    def reported(self) -> tuple[RunLog, ...]:
        """The runs behind the claim; where no table can be made, every run that has a score."""
        if self.table is not None:
            return self.table.runs
        return tuple(run for run in self.runs if run.headline is not None)

    @cached_property
    def non_record(self) -> bool:
        """Whether the submission is on the track without limits on time and hardware."""
        said = (self.claims.track or "").lower().replace("-", "_").replace(" ", "_")
        if "non_record" in said or "unlimited" in said or "nonrecord" in said:
            return True
        if any("non_record" in part.lower() for part in self.folder.path.resolve().parts[-2:]):
            return True
        try:
            opening = self.folder.readme_text[:2000].splitlines()[:5]
        except InputError:
            return False
        return any(re.search(r"\bnon[- ]record\b", line, re.IGNORECASE) for line in opening)

    def tied(self, run: RunLog) -> bool:
        """Whether a run is surely one that the submission rests on: its score, or the mean it is part of, is claimed.

        Without a claim it is where the folder's scored logs are all named alike.
        """
        scored = [other for other in self.runs if other.complete]
        said = [seed.val_bpb for seed in self.claims.seeds if seed.val_bpb is not None]
        said += [self.claims.val_bpb] if self.claims.val_bpb is not None else []
        if not said or not scored:
            return len(scored) <= 1 or len({re.sub(r"\d+", "#", Path(other.path).name) for other in scored}) == 1
        if any(find_metric(run, value) is not None for value in said):
            return True
        mean = self.table.summary.mean if self.table is not None and self.table.summary is not None else None
        return mean is not None and any(abs(mean - value) <= 2e-3 for value in said)

    @cached_property
    def programs(self) -> tuple[str, ...]:
        """The shipped trainer and every other program of the folder, each as it lies there and unpacked."""
        from audit.unpack import unpack

        found: list[str] = []
        for path in filter(None, (self.folder.trainer, *self.folder.helpers)):
            try:
                content = path.read_bytes()
            except OSError:
                continue
            found += [content.decode("utf-8-sig", "replace"), unpack(content, path.name).text]
        return tuple(found)

    def place(self, run: RunLog) -> str:
        """The log's name inside the folder."""
        return self.folder.relative(Path(run.path))

    def name(self, run: RunLog) -> str:
        """How a run is called in a message: by seed where it is known."""
        return f"seed {run.seed}" if run.seed is not None else self.place(run)
