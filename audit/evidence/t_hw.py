"""The rule on hardware: record times are measured on eight H100s, not projected from less."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.finding import Basis, Certainty, Severity
from audit.rule import Example
from reproduce.machine_names import machine_in

_LOG = """\
|   0  NVIDIA {gpu}          On  |   00000000:05:00.0 Off |                    0 |
world_size:{world} grad_accum_steps:1
seed:1
final_exact val_loss:2.00000000 val_bpb:1.18450000
"""


class THw(EvidenceRule):
    id = "T-HW"
    title = "hardware"
    order = 24
    severity = Severity.WARNING
    certainty = Certainty.MEDIUM
    basis = Basis.RULING
    reference = "README; #1959"
    forbids = "Record times projected from other hardware than 8xH100."
    why = "The budget is seconds on one machine; other machines do another amount of work in them."
    comply = "Ship logs of the runs on 8xH100, with world_size and nvidia-smi in them."
    VALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(gpu="H100 80GB HBM3", world=8)},
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(gpu="H100 80GB HBM3", world=4)},
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(gpu="A100-SXM4-80GB", world=8)},
        {"train_gpt.py": "import torch\n", "submission.json": '{"val_bpb": 1.2, "hardware": "1x RTX 4090"}'},
        {"train_gpt.py": "import torch\n", "README.md": "**val_bpb: 1.2000** (a single H100, expected on 8xH100)\n"},
    )

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        wanted = evidence.limits.world_size
        limit = f"{wanted}xH100"
        if evidence.non_record:
            yield self.line(Status.UNCHECKED, "no limit on the non-record track", limit=limit)
            return
        for run in evidence.reported:
            other = run.gpu is not None and "H100" not in run.gpu and "HBM3" not in run.gpu
            fewer = run.world_size is not None and run.world_size != wanted
            if other or fewer:
                shown = f"{run.world_size or '?'} x {run.gpu or 'unknown GPU'}"
                yield self.line(
                    Status.WARN,
                    shown,
                    f"{evidence.name(run)} ran on {shown}",
                    limit=limit,
                    file=evidence.place(run),
                    world_size=run.world_size,
                    gpu=run.gpu,
                )
                return
        claimed = machine_in(evidence.claims.hardware or "")
        if claimed is not None and not any(run.world_size for run in evidence.reported):
            fewer = claimed.count is not None and claimed.count != wanted
            if fewer or not claimed.is_h100:
                where = evidence.claims.hardware_where
                yield self.line(
                    Status.WARN,
                    f"{claimed} claimed",
                    f"{where} says that the score was measured on {claimed}",
                    limit=limit,
                    file="README.md" if where.startswith("README") else "submission.json",
                    evidence=where,
                )
                return
        known = [run for run in evidence.reported if run.world_size == wanted]
        if known and all(run.gpu for run in known) and len(known) == len(evidence.reported):
            yield self.line(Status.PASS, f"{wanted} x {known[0].gpu}", limit=limit, file=evidence.place(known[0]))
        else:
            shown = f"{wanted} processes, GPU not logged" if known else "no log names the hardware"
            yield self.line(Status.UNCHECKED, shown, limit=limit)
