"""The rule on the folder's files: README, metadata, logs and a trainer that runs there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.finding import Basis, Certainty, Severity
from audit.rule import Example

_ALL = {
    "README.md": "# An entry\n",
    "submission.json": '{"val_bpb": 1.1}',
    "train_gpt.py": "import torch\n",
    "train_seed1.log": "seed:1\nfinal_exact val_loss:2.00000000 val_bpb:1.10000000\n",
}


class SFiles(EvidenceRule):
    id = "S-FILES"
    title = "files"
    order = 70
    of_runs = False
    severity = Severity.WARNING
    basis = Basis.RULING
    reference = "README; #15, #496, #529, #639, #656, #1204, #2013, #2103"
    forbids = "A submission without README.md, submission.json, training logs or the trainer."
    why = "Reviewers can only judge what is in the folder: a record that is claimed without a log asks for a reader."
    comply = "Put README.md, submission.json, one log a seed and train_gpt.py into the record's folder."
    VALID: ClassVar[tuple[Example, ...]] = (_ALL,)
    INVALID: ClassVar[tuple[Example, ...]] = (
        {name: text for name, text in _ALL.items() if name != "train_seed1.log"},
        {name: text for name, text in _ALL.items() if name != "README.md"},
    )

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        folder = evidence.folder
        parts = {
            "README": folder.readme is not None,
            "submission.json": folder.metadata_path is not None,
            "training logs": bool(folder.logs),
            "a trainer": folder.trainer is not None,
        }
        missing = [name for name, there in parts.items() if not there]
        if len(missing) == 3 and parts["a trainer"]:
            # A bare script was given to the audit: it is no submission folder yet.
            yield self.line(Status.UNCHECKED, "a trainer alone, no submission folder", limit=", ".join(parts))
            return
        there = (folder.metadata_path, folder.readme, folder.trainer, *folder.logs)
        shown = next((folder.relative(path) for path in there if path is not None), "")
        # A record's score that no log supports cannot be judged at all; what else is missing can be asked for.
        unsupported = not folder.logs and not evidence.non_record and evidence.claims.val_bpb is not None
        claimed = f", which claims a record of {evidence.claims.val_bpb} bits per byte" if unsupported else ""
        yield self.line(
            Status.FAIL if missing else Status.UNCHECKED if not evidence.runs else Status.PASS,
            "missing: " + ", ".join(missing) if missing else "all there",
            "the folder has no " + " and no ".join(missing) + claimed if missing else "",
            limit=", ".join(parts),
            file=shown if missing else "",
            severity=Severity.ERROR if unsupported else None,
            certainty=Certainty.MEDIUM if unsupported else None,
            missing=missing,
        )
